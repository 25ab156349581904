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
// It imports no other package of this module.
package tree

import (
	"bufio"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// Tree is what stands below a directory.
type Tree []Entry

// Skip tells whether a path (as in Entry.Path) and all below it is left out.
type Skip func(path string, isDir bool) bool

// Read returns the tree at dir, or where dir leads to when it is a symlink. A
// nil skip leaves nothing out.
func Read(ctx context.Context, dir string, skip Skip) (Tree, error) {
	var t Tree
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, fmt.Errorf("read tree: %w", err)
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if rel != "." && skip != nil && skip(rel, d.IsDir()) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		e, err := entry(rel, path, d)
		t = append(t, e)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read tree: %w", err)
	}
	return t, nil
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

// Drift is one difference between a recorded tree and what is there.
type Drift struct {
	Path string
	What string // "missing", "extra", "size", "time", "mode", "owner", "type" or "link"
}

// Compare returns the drift from recorded to found.
func Compare(recorded, found Tree) []Drift {
	left := make(map[string]Entry, len(recorded))
	for _, e := range recorded {
		left[e.Path] = e
	}
	var drift []Drift
	for _, e := range found {
		was, ok := left[e.Path]
		delete(left, e.Path)
		if what := difference(was, e); !ok {
			drift = append(drift, Drift{e.Path, "extra"})
		} else if what != "" {
			drift = append(drift, Drift{e.Path, what})
		}
	}
	for _, e := range recorded {
		if _, ok := left[e.Path]; ok {
			drift = append(drift, Drift{e.Path, "missing"})
		}
	}
	return drift
}

func difference(a, b Entry) string {
	switch {
	case a.Mode.Type() != b.Mode.Type():
		return "type"
	case a.Size != b.Size:
		return "size"
	case a.Link != b.Link:
		return "link"
	case a.MTime != b.MTime:
		return "time"
	case a.Mode != b.Mode:
		return "mode"
	case a.UID != b.UID || a.GID != b.GID:
		return "owner"
	default:
		return ""
	}
}

// Record is what is kept of a tree.
type Record struct {
	Tree     Tree
	Excludes []byte // text of the exclude list that was in the archive
}

// Save writes the record to a file, completely or not at all.
func (r Record) Save(name string) error {
	tmp := name + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 64<<10)
	err = errors.Join(gob.NewEncoder(w).Encode(r), w.Flush(), f.Close())
	if err == nil {
		err = os.Rename(tmp, name)
	}
	if err != nil {
		_ = os.Remove(tmp)
		return fmt.Errorf("record tree: %w", err)
	}
	return nil
}

// Load reads what Save has written.
func Load(name string) (Record, error) {
	f, err := os.Open(name)
	if err != nil {
		return Record{}, err
	}
	defer f.Close()
	var r Record
	if err := gob.NewDecoder(bufio.NewReaderSize(f, 64<<10)).Decode(&r); err != nil {
		return Record{}, fmt.Errorf("recorded tree %q: %w", name, err)
	}
	return r, nil
}
