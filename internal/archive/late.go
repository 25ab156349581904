package archive

import (
	"crypto/sha256"
	"io"
	"slices"
)

// Coming is a Rebuilding of which parts may still be on their way. Reading waits for
// them.
type Coming interface {
	Rebuilding
	// Later opens the content of size bytes at a place of the stream apart from that, any
	// time before the stream is closed. isHere tells whether that need not wait. It is nil
	// where the content is here already.
	Later(start, size int64) (open func() (io.ReadCloser, error), isHere func() bool)
}

// Resting is a sink that reads contents later which are still on their way.
type Resting interface {
	Sink
	// Rest reads what is left. It comes after the last entry, before the end of the
	// stream is looked for.
	Rest() error
}

// apart is a content that is read apart from the stream, in which it was passed.
type apart struct {
	open   func() (io.ReadCloser, error)
	isHere func() bool
	in     io.ReadCloser // nil until it is read
	sum    [sha256.Size]byte
	known  bool
}

// Later gives the content for who reads it later, until Rest has ended, if it is still
// on its way. It is nil if it is here, or can't be read but now.
func (c *Content) Later() *Content {
	coming, ok := c.x.in.built.(Coming)
	if _, rests := c.x.sink().(Resting); !ok || !rests || c.late != nil || c.sparse || c.pos > 0 || c.err != nil {
		return nil
	}
	open, isHere := coming.Later(c.start, c.size)
	if open == nil {
		return nil
	}
	again := *c
	again.pieces, again.late = slices.Clone(c.pieces), &apart{open: open, isHere: isHere}
	again.late.sum, again.late.known = c.Sum()
	return &again
}

// IsHere tells whether the content can be read without waiting for it.
func (c *Content) IsHere() bool { return c.late == nil || c.late.isHere() }

// Close ends the reading of a content that was given for later.
func (c *Content) Close() error {
	if c.late == nil || c.late.in == nil {
		return nil
	}
	return c.late.in.Close()
}

// read reads it.
func (l *apart) read(p []byte) (n int, err error) {
	if l.in == nil {
		if l.in, err = l.open(); err != nil {
			return 0, err
		}
	}
	return l.in.Read(p)
}
