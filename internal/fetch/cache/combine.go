package cache

import (
	"context"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Piece is a run of bytes of a new archive: in a file that was fetched, or in the
// archive before.
type Piece struct {
	Fetched  bool
	At, Size int64 // there
}

// share is how much of an archive its parts may be: more, and the archive is put
// together, and is the base of those to come.
const share = 5

// least is how large an archive is at least that is kept in pieces, in bytes.
const least = 64 << 10

// Combined is an archive of pieces of the one before and of what was fetched, which is
// about to be kept.
type Combined struct {
	before *Archive
	base   *os.File
	shape
	copies []copying
	data   int64
}

// copying is what becomes parts: a run of bytes of what was fetched, or of the parts of
// the archive before.
type copying struct {
	fetched  bool
	at, size int64
}

// Combine finds out whether an archive can be kept as pieces of the one before, which
// lie one behind the other, and of what is fetched. It is nil where it had better be put
// together, since its parts would be large.
func Combine(before *Archive, pieces []Piece) *Combined {
	c := &Combined{before: before, base: before.base}
	c.baseKey, c.baseSize = before.baseKey, before.baseSize
	if before.parts == nil {
		size, err := before.Size()
		if err != nil {
			return nil
		}
		c.baseKey, c.baseSize = before.key, size
	}
	for _, p := range pieces {
		if !c.add(p) {
			return nil
		}
	}
	if c.size < least || c.data > c.size/share || len(c.pieces) > maxPieces || len(c.baseKey) > maxKey {
		return nil
	}
	return c
}

// add adds a piece, and tells whether it is in the archive before.
func (c *Combined) add(p Piece) bool {
	switch end := c.size + p.Size; {
	case p.Fetched:
		c.copy(true, p.At, p.Size)
	case c.before.parts == nil:
		c.append(piece{at: p.At, size: p.Size})
	default:
		for _, l := range c.before.within(p.At, p.Size) {
			if l.inParts {
				c.copy(false, l.at, l.size)
			} else {
				c.append(l)
			}
		}
		return c.size == end
	}
	return p.Fetched || p.At <= c.baseSize-p.Size
}

// copy adds what has to be copied.
func (c *Combined) copy(fetched bool, at, size int64) {
	c.copies = append(c.copies, copying{fetched, at, size})
	c.append(piece{at: c.data, size: size, inParts: true})
	c.data += size
}

// append adds a piece, to the last one where it goes on.
func (c *Combined) append(l piece) {
	l.off = c.size
	c.size += l.size
	if n := len(c.pieces) - 1; n >= 0 {
		if last := &c.pieces[n]; last.inParts == l.inParts && last.at+last.size == l.at {
			last.size += l.size
			return
		}
	}
	c.pieces = append(c.pieces, l)
}

// Write makes the file of parts, of what was fetched and of the parts of the archive
// before. The archive is good as long as it is open, whatever becomes of the one before.
func (c *Combined) Write(
	ctx context.Context, fetched io.ReaderAt, create func(size int64) (*os.File, error),
) (a *Archive, err error) {
	start := c.encode(c.data)
	parts, err := create(int64(len(start)) + c.data)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = parts.Close()
		}
	}()
	if _, err := parts.Write(start); err != nil {
		return nil, err
	}
	for _, r := range c.copies {
		var from io.ReaderAt = c.before.parts
		if r.fetched {
			from = fetched
		}
		if err = context.Cause(ctx); err == nil {
			_, err = io.CopyN(parts, io.NewSectionReader(from, r.at, r.size), r.size)
		}
		if err != nil {
			return nil, err
		}
	}
	base, err := reopened(c.base)
	if err != nil {
		return nil, err
	}
	a = &Archive{base: base, parts: parts, shape: c.shape}
	a.pieces = slices.Clone(c.pieces)
	for i := range a.pieces {
		if a.pieces[i].inParts {
			a.pieces[i].at += int64(len(start))
		}
	}
	return a, nil
}

// reopened is an open file once more.
func reopened(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: f.Name(), Err: err}
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}
