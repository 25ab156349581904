package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// ID tells one directory from another, whatever its name; the zero ID is none.
type ID struct{ device, inode uint64 }

func (s step) id() ID { return ID{s.device, s.inode} }

// idOf is the directory that a path leads to, whoever owns symlinks there; the
// zero ID where there is none.
func idOf(path string) ID {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil || !isDir(&st) {
		return ID{}
	}
	return newStep(&st).id()
}

// Way is how a path led to where it did, when it was gone. Nothing of it is
// open.
type Way struct {
	Real  string // where it led, without symlinks; from what is not there on as it is written
	Doubt string // who else can rename there, or owns a symlink there; "" = nobody

	passed []ID  // all directories on the way, those that symlinks led through too; itself, where it is one
	above  []ID  // the directories that it lies in
	own    ID    // itself; the zero ID where it is no directory
	mount  mount // that the last directory on the way is on
}

// WayTo goes to an absolute path, as far as that is there and nobody else's
// symlink leads on.
func WayTo(path string) Way {
	w := &walker{given: path, todo: names(path)}
	defer w.close()
	err := w.start()
	for err == nil && len(w.todo) > 0 && w.missing == "" {
		name := w.next()
		if err = w.enter(name); err != nil {
			w.missing = name
		}
	}
	if len(w.way) == 0 {
		return Way{Real: filepath.Clean(path), Doubt: err.Error()}
	}
	way := wayOf(w)
	if errors.Is(err, ErrForeignLink) && way.Doubt == "" {
		way.Doubt = err.Error()
	}
	return way
}

// wayOf is the way that a walker has gone.
func wayOf(w *walker) Way {
	rest := append([]string{w.path(), w.missing}, w.todo...)
	way := Way{Real: filepath.Join(rest...), Doubt: w.writers, passed: w.passed}
	for _, p := range w.way {
		way.above = append(way.above, p.step.id())
	}
	if n := len(w.way) - 1; w.missing == "" {
		way.above, way.own = way.above[:n], way.above[n]
	}
	way.mount, _ = mountOf(w.last().fd) // without it names and directories are compared
	return way
}

// Is tells whether it led to the directory at path, whoever owns symlinks there.
func (w Way) Is(path string) bool { return w.own != ID{} && w.own == idOf(path) }

// Holds tells whether who writes in a dest changes what is at the end of the
// way, or where the way leads: dest is a directory on it, holds what is there,
// or lies in that.
func (w Way) Holds(dest Way, m *Mounts) bool {
	isIn := func(list []ID, id ID) bool { return id != ID{} && slices.Contains(list, id) }
	return lies(w.Real, dest.Real) || lies(dest.Real, w.Real) ||
		isIn(w.passed, dest.own) || isIn(dest.above, w.own) || m.overlap(w, dest)
}

// lies tells whether a path is dir or lies in it.
func lies(path, dir string) bool {
	return dir == "/" || path == dir || strings.HasPrefix(path, dir+"/")
}

// WaysIn are the ways to what symlinks lead to that lie in a directory, or in
// one of its own. It looks no deeper, and at what can be read alone.
func WaysIn(dir string) (list []Way) {
	for _, e := range linksIn(dir) {
		if e.Type()&fs.ModeSymlink != 0 {
			list = append(list, WayTo(filepath.Join(dir, e.Name())))
			continue
		}
		for _, below := range linksIn(filepath.Join(dir, e.Name())) {
			if below.Type()&fs.ModeSymlink != 0 {
				list = append(list, WayTo(filepath.Join(dir, e.Name(), below.Name())))
			}
		}
	}
	return list
}

// linksIn are the symlinks and directories in a directory.
func linksIn(dir string) []fs.DirEntry {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0) // not a FIFO, which would wait
	if err != nil {
		return nil
	}
	defer f.Close()
	list, _ := f.ReadDir(-1)
	return slices.DeleteFunc(list, func(e fs.DirEntry) bool { return e.Type()&(fs.ModeSymlink|fs.ModeDir) == 0 })
}
