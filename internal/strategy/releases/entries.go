package releases

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"stretcher/internal/archive"
)

// CheckEntries returns the error (ErrShared among others) with which Add
// would refuse to link the shared paths into a tree of these entries, without
// a staged tree and without touching anything. The entries are those of
// archive.Scan, in its order; what is not to be deployed is left out, whole
// directories at a time.
func (d *Dir) CheckEntries(entries []archive.Entry, shared []string) error {
	if len(shared) == 0 {
		return nil
	}
	if err := CheckShared(shared); err != nil {
		return err
	}
	tree := scanned(entries)
	in := places{dir: d.sharedPath(), own: tree.lookup}
	root, err := d.openShared()
	if err == nil {
		in.shared = root
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%q: %w", d.sharedPath(), err)
	}
	for _, p := range shared {
		name := strings.TrimSuffix(p, "/")
		from, err := in.source(name, name != p)
		if err == nil && from == fromRelease && d.elsewhere(name) {
			err = tree.checkCopy(name)
		}
		if err == nil {
			err = tree.checkParents(name)
		}
		if err != nil {
			return sharedError(p, err)
		}
	}
	return nil
}

// scanned is the tree of a scanned archive, sorted by path.
type scanned []archive.Entry

func (s scanned) find(name string) (int, bool) {
	return slices.BinarySearchFunc(s, name, func(e archive.Entry, name string) int {
		return strings.Compare(e.Path, name)
	})
}

// lookup says what name is; its errors are those of the function lookup.
func (s scanned) lookup(name string) (fs.FileMode, error) {
	for i, c := range name {
		if c != '/' {
			continue
		}
		dir := name[:i]
		up, ok := s.find(dir)
		if !ok {
			return 0, fmt.Errorf("%q: %w", dir, fs.ErrNotExist)
		}
		if mode := s[up].Mode; !mode.IsDir() {
			return 0, fmt.Errorf("%q: %w", dir, notDir(mode))
		}
	}
	i, ok := s.find(name)
	if !ok {
		return 0, fs.ErrNotExist
	}
	return s[i].Mode, nil
}

// checkParents judges the directories that the link is to be made in; those
// that are missing are made.
func (s scanned) checkParents(name string) error {
	if _, err := s.lookup(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("in the release: %w", err)
	}
	return nil
}

// checkCopy judges what would be copied to another file system.
func (s scanned) checkCopy(name string) error {
	first, _ := s.find(name)
	for _, e := range s[first:] {
		if !strings.HasPrefix(e.Path, name) {
			return nil
		}
		if in := e.Path == name || e.Path[len(name)] == '/'; in && !isCopied(e.Mode) {
			rel := strings.TrimPrefix(e.Path, path.Dir(name)+"/")
			return copyError(uncopied(rel, e.Mode))
		}
	}
	return nil
}

// elsewhere tells whether name in shared is, or would be, on another file
// system than a staged tree, so that no rename leads there.
func (d *Dir) elsewhere(name string) bool {
	if d.at.Dir == nil {
		return false
	}
	dest := d.at.Dir.Root()
	return deviceIn(dest, path.Dir(path.Join(sharedName, name))) != deviceIn(dest, releasesName)
}

// deviceIn is the device of a directory below dest, or where it would be made.
func deviceIn(dest *os.Root, dir string) uint64 {
	for ; ; dir = path.Dir(dir) {
		if info, err := dest.Stat(dir); err == nil || dir == "." {
			return deviceOf(info)
		}
	}
}

func deviceOf(info fs.FileInfo) uint64 {
	if info == nil {
		return 0
	}
	return uint64(info.Sys().(*syscall.Stat_t).Dev) // signed on some systems
}
