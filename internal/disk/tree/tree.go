// Package tree remembers what stands below a directory and tells what has
// changed since.
//
// Its words: an entry is a path with what rsync's quick check and a person
// would compare: type, size, time, mode, owner, link target; a tree is the
// entries below a directory and the directory itself, in walking order; drift
// is the difference between a recorded tree and the one that is there. The
// size and time of directories are no part of it: they change with every file
// that comes and goes, and those are compared by themselves.
//
// A tree is never held in memory: it is written while it is read, and compared
// while both are.
//
// It imports no other package of this module.
package tree

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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
}

// Skip tells whether a path (as in Entry.Path) and all below it is left out.
type Skip func(path string, isDir bool) bool

// walk calls found for each entry of the tree at dir, or where dir leads to
// when it is a symlink, in walking order. A nil skip leaves nothing out.
func walk(ctx context.Context, dir string, skip Skip, found func(Entry) error) error {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return fmt.Errorf("read tree: %w", err)
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		rel := "."
		if path != dir {
			rel = strings.TrimPrefix(path[len(dir):], "/") // dir may be "/"
		}
		if rel != "." && skip != nil && skip(rel, d.IsDir()) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		e, err := entry(rel, path, d)
		if err != nil {
			return err
		}
		return found(e)
	})
	if err != nil {
		return fmt.Errorf("read tree: %w", err)
	}
	return nil
}

func entry(rel, path string, d fs.DirEntry) (Entry, error) {
	info, err := d.Info()
	if err != nil {
		return Entry{}, err
	}
	e := Entry{Path: rel, Mode: info.Mode()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		e.UID, e.GID = st.Uid, st.Gid
	}
	if !d.IsDir() {
		e.MTime = info.ModTime().UnixNano()
	}
	switch {
	case info.Mode().IsRegular():
		e.Size = info.Size()
	case info.Mode()&fs.ModeSymlink != 0:
		e.Link, err = os.Readlink(path)
	}
	return e, err
}
