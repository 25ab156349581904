package store

import (
	"errors"
	"fmt"
	"io"
)

// exact is the body of a part: so many bytes, whatever the server sends.
type exact struct {
	io.ReadCloser
	left int64
}

// errTooMany: a server sends more than it was asked for.
var errTooMany = errors.New("more came than the range that was asked for")

// Read ends after the last byte of the range. A body that ends before it has
// broken off.
func (e *exact) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if e.left == 0 {
		return 0, e.rest()
	}
	n, err := e.ReadCloser.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	if err == io.EOF && e.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// rest reads to the end of the body, which lets its connection serve again.
func (e *exact) rest() error {
	n, err := e.ReadCloser.Read(make([]byte, 1))
	if n > 0 {
		return errTooMany
	}
	return err
}

// Holds tells whether the bytes that a server gave are those asked for. Where a
// range ends early, that is the end of the object.
func (p Position) Holds(first, last int64) error {
	switch {
	case first != p.Offset:
		return fmt.Errorf("asked for bytes from %d, got them from %d", p.Offset, first)
	case p.Length > 0 && last >= p.End():
		return fmt.Errorf("asked for bytes up to %d, got them up to %d", p.End()-1, last)
	case p.Length > 0 && last < p.End()-1:
		return Mark(ErrChanged, fmt.Errorf("asked for bytes up to %d, the object ends at %d", p.End()-1, last))
	}
	return nil
}
