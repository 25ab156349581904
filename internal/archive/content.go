package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// holeSize is the smallest hole worth making: a block of most file systems.
const holeSize = 4096

var zeros [holeSize]byte

// Content is the content of a regular file while Sink.File looks at it.
type Content struct {
	x      *reader
	r      io.Reader
	size   int64 // as the header has it
	sparse bool
	err    error // the first, and io.EOF, stay
}

// Read reads the content, holes as zeros; io.EOF at its end. Any other error
// is the archive's or the context's and ends the scan, whatever is made of it.
func (c *Content) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.r.Read(p)
	over := c.x.tally.read(int64(n))
	if c.err = over; over == nil {
		c.err = c.judge(err)
	}
	return n, c.err
}

// judge words the error of a read.
func (c *Content) judge(err error) error {
	if cause := c.x.in.ctx.Err(); cause != nil { // holes are read from nowhere
		return fmt.Errorf("extract: %w", cause)
	}
	switch {
	case err == nil || err == io.EOF:
		return err
	case c.x.in.err != nil:
		return c.x.in.err
	}
	return contentError(err)
}

// CopyTo writes what has not been read of the content to f at its offset, with
// holes where the archive has them. f may hold nothing behind the offset.
func (c *Content) CopyTo(f *os.File) error {
	put := f.Write
	if c.sparse {
		put = func(p []byte) (int, error) { return writeSparse(f, p) }
	}
	for {
		n, err := readSome(c, c.x.buf)
		if _, werr := put(c.x.buf[:n]); werr != nil {
			return werr
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if !c.sparse {
		return nil
	}
	end, err := f.Seek(0, io.SeekCurrent)
	if err == nil {
		err = f.Truncate(end) // for a hole at the end
	}
	return err
}

// skip reads on to the end.
func (c *Content) skip() {
	for c.err == nil {
		c.Read(c.x.buf)
	}
}

// contentError is for errors of archive/tar itself; the stream's own are
// preferred to it by the caller.
func contentError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return malformed("archive is truncated: %w", err)
	}
	return malformed("archive is damaged: %w", err)
}

// isSparse knows old GNU and PAX 0.0, 0.1 and 1.0 sparse files.
func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// writeSparse seeks over blocks of zeros.
func writeSparse(f *os.File, p []byte) (int, error) {
	done := 0
	for done < len(p) {
		hole := isZero(p[done:])
		end := done
		for end < len(p) && isZero(p[end:]) == hole {
			end = min(end+holeSize, len(p))
		}
		var err error
		if hole {
			_, err = f.Seek(int64(end-done), io.SeekCurrent)
		} else {
			_, err = f.Write(p[done:end])
		}
		if err != nil {
			return done, err
		}
		done = end
	}
	return done, nil
}

// isZero looks at the first block of p.
func isZero(p []byte) bool {
	n := min(len(p), holeSize)
	return bytes.Equal(p[:n], zeros[:n])
}
