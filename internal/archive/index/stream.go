package index

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
)

// ErrContent is of a content that is not the one of the index.
var ErrContent = errors.New("wrong content")

// Rebuild puts the archive's stream together: its frame and the contents, which
// open gives by their number in Files, one after the other. Each is found to be
// what the index says, or the error is ErrContent.
//
// A content is opened when it is read; what is skipped is not.
func (x *Index) Rebuild(open func(i int) (io.ReadCloser, error)) *Stream {
	return &Stream{x: x, open: open}
}

// Open opens one content apart from the stream, by what opens it there. It is found to
// be what the index says, or the error is ErrContent.
func (x *Index) Open(i int, open func(i int) (io.ReadCloser, error)) io.ReadCloser {
	s := x.Rebuild(open)
	s.next, s.size = i, x.Files[i].Size
	return alone{io.LimitReader(s, s.size), s}
}

// alone is a content, read to its end.
type alone struct {
	io.Reader
	io.Closer
}

// Index is that of the archive.
func (s *Stream) Index() *Index { return s.x }

// Skip goes on by n bytes, or to the end, which is io.EOF. A content that is not
// read from its beginning to its end is not verified.
func (s *Stream) Skip(n int64) (passed int64, err error) {
	for passed < n && s.err == nil {
		left := n - passed
		switch {
		case s.part.Len() > 0:
			passed += int64(len(s.part.Next(int(min(left, int64(s.part.Len()))))))
		case s.size > 0 && s.size <= left:
			passed += s.size
			s.size = 0
			s.next++
		case s.size > 0:
			s.begin()
		case s.file != nil:
			passed += s.pass(left)
		default:
			s.more()
		}
	}
	if passed < n {
		return passed, s.err
	}
	return passed, nil
}

// pass goes on in the file by n bytes at most, or behind it.
func (s *Stream) pass(n int64) (passed int64) {
	if s.left <= n {
		passed, s.left = s.left, 0
		s.err = s.file.Close()
		s.file = nil
		return passed
	}
	var buf [4 << 10]byte
	return int64(s.content(buf[:min(n, int64(len(buf)))]))
}

// Stream is the stream of an archive that is rebuilt.
type Stream struct {
	x    *Index
	open func(i int) (io.ReadCloser, error)
	in   *frameReader
	part bytes.Buffer // of the frame
	next int          // number of the next file
	size int64        // of the content behind part
	file io.ReadCloser
	left int64 // of the file
	sum  hash.Hash
	err  error
}

// Read reads the stream. Its first error stays.
func (s *Stream) Read(p []byte) (n int, err error) {
	for n == 0 && s.err == nil && len(p) > 0 {
		switch {
		case s.part.Len() > 0:
			n, _ = s.part.Read(p)
		case s.size > 0:
			s.begin()
		case s.file != nil:
			n = s.content(p)
		default:
			s.more()
		}
	}
	if n > 0 {
		return n, nil
	}
	return 0, s.err
}

// more reads on in the frame.
func (s *Stream) more() {
	if s.in == nil {
		if s.in, s.err = s.x.openFrame(); s.err != nil {
			return
		}
	}
	s.part.Reset()
	p, err := s.in.next(&s.part)
	s.size, s.err = p.size, err
}

// begin opens the next content.
func (s *Stream) begin() {
	s.left, s.size, s.sum = s.size, 0, sha256.New()
	s.file, s.err = s.open(s.next)
	s.next++
}

// content reads on in the file. What it hands out last has been verified.
func (s *Stream) content(p []byte) int {
	n, err := s.file.Read(p[:min(int64(len(p)), s.left)])
	_, _ = s.sum.Write(p[:n])
	s.left -= int64(n)
	f := &s.x.Files[s.next-1]
	switch {
	case s.left == 0:
		if Sum(s.sum.Sum(nil)) != f.Sum {
			s.err = fmt.Errorf("%q: %w", f.Path, ErrContent)
			return 0
		}
		s.err = s.file.Close()
		s.file = nil
	case err == io.EOF:
		s.err = fmt.Errorf("%q: %w: %d bytes are missing", f.Path, ErrContent, s.left)
	case err != nil:
		s.err = fmt.Errorf("%q: %w", f.Path, err)
	}
	return n
}

// Close closes what is open.
func (s *Stream) Close() error {
	if s.in != nil {
		s.in.close()
	}
	if s.file != nil {
		return s.file.Close()
	}
	return nil
}

// Within gives the numbers of the members that hold the n bytes of the stream
// at start: from first to before last.
func (x *Index) Within(start, n int64) (first, last int) {
	first = x.memberAt(start)
	for last = first; last < len(x.Members) && x.Members[last].Start < start+n; last++ {
	}
	return first, last
}

// memberAt is the member that holds a byte of the stream.
func (x *Index) memberAt(pos int64) int {
	lo, hi := 0, len(x.Members)
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; x.Members[mid].Start <= pos {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}
