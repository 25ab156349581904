package archive

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"runtime"

	"github.com/klauspost/compress/zstd"

	"stretcher/internal/archive/gunzip"
	"stretcher/internal/archive/parallel"
)

// segments reads an input on all cores as far as it is made of segments, and
// the rest as any other.
type segments struct {
	in   *parallel.Reader
	cur  []byte
	pos  int                                    // of cur in the segment
	sums []parallel.Digest                      // that begin there or behind it
	open func(rest io.Reader, begun bool) error // the decoder on what is left
	dec  io.Reader
	rest *readahead
}

func (s *segments) read(ctx context.Context, p []byte) (int, error) {
	for s.rest == nil && len(s.cur) == 0 {
		var err error
		if s.cur, err = s.in.Next(ctx); err == nil {
			s.pos, s.sums = 0, s.in.Digests()
			continue
		}
		if !errors.Is(err, parallel.ErrRest) {
			return 0, err
		}
		if err := s.open(s.in.Rest()); err != nil {
			return 0, err
		}
		s.rest = newReadahead(s.dec)
	}
	if s.rest != nil {
		return s.rest.read(ctx, p)
	}
	n := copy(p, s.cur)
	s.cur, s.pos = s.cur[n:], s.pos+n
	return n, nil
}

// sum is the digest of the next size bytes, where it has been made already.
func (s *segments) sum(size int64) (sum [sha256.Size]byte, ok bool) {
	if len(s.cur) == 0 {
		return sum, false
	}
	for len(s.sums) > 0 && s.sums[0].Start < s.pos {
		s.sums = s.sums[1:]
	}
	if len(s.sums) == 0 || s.sums[0].Start != s.pos || int64(s.sums[0].Size) != size {
		return sum, false
	}
	return s.sums[0].Sum, true
}

func (s *segments) close() {
	s.in.Close()
	if s.rest != nil {
		s.rest.close()
	}
}

// openSegments tells whether r begins with a segment, and reads it so then.
func (d *decoder) openSegments(r *bufio.Reader) bool {
	var f parallel.Format
	may := false
	switch d.format {
	case "gzip":
		f = parallel.Format{Next: gzipSegment, Decoder: gzipDecoder, Size: gzipSize}
		_, may = gzipSegment(r)
	case "zstd":
		f = parallel.Format{Next: zstdSegment, Decoder: zstdDecoder, Size: zstdSize}
		_, may = zstdHeader(r)
	}
	if d.sums != nil {
		f.Digests = d.sums.digests
	}
	if may {
		d.segments = &segments{in: parallel.NewReader(r, f, runtime.GOMAXPROCS(0)), dec: d, open: d.openRest}
	}
	return may
}

// openRest opens the decoder on what segments have left. What follows them may
// be padding, or nothing.
func (d *decoder) openRest(rest io.Reader, begun bool) (err error) {
	switch {
	case d.format == "zstd":
		return d.openZstd(rest)
	case begun:
		d.Reader, err = gunzip.NewReaderAfter(rest)
	default:
		d.Reader, err = gunzip.NewReader(rest)
	}
	return err
}

// gzipSegment finds a member that tells how long it is.
func gzipSegment(in *bufio.Reader) (int, bool) {
	head, err := in.Peek(gunzip.HeaderSize)
	if err != nil {
		return 0, false
	}
	n, ok := gunzip.MemberLength(head)
	return int(n), ok && n <= parallel.Max
}

// gzipSize is what the end of a member says of its content.
func gzipSize(member []byte) int {
	if len(member) < gunzip.HeaderSize {
		return 0
	}
	return int(min(gunzip.ContentLength(member), parallel.Max))
}

func gzipDecoder() (func(dst, segment []byte) ([]byte, error), func(), error) {
	m := gunzip.NewMembers()
	decode := func(dst, segment []byte) ([]byte, error) { return m.Content(dst, segment, parallel.Max) }
	return decode, func() {}, nil
}

// zstdHeader reads that of a frame that tells how long its content is.
func zstdHeader(in *bufio.Reader) (h zstd.Header, ok bool) {
	head, _ := in.Peek(zstd.HeaderMaxSize)
	err := h.Decode(head)
	return h, err == nil && !h.Skippable && h.HasFCS && h.FrameContentSize <= parallel.Max && h.DictionaryID == 0
}

// zstdSegment finds such a frame, and follows its blocks to its end (RFC 8878,
// section 3.1.1).
func zstdSegment(in *bufio.Reader) (int, bool) {
	h, ok := zstdHeader(in)
	if !ok {
		return 0, false
	}
	n := h.HeaderSize
	for last := false; !last; {
		b, err := in.Peek(n + 3)
		if err != nil {
			return 0, false
		}
		block := int(b[n]) | int(b[n+1])<<8 | int(b[n+2])<<16
		size := block >> 3
		switch block >> 1 & 3 {
		case 1: // one byte, repeated
			size = 1
		case 3:
			return 0, false
		}
		if last = block&1 == 1; n+3+size > parallel.Max-4 {
			return 0, false
		}
		n += 3 + size
	}
	if h.HasCheckSum {
		n += 4
	}
	return n, true
}

// zstdSize is what the header of a frame says of its content.
func zstdSize(frame []byte) int {
	var h zstd.Header
	if h.Decode(frame) != nil {
		return parallel.Max
	}
	return int(min(h.FrameContentSize, parallel.Max))
}

func zstdDecoder() (func(dst, segment []byte) ([]byte, error), func(), error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecoderMaxMemory(parallel.Max))
	if err != nil {
		return nil, nil, err
	}
	decode := func(dst, segment []byte) ([]byte, error) { return z.DecodeAll(segment, dst) }
	return decode, z.Close, nil
}
