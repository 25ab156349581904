// Package tree remembers what stands below a directory and tells what has
// changed since.
//
// Its words: an entry is a path with what rsync's quick check and a person
// would compare: type, size, time, mode, owner, link target; and of a regular
// file its inode and the time of its last change, which nobody can set; a tree
// is the entries below a directory and the directory itself, in walking order;
// drift is the difference between a recorded tree and the one that is there.
// The size and time of directories are no part of it: they change with every
// file that comes and goes, and those are compared by themselves. The content
// of a file is known by the sums of its blocks: Contents.
//
// The entries of a tree are never held in memory: they are written while they
// are read, and compared while both are. What is known of contents is: some
// bytes for each file, in Contents and in Archived.
//
// Of this module it imports disk/confined alone.
package tree

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk/confined"
)

// Entry is one path of a tree.
type Entry struct {
	Path  string      // relative, slash-separated; "." = the directory itself
	Mode  fs.FileMode // type and permissions, setuid, setgid and sticky included
	Size  int64       // of regular files, in bytes
	MTime int64       // of all but directories, in nanoseconds since 1970
	UID   uint32
	GID   uint32
	Link  string // target of a symlink
	Inode uint64 // of regular files
	CTime int64  // of regular files: when content or metadata were changed last; 0 = that can't be told
}

// Skip tells whether a path (as in Entry.Path) and all below it is left out.
type Skip func(path string, isDir bool) bool

// spot is where an entry stands: at a name in an open directory.
type spot struct {
	fd   int
	name string
	st   *unix.Stat_t
}

// walk calls found for each entry of the tree below an open directory, in
// walking order. A nil skip leaves nothing out, a nil ahead has seen nothing.
func walk(
	ctx context.Context, root *os.Root, skip Skip, ahead *confined.Ahead, found func(*Entry, spot) error,
) error {
	w, err := confined.NewWalk(root)
	if err != nil {
		return fmt.Errorf("read tree: %w", err)
	}
	defer w.Close()
	r := &reader{ctx: ctx, walk: w, skip: skip, ahead: ahead, found: found}
	var st unix.Stat_t
	if err = unix.Fstat(w.Root(), &st); err == nil {
		err = r.tell(w.Root(), ".", ".", &st)
	}
	if err == nil {
		err = r.dir("")
	}
	if err != nil {
		return fmt.Errorf("read tree: %w", err)
	}
	return nil
}

// reader is one call of walk.
type reader struct {
	ctx   context.Context
	walk  *confined.Walk
	skip  Skip
	ahead *confined.Ahead
	found func(*Entry, spot) error
	buf   [confined.MaxTarget]byte
}

// dir tells of all that is in a directory; "" is the root.
func (r *reader) dir(path string) error {
	if err := context.Cause(r.ctx); err != nil {
		return err
	}
	fd, err := r.walk.At(path, false)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	names, err := r.walk.List(fd)
	if err != nil {
		return &fs.PathError{Op: "read", Path: path, Err: err}
	}
	for _, name := range slices.Clone(names) { // good until the next List
		if err := r.name(path, name); err != nil {
			return err
		}
	}
	return nil
}

// name tells of one name in a directory, and of what is below it.
func (r *reader) name(dir, name string) error {
	path := confined.Join(dir, name)
	fd, err := r.walk.At(dir, false)
	var st *unix.Stat_t
	if err == nil {
		st, err = r.ahead.Stat(path, fd, name)
	}
	if err != nil {
		return &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	isDir := confined.FileType(st) == fs.ModeDir
	if r.skip != nil && r.skip(path, isDir) {
		return nil
	}
	if err := r.tell(fd, name, path, st); err != nil || !isDir {
		return err
	}
	return r.dir(path)
}

// tell tells of what stands at a name in the directory open at fd.
func (r *reader) tell(fd int, name, path string, st *unix.Stat_t) error {
	e := Entry{Path: path, Mode: confined.FileMode(st), UID: st.Uid, GID: st.Gid}
	if !e.Mode.IsDir() {
		e.MTime = st.Mtim.Nano()
	}
	switch {
	case e.Mode.IsRegular():
		e.Size, e.Inode, e.CTime = st.Size, st.Ino, st.Ctim.Nano()
	case e.Mode&fs.ModeSymlink != 0:
		target, err := confined.Readlink(fd, name, r.buf[:])
		if err != nil {
			return &fs.PathError{Op: "readlink", Path: path, Err: err}
		}
		e.Link = string(target)
	}
	return r.found(&e, spot{fd, name, st})
}
