package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"stretcher/internal/archive/members"
)

// maxSparse bounds a file with holes: what reads it must read them, and the
// archive has no bytes for them. It is the most that ext4 takes.
const maxSparse = 16 << 40

// Content is the content of a regular file while Sink.File looks at it.
type Content struct {
	x      *reader
	pieces []members.Piece // that are not behind pos; one of all, unless there are holes
	size   int64           // holes included
	pos    int64           // how much has been read
	sparse bool
	err    error // the first, and io.EOF, stay
	seen   func(block []byte)
	start  int64    // where it is in the stream
	sums   *summing // makes its digest as it is read; nil = nobody wants it
	late   *apart   // it is read apart from the stream; nil = it is not
}

func newContent(x *reader, m *members.Member) (*Content, error) {
	c := &Content{x: x, pieces: m.Pieces, size: m.Size, sparse: m.Sparse, start: x.in.n}
	if x.in.dec.sums != nil && !c.sparse {
		c.sums = x.in.dec.sums
		c.sums.begin(x.in, c.size)
	}
	if !c.sparse {
		c.pieces = []members.Piece{{Size: c.size}}
	} else if c.size > maxSparse {
		return nil, exceeded("sparse file of %d bytes, more than %d", c.size, int64(maxSparse))
	}
	return c, nil
}

// hole is Hole while nothing is wrong.
func (c *Content) hole() int64 {
	for len(c.pieces) > 0 && c.pos >= c.pieces[0].Start+c.pieces[0].Size {
		c.pieces = c.pieces[1:]
	}
	if len(c.pieces) == 0 {
		return c.size - c.pos
	}
	return max(0, c.pieces[0].Start-c.pos)
}

// Sum is the SHA-256 of the content. Of an archive that is rebuilt, its index
// tells it, and what is read has been found to be that. Of one in a file it is
// known when all has been read, where who opened it wanted to know, and it was not
// put off.
func (c *Content) Sum() (sum [sha256.Size]byte, ok bool) {
	switch {
	case c.sparse || c.size == 0:
		return sum, false
	case c.late != nil:
		return c.late.sum, c.late.known
	case c.sums == nil:
		return c.x.in.known.at(c.start, c.size)
	case c.pos < c.size || c.err != nil && c.err != io.EOF:
		return sum, false
	}
	return c.sums.sum(c.size)
}

// PutOffSum says, before anything is read, that the digest may be of no use: it is
// not made of what is read then, until SumAgain.
func (c *Content) PutOffSum() { c.sums.putOff() }

// SumAgain takes what was read since PutOffSum, piece by piece: what is read from
// then on is hashed as it comes.
func (c *Content) SumAgain(piece []byte) { c.sums.again(piece) }

// Sparse tells whether the content has holes, which CopyTo keeps.
func (c *Content) Sparse() bool { return c.sparse }

// Hole is how many zeros come next that the archive does not have.
func (c *Content) Hole() int64 {
	if c.err != nil {
		return 0
	}
	return c.hole()
}

// PassHole goes on to the end of a hole, for who has no use for its zeros. Its
// errors are those of Read, save for io.EOF.
func (c *Content) PassHole() error {
	if hole := c.Hole(); hole > 0 {
		c.pass(hole)
	}
	return c.err
}

// Read reads the content, holes as zeros; io.EOF at its end. Any other error
// is the archive's or the context's and ends the scan, whatever is made of it.
func (c *Content) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if hole := c.hole(); hole > 0 {
		n := int(min(hole, int64(len(p))))
		clear(p[:n])
		c.pass(int64(n))
		return n, c.err
	}
	n, err := c.piece(p)
	c.sums.add(p[:n])
	c.pass(int64(n))
	if c.err == nil {
		c.err = c.judge(err)
	}
	return n, c.err
}

// piece reads what the archive has from pos on.
func (c *Content) piece(p []byte) (int, error) {
	if c.pos >= c.size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), c.pieces[0].Start+c.pieces[0].Size-c.pos)]
	if c.late != nil {
		return c.late.read(p)
	}
	n, err := c.x.tar.Read(p)
	if err == io.EOF { // the map promises more
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// pass counts n bytes that have been read, or that a hole has. Holes come from
// nowhere, where the end of the context would be noticed.
func (c *Content) pass(n int64) {
	c.pos += n
	if c.late == nil { // it has been counted when it was passed
		c.err = c.x.tally.read(n)
	}
	if c.err == nil {
		if cause := context.Cause(c.x.in.ctx); cause != nil {
			c.err = fmt.Errorf("extract: %w", cause)
		}
	}
}

// judge words the error of a read.
func (c *Content) judge(err error) error {
	switch {
	case err == nil || err == io.EOF || c.late != nil:
		return err
	case c.x.in.err != nil:
		return c.x.in.err
	}
	return contentError(err)
}

// CopyTo writes what has not been read of the content to f at its offset, with
// holes where the archive has them. f may hold nothing behind the offset.
func (c *Content) CopyTo(f *os.File) error {
	base, err := c.reserve(f)
	if err != nil {
		return err
	}
	for {
		if hole := c.hole(); hole > 0 && c.err == nil {
			if c.pass(hole); c.err == nil {
				_, err = f.Seek(base+c.pos, io.SeekStart)
			}
			if err != nil {
				return err
			}
		}
		n, err := c.fill(c.x.buf)
		if c.seen != nil && n > 0 {
			c.seen(c.x.buf[:n])
		}
		if _, werr := f.Write(c.x.buf[:n]); werr != nil {
			return werr
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// reserve gives a file with holes its size, before anything is written, so that
// a file system that can't hold it says so at once. base is where the content
// starts in it.
func (c *Content) reserve(f *os.File) (base int64, err error) {
	if !c.sparse {
		return 0, nil
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	base = at - c.pos
	return base, f.Truncate(base + c.size)
}

// fill reads as much as buf holds, or as there is before a hole.
func (c *Content) fill(buf []byte) (n int, err error) {
	for n < len(buf) && err == nil && (n == 0 || c.hole() == 0) {
		var m int
		m, err = c.Read(buf[n:])
		n += m
	}
	return n, err
}

// skip goes on to the end. It reads what the archive has, and no hole; of one
// that is rebuilt, it reads nothing.
func (c *Content) skip() {
	if c.x.in.built != nil && !c.sparse && c.err == nil {
		n, err := c.x.tar.Skip(c.size - c.pos)
		if c.pass(n); c.err == nil {
			c.err = c.judge(err)
		}
	}
	for c.err == nil {
		if hole := c.hole(); hole > 0 {
			c.pass(hole)
			continue
		}
		c.Read(c.x.buf)
	}
}

// contentError is for errors of the archive's own; the stream's are preferred
// to it by the caller.
func contentError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return malformed("archive is truncated: %w", err)
	}
	return malformed("archive is damaged: %w", err)
}
