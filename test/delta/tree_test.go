package delta

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tree is one of files, by their paths; directories above them are not in it.
type tree map[string]node

// node is a file, a directory or a symlink.
type node struct {
	isDir   bool
	target  string // of a symlink
	same    string // path of the file that it is a hard link to
	mode    fs.FileMode
	time    int64
	content []byte
}

// names are what paths are made of.
func names() []string {
	return []string{"a", "b", "lib", "src", "with space", "new\nline", "caf\xc3\xa9", "\xff\xfe", "-rf", "..dots",
		"\\", "*", "C:", strings.Repeat("n", 120)}
}

// forest makes trees.
type forest struct {
	*rand.Rand
	pool [][]byte // contents of all trees until now
}

// content is one that there has been, one like it, or another.
func (f *forest) content() []byte {
	var b []byte
	switch old := f.IntN(4); {
	case old == 0 && len(f.pool) > 0:
		return f.pool[f.IntN(len(f.pool))]
	case old == 1 && len(f.pool) > 0:
		b = f.like(f.pool[f.IntN(len(f.pool))])
	default:
		b = make([]byte, []int{0, 1, 511, 512, 3000, 20_000, 70_000, 300_000}[f.IntN(8)])
		for i := range b {
			b[i] = byte(f.Uint32())
			if i%3 > 0 { // so that it is compressed by some
				b[i] &= 7
			}
		}
	}
	if f.pool = append(f.pool, b); len(f.pool) > 100 {
		f.pool = slices.Delete(f.pool, 0, 50)
	}
	return b
}

// like is a content with a few bytes more, less, or others.
func (f *forest) like(b []byte) []byte {
	at := f.IntN(len(b) + 1)
	less := min(f.IntN(20), len(b)-at)
	more := fmt.Append(nil, f.Uint64())[:f.IntN(5)]
	return slices.Concat(b[:at], more, b[at+less:])
}

func (f *forest) path() string {
	all, path := names(), ""
	for range 1 + f.IntN(4) {
		path = filepath.Join(path, all[f.IntN(len(all))])
	}
	return path
}

// node makes one for a tree.
func (f *forest) node(t tree) node {
	n := node{mode: fs.FileMode(0o400 | f.IntN(0o1000)), time: f.Int64N(1 << 31)}
	switch kind := f.IntN(12); {
	case kind == 0:
		n.target = cmp.Or(f.path(), "x")
	case kind == 1:
		n.isDir = true
		n.mode |= 0o700
	case kind == 2:
		if all := t.files(); len(all) > 0 {
			n.same = all[f.IntN(len(all))]
			return n
		}
		fallthrough
	default:
		n.content = f.content()
	}
	return n
}

// files are the paths of those that others can be hard links to.
func (t tree) files() (all []string) {
	for _, path := range slices.Sorted(maps.Keys(t)) {
		if n := t[path]; !n.isDir && n.target == "" && n.same == "" {
			all = append(all, path)
		}
	}
	return all
}

// put makes room for a node, and puts it there.
func (t tree) put(path string, n node) {
	t.remove(path)
	for dir := filepath.Dir(path); dir != "."; dir = filepath.Dir(dir) {
		if old, ok := t[dir]; ok && !old.isDir {
			t.remove(dir)
		}
	}
	if _, ok := t[n.same]; n.same == "" || ok {
		t[path] = n
	}
}

// remove takes away what is at a path and below it, and hard links to that.
func (t tree) remove(path string) {
	maps.DeleteFunc(t, func(p string, _ node) bool { return p == path || strings.HasPrefix(p, path+"/") })
	maps.DeleteFunc(t, func(_ string, n node) bool {
		_, ok := t[n.same]
		return n.same != "" && !ok
	})
}

// any is a tree of which nothing is known.
func (f *forest) any() tree {
	t := tree{}
	for range f.IntN(40) {
		t.put(f.path(), f.node(t))
	}
	return t
}

// next is a version of a tree: one of the ways in which they change, some times.
func (f *forest) next(t tree) tree {
	t = maps.Clone(t)
	for range f.IntN(6) {
		paths := slices.Sorted(maps.Keys(t))
		if len(paths) == 0 {
			return f.any()
		}
		path := paths[f.IntN(len(paths))]
		n := t[path]
		switch f.IntN(8) {
		case 0:
			t.put(f.path(), f.node(t))
		case 1:
			t.remove(path)
		case 2:
			t.put(path, f.node(t)) // perhaps of another kind
		case 3:
			n.mode ^= 0o011
			t[path] = n
		case 4:
			n.time = f.Int64N(1 << 31)
			t[path] = n
		case 5:
			t.remove(path)
			t.put(f.path(), n)
		case 6:
			f.swap(t, path, paths[f.IntN(len(paths))])
		default:
			if !n.isDir && n.target == "" && n.same == "" {
				n.content, n.time = f.like(n.content), f.Int64N(1<<31)
				t[path] = n
			}
		}
	}
	return t
}

// swap has two files change their contents.
func (f *forest) swap(t tree, one, other string) {
	a, b := t[one], t[other]
	if files := t.files(); !slices.Contains(files, one) || !slices.Contains(files, other) {
		return
	}
	a.content, b.content = b.content, a.content
	a.time, b.time = f.Int64N(1<<31), f.Int64N(1<<31)
	t[one] = a
	if one != other {
		t[other] = b
	}
}

// write makes the tree in a new directory.
func (t tree) write(tb testing.TB, dir string) {
	tb.Helper()
	check(tb, os.Mkdir(dir, 0o755))
	for _, path := range slices.Sorted(maps.Keys(t)) {
		n, name := t[path], filepath.Join(dir, path)
		check(tb, os.MkdirAll(filepath.Dir(name), 0o755))
		switch {
		case n.isDir:
			check(tb, os.MkdirAll(name, 0o755))
		case n.target != "":
			check(tb, os.Symlink(n.target, name))
		case n.same == "":
			check(tb, os.WriteFile(name, n.content, 0o600))
			check(tb, os.Chmod(name, n.mode))
		}
	}
	for path, n := range t {
		if n.same != "" {
			check(tb, os.Link(filepath.Join(dir, n.same), filepath.Join(dir, path)))
		}
	}
	t.settle(tb, dir)
}

// settle sets times, and modes of directories, from below.
func (t tree) settle(tb testing.TB, dir string) {
	tb.Helper()
	var all []string
	check(tb, filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		all = append(all, name)
		return err
	}))
	for _, name := range slices.Backward(all) {
		path, _ := filepath.Rel(dir, name)
		n, ok := t[path]
		if n.same != "" {
			continue
		}
		if !ok {
			n.time = 1e9
		}
		if n.isDir {
			check(tb, os.Chmod(name, n.mode))
		}
		at := unix.NsecToTimeval(n.time * 1e9)
		check(tb, unix.Lutimes(name, []unix.Timeval{at, at}))
	}
}

// look tells all that a deployment keeps of what is below dir: a line for each
// path. Files that are one are not told from files that are alike.
func look(tb testing.TB, dir string) string {
	tb.Helper()
	var b strings.Builder
	check(tb, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		path, _ := filepath.Rel(dir, name)
		fmt.Fprintf(&b, "%q %v %d", path, info.Mode(), info.ModTime().Unix())
		switch {
		case info.Mode().IsRegular():
			content, err := os.ReadFile(name)
			check(tb, err)
			fmt.Fprintf(&b, " %d %.4x", len(content), sha256.Sum256(content))
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(name)
			check(tb, err)
			fmt.Fprintf(&b, " -> %q", target)
		}
		b.WriteString("\n")
		return nil
	}))
	return b.String()
}

// difference shows the lines that only one of two has.
func difference(got, want string) string {
	var b bytes.Buffer
	has := func(text, line string) bool { return strings.Contains("\n"+text, "\n"+line) }
	for line := range strings.Lines(got) {
		if !has(want, line) {
			b.WriteString("+ " + line)
		}
	}
	for line := range strings.Lines(want) {
		if !has(got, line) {
			b.WriteString("- " + line)
		}
	}
	return b.String()
}

// disturb does to a tree that was deployed what people do, and tells whether it
// has.
func (f *forest) disturb(tb testing.TB, dir string) bool {
	tb.Helper()
	var files []string
	_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, name)
		}
		return nil
	})
	if len(files) == 0 {
		return false
	}
	name := files[f.IntN(len(files))]
	switch f.IntN(5) {
	case 0:
		check(tb, os.Remove(name))
	case 1:
		check(tb, os.Chmod(name, 0o640))
	case 2:
		check(tb, os.Truncate(name, f.Int64N(100)))
	case 3: // with the old time: only the time of the change tells
		info, err := os.Stat(name)
		check(tb, err)
		size := info.Sys().(*syscall.Stat_t).Size
		check(tb, os.WriteFile(name, bytes.Repeat([]byte("?"), int(size)+1), 0o600))
		check(tb, os.Chtimes(name, time.Time{}, info.ModTime()))
	default:
		check(tb, os.Rename(name, name+".old"))
	}
	return true
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
