package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// maxOpen bounds the directories a tree keeps open, two descriptors each.
const maxOpen = 24

// tree walks the root without ever following a symlink, and keeps the
// directories on the way to the last place open, so that a file costs no walk.
// os.Root confines each step, should another process meddle.
type tree struct {
	open    []level // from the root, the caller's, down; each an ancestor of the next
	implied os.FileMode
}

type level struct {
	path string // "" for the root
	root *os.Root
	self *os.File // opened when a descriptor is asked for
}

func newTree(root *os.Root, implied os.FileMode) *tree {
	return &tree{open: []level{{root: root}}, implied: implied}
}

func (t *tree) close() {
	t.cut(1)
	if self := t.open[0].self; self != nil {
		self.Close()
	}
}

// cut closes the levels from i on.
func (t *tree) cut(i int) {
	for _, l := range t.open[i:] {
		l.root.Close()
		if l.self != nil {
			l.self.Close()
		}
	}
	t.open = t.open[:i]
}

// at opens the directory path, creating what is missing when create is set.
// The level is good until the next call.
func (t *tree) at(path string, create bool) (*level, error) {
	i := len(t.open)
	for i > 1 && !within(path, t.open[i-1].path) {
		i--
	}
	t.cut(i)
	for {
		last := &t.open[len(t.open)-1]
		if last.path == path {
			return last, nil
		}
		if err := t.descend(last, path, create); err != nil {
			return nil, err
		}
	}
}

// descend opens one more directory on the way to path.
func (t *tree) descend(from *level, path string, create bool) error {
	start := len(from.path)
	if start > 0 {
		start++
	}
	end := len(path)
	if i := strings.IndexByte(path[start:], '/'); i >= 0 {
		end = start + i
	}
	name := path[start:end]
	fi, err := from.root.Lstat(name)
	if create && errors.Is(err, fs.ErrNotExist) {
		if err = from.root.Mkdir(name, t.implied); err == nil {
			fi, err = from.root.Lstat(name)
		}
	}
	if err == nil {
		err = checkParent(path[:end], fi.Mode())
	}
	if err != nil {
		return err
	}
	root, err := from.root.OpenRoot(name)
	if err != nil {
		return err
	}
	if len(t.open) >= maxOpen {
		t.cut(len(t.open) - 1)
	}
	t.open = append(t.open, level{path: path[:end], root: root})
	return nil
}

// within tells whether path is dir or below it.
func within(path, dir string) bool {
	return dir == "" || strings.HasPrefix(path, dir) && (len(path) == len(dir) || path[len(dir)] == '/')
}

// dir is the open directory itself, for what os.Root has no method for.
func (l *level) dir() (*os.File, error) {
	if l.self == nil {
		f, err := l.root.Open(".")
		if err != nil {
			return nil, err
		}
		l.self = f
	}
	return l.self, nil
}

// regular tells whether path is a regular file with no symlink on the way.
func (t *tree) regular(path string) error {
	dir, base := splitPath(path)
	l, err := t.at(dir, false)
	if err == nil {
		var fi os.FileInfo
		if fi, err = l.root.Lstat(base); err == nil && fi.Mode().IsRegular() {
			return nil
		}
	}
	var f *fault
	if err == nil || errors.As(err, &f) || errors.Is(err, fs.ErrNotExist) {
		return notEarlier(path)
	}
	return fmt.Errorf("hard link target %q: %w", path, err)
}
