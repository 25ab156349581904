package mirror

import (
	"errors"
	"fmt"
	"iter"
	"sort"
	"strings"

	"stretcher/internal/archive"
)

// table is the entries sorted by path, bytewise. What is below a directory is
// one range of it, but not the one that follows: "a-b" sorts between "a" and
// "a/b".
type table []archive.Entry

// check finds a table that can't be walked.
func (t table) check() error {
	if len(t) == 0 || t[0].Path != "" || !t[0].Mode.IsDir() {
		return errors.New("compare: the entries do not start with the root")
	}
	for i := 1; i < len(t); i++ {
		if t[i-1].Path >= t[i].Path {
			return fmt.Errorf("compare: entry %q is not in order", t[i].Path)
		}
	}
	return nil
}

// rangeOf is the range of what is below the directory at index i.
func (t table) rangeOf(i int) (lo, hi int) {
	dir := t[i].Path
	if dir == "" {
		return 1, len(t)
	}
	rest := t[i+1:]
	lo = sort.Search(len(rest), func(k int) bool { return compareBelow(rest[k].Path, dir) >= 0 })
	return i + 1 + lo, i + 1 + lo + lenBelow(rest[lo:], dir)
}

// lenBelow is how many of the entries at the start of t are below dir. It
// looks ahead in growing steps: most directories are small.
func lenBelow(t table, dir string) int {
	end := 1
	for end < len(t) && compareBelow(t[end].Path, dir) == 0 {
		end *= 2
	}
	return sort.Search(min(end, len(t)), func(k int) bool { return compareBelow(t[k].Path, dir) > 0 })
}

// compareBelow is 0 for a path below dir, and else where it stands to those.
func compareBelow(path, dir string) int {
	n := min(len(path), len(dir))
	if c := strings.Compare(path[:n], dir[:n]); c != 0 {
		return c
	}
	if len(path) <= len(dir) {
		return -1
	}
	return int(path[len(dir)]) - '/'
}

// children yields the index and name of each entry that lies in the directory
// at index i itself, sorted by name.
func (t table) children(i int) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		prefix := len(t[i].Path)
		if prefix > 0 {
			prefix++
		}
		k, hi := t.rangeOf(i)
		for k < hi {
			name := t[k].Path[prefix:]
			if slash := strings.IndexByte(name, '/'); slash >= 0 {
				k += lenBelow(t[k:hi], t[k].Path[:prefix+slash])
				continue
			}
			if !yield(k, name) {
				return
			}
			k++
		}
	}
}

// along goes through the children of the directory at index i and the sorted
// names that a directory has, in one order: extra gets each name that only the
// latter has, child each child, and whether its name was found.
func (t table) along(
	i int, names []string, extra func(name string) error, child func(k int, name string, found bool) error,
) error {
	for k, name := range t.children(i) {
		for len(names) > 0 && names[0] < name {
			if err := extra(names[0]); err != nil {
				return err
			}
			names = names[1:]
		}
		found := len(names) > 0 && names[0] == name
		if found {
			names = names[1:]
		}
		if err := child(k, name, found); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := extra(name); err != nil {
			return err
		}
	}
	return nil
}

// order is that in which a directory's entries are gone through.
type order bool

const (
	inside  order = true  // each directory with all in it
	byLevel order = false // all in a directory, as it is compared, before what is in those there
)

// below are the indexes of the entries below the directory at index i, if it is one, that
// are not excluded.
func (t table) below(i int, opts *Options, o order) iter.Seq[int] {
	return func(yield func(int) bool) { t.visit(i, opts, o, yield) }
}

func (t table) visit(i int, opts *Options, o order, yield func(int) bool) bool {
	if !t[i].Mode.IsDir() {
		return true
	}
	var dirs []int
	for k := range t.children(i) {
		isDir := t[k].Mode.IsDir()
		if opts.excluded(t[k].Path, isDir) {
			continue
		}
		if !yield(k) || o == inside && !t.visit(k, opts, o, yield) {
			return false
		}
		if isDir && o == byLevel {
			dirs = append(dirs, k)
		}
	}
	for _, k := range dirs {
		if !t.visit(k, opts, o, yield) {
			return false
		}
	}
	return true
}

// paths are those of all entries but the root that are not excluded.
func (t table) paths(opts *Options, o order) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range t.below(0, opts, o) {
			if !yield(t[i].Path) {
				return
			}
		}
	}
}
