package delta

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"stretcher/internal/archive/gunzip"
	"stretcher/internal/archive/index"
)

// spot is where a member lies: in a file, as it is in the archive.
type spot struct {
	file io.ReaderAt
	at   int64
	come <-chan struct{} // closed when it is there, and is what the index says; nil = it was there
}

// isVerified tells whether a member was compared with the index as it came. Nobody
// else has the file that it came to, which has no name, and nothing is written to
// that place any more.
func (s *spot) isVerified() bool { return isClosed(s.come) }

// await waits for a member that is being fetched, and tells whether it has come.
func (s *spot) await(lost <-chan struct{}) bool {
	if s.come == nil {
		return true
	}
	select {
	case <-s.come:
		return true
	case <-lost:
		return s.isVerified()
	}
}

// members decompresses members of an archive that are here. It is for one
// goroutine.
type members struct {
	x     *index.Index
	spots map[int]spot    // by the member's number
	lost  <-chan struct{} // closed when what has not come will not
	raw   []byte
	plain []byte
	last  int // the number of the one in plain; -1 = none
	ahead *unpacking
	gzip  *gunzip.Members
	zstd  *zstd.Decoder
}

// newMembers is told which members are going to be read, sorted: they are decompressed
// before they are asked for.
func newMembers(x *index.Index, spots map[int]spot, lost <-chan struct{}, soon []int) *members {
	return &members{x: x, spots: spots, lost: lost, last: -1, ahead: beginUnpacking(x, spots, soon)}
}

// unpackAhead says which members are going to be read from now on, sorted.
func (m *members) unpackAhead(soon []int) {
	m.ahead.close()
	m.ahead = beginUnpacking(m.x, m.spots, soon)
}

func (m *members) close() {
	m.ahead.close()
	if m.zstd != nil {
		m.zstd.Close()
	}
}

// read reads a member as it is in the archive, and verifies it if nobody has.
func (m *members) read(i int) ([]byte, error) {
	s, ok := m.spots[i]
	if !ok {
		return nil, fmt.Errorf("part %d of the archive: %w", i, ErrMissing)
	}
	if !s.await(m.lost) {
		return nil, fmt.Errorf("part %d of the archive: %w", i, ErrIncomplete)
	}
	want := &m.x.Members[i]
	if cap(m.raw) < want.Length {
		m.raw = make([]byte, want.Length)
	}
	raw := m.raw[:want.Length]
	if n, err := s.file.ReadAt(raw, s.at); n < len(raw) {
		return nil, fmt.Errorf("part %d of the archive: %w", i, err)
	}
	if !s.isVerified() && index.Sum(sha256.Sum256(raw)) != want.Sum {
		return nil, fmt.Errorf("part %d of the archive is %w", i, ErrMember)
	}
	return raw, nil
}

// content decompresses a member. It is good until the next call.
func (m *members) content(i int) ([]byte, error) {
	if i == m.last {
		return m.plain, nil
	}
	m.last = -1
	if one, ok := m.ahead.take(i); ok {
		if one.err != nil {
			m.ahead.recycle(one.plain)
			return nil, one.err
		}
		m.ahead.recycle(m.plain)
		m.plain, m.last = one.plain, i
		return m.plain, nil
	}
	raw, err := m.read(i)
	if err != nil {
		return nil, err
	}
	plain, err := m.unpack(raw, m.x.Members[i].Unpacked)
	if err != nil {
		return nil, fmt.Errorf("part %d of the archive: %w: %w", i, ErrMember, err)
	}
	if len(plain) != m.x.Members[i].Unpacked {
		return nil, fmt.Errorf("part %d of the archive has another length: %w", i, ErrMember)
	}
	m.plain, m.last = plain, i
	return plain, nil
}

// unpack decompresses one member, into no more memory than one may take.
func (m *members) unpack(raw []byte, size int) ([]byte, error) {
	if bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) {
		if m.gzip == nil {
			m.gzip = gunzip.NewMembers()
		}
		return m.gzip.Content(m.plain[:0], raw, size)
	}
	if m.zstd == nil {
		var err error
		m.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(index.MaxMember))
		if err != nil {
			return nil, err
		}
	}
	return m.zstd.DecodeAll(raw, m.plain[:0])
}

// within reads a content in its members.
type within struct {
	m    *members
	at   int64 // in the stream
	left int64
	seen func(i int, plain []byte) error // is told of members as they are read; may be nil
}

// Read decompresses what is next.
func (w *within) Read(p []byte) (int, error) {
	if w.left == 0 {
		return 0, io.EOF
	}
	i, _ := w.m.x.Within(w.at, 1)
	plain, err := w.m.content(i)
	if err == nil && w.seen != nil {
		err = w.seen(i, plain)
	}
	if err != nil {
		return 0, err
	}
	n := copy(p[:min(int64(len(p)), w.left)], plain[w.at-w.m.x.Members[i].Start:])
	w.at, w.left = w.at+int64(n), w.left-int64(n)
	return n, nil
}

// WriteTo writes what is left.
func (w *within) WriteTo(to io.Writer) (n int64, err error) {
	for w.left > 0 {
		i, _ := w.m.x.Within(w.at, 1)
		plain, err := w.m.content(i)
		if err != nil {
			return n, err
		}
		plain = plain[w.at-w.m.x.Members[i].Start:]
		plain = plain[:min(w.left, int64(len(plain)))]
		m, err := to.Write(plain)
		n, w.at, w.left = n+int64(m), w.at+int64(m), w.left-int64(m)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Close leaves the members open.
func (*within) Close() error { return nil }
