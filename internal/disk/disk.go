// Package disk does with files and directories what package os leaves out:
// it opens them so that no other user decides where that leads.
//
// Its words: a Dir is an open directory, reached step by step, each step judged
// after it was opened; a foreign link is a symlink that neither root nor the
// caller owns; a directory is private when nobody else can rename in it or in a
// directory above it; a Dest is the place of a deployment, opened once.
//
// A name that was judged and is used again may lead elsewhere by then. That is
// why what lies below a directory is reached by its descriptor: an os.Root, or
// the calls of this package that take one.
//
// Of this module it imports internal/text/failure, and confined below it.
package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"
)

// ErrNoRoom: a file system has too little room.
var ErrNoRoom = errors.New("not enough room")

// reserve is left free on every file system, in bytes: others write there too.
const reserve = 1 << 20

// IsFull tells whether a file system has no room.
func IsFull(err error) bool { return errors.Is(err, ErrNoRoom) || errors.Is(err, unix.ENOSPC) }

// Room returns ErrNoRoom when the directory's file system has no room for size
// bytes. A negative size is unknown.
func (d *Dir) Room(size int64) error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(d.file.Fd()), &st); err != nil {
		return &fs.PathError{Op: "statfs", Path: d.path, Err: err}
	}
	free := int64(st.Bavail) * int64(st.Bsize)
	if size >= 0 && free-reserve < size {
		return &lack{path: d.path, device: d.Device(), needed: size, free: free}
	}
	return nil
}

// lack is ErrNoRoom of a file system, and how much room is missing there.
type lack struct {
	path         string
	device       uint64
	needed, free int64
}

// Error says how much there is.
func (l *lack) Error() string {
	return fmt.Sprintf("%q: %v: %s needed, %s free", l.path, ErrNoRoom,
		humanize.IBytes(uint64(l.needed)), humanize.IBytes(uint64(l.free)))
}

// Unwrap gives errors.Is the sentinel.
func (l *lack) Unwrap() error { return ErrNoRoom }

// Helps tells whether more bytes free on the directory's file system can mend an
// error of a full one. Where the error does not say how much was needed, they may.
func (d *Dir) Helps(more int64, err error) bool {
	if !IsFull(err) {
		return false
	}
	lacks := lacksOf(err)
	return len(lacks) == 0 || slices.ContainsFunc(lacks, func(l *lack) bool {
		return l.device == d.Device() && l.needed-more <= l.free-reserve
	})
}

// lacksOf are all that are in an error.
func lacksOf(err error) (all []*lack) {
	switch e := err.(type) {
	case *lack:
		return []*lack{e}
	case interface{ Unwrap() error }:
		return lacksOf(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			all = append(all, lacksOf(one)...)
		}
	}
	return all
}

// opened is the directory of a root as a file, whose descriptor the calls of
// package unix need. The caller closes it.
func opened(root *os.Root) (*os.File, error) { return root.Open(".") }
