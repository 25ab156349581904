package confined

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// manyPaths are more files than there are chunks on their way, in two directories.
func manyPaths(t *testing.T, dir string) (paths []string) {
	t.Helper()
	for _, d := range []string{"a", "b"} {
		must(t, os.MkdirAll(filepath.Join(dir, d), 0o755))
		for i := range 3 * aheadChunk {
			path := fmt.Sprintf("%s/file%04d", d, i)
			must(t, os.WriteFile(filepath.Join(dir, path), []byte(path)[:i%len(path)], 0o644))
			paths = append(paths, path)
		}
	}
	return paths
}

func openRoot(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	must(t, err)
	t.Cleanup(func() { _ = root.Close() })
	return root
}

// TestAhead: what is taken is what stands there, whatever of the paths is asked for.
func TestAhead(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	}
	dir := t.TempDir()
	paths := manyPaths(t, dir)
	root := openRoot(t, dir)
	must(t, os.Symlink("a", filepath.Join(dir, "link")))
	for _, x := range []struct {
		name  string
		paths []string // that are looked at
		ask   []string
		seen  int // how many of them
	}{
		{"all", paths, paths, len(paths)},
		{"every seventh", paths, every(paths, 7), len(every(paths, 7))},
		{"every five hundredth", paths, every(paths, 500), len(every(paths, 500))},
		{"too few", paths, every(paths, 3*aheadChunk), 1}, // the next is too far away
		{"the last one", paths, paths[len(paths)-1:], 0},
		{"the last one of the first chunks", paths, paths[2*aheadChunk-1:], len(paths) - 2*aheadChunk + 1},
		{"others between", paths, between(paths, 3), len(paths)},
		{"very many others", paths, slices.Concat(between(paths[:1], aheadMisses+1), paths), 1},
		{"what is not there", []string{"a/none", "none/file", paths[0]}, []string{"a/none", "none/file", paths[0]}, 1},
		{"what is not looked at", paths, append([]string{"a/other"}, paths...), len(paths)},
		{"through a symlink", []string{"link/file0001"}, []string{"link/file0001"}, 0},
		{"no files", []string{"link", "a", "a/file0001"}, []string{"link", "a", "a/file0001"}, 1},
		{"outside", []string{"../" + filepath.Base(dir) + "/a/file0001"}, []string{"a/file0001"}, 0},
		{"some too late", paths, slices.Concat(paths[9:], paths[:9]), len(paths) - 9},
		{"nothing", nil, paths[:3], 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			a := LookAhead(root, slices.Values(x.paths))
			defer a.Close()
			seen := 0
			for _, path := range x.ask {
				got := a.Take(path)
				if got == nil {
					continue
				}
				seen++
				var want unix.Stat_t
				must(t, unix.Lstat(filepath.Join(dir, path), &want))
				if got.Ino != want.Ino || got.Size != want.Size || got.Ctim != want.Ctim || got.Mode != want.Mode {
					t.Fatalf("%q: %+v, want %+v", path, got, want)
				}
			}
			if seen != x.seen {
				t.Errorf("%d of %d were seen, want %d", seen, len(x.ask), x.seen)
			}
		})
	}
}

func every(paths []string, n int) (some []string) {
	for i := 0; i < len(paths); i += n {
		some = append(some, paths[i])
	}
	return some
}

// between are paths with n others behind each.
func between(paths []string, n int) (all []string) {
	for _, path := range paths {
		all = append(all, path)
		for i := range n {
			all = append(all, fmt.Sprintf("%s-%d", path, i))
		}
	}
	return all
}

// TestAheadStat: what has not been seen is looked at.
func TestAheadStat(t *testing.T) {
	dir := t.TempDir()
	paths := manyPaths(t, dir)[:3]
	w := walkAt(t, dir)
	fd, err := w.At("a", false)
	must(t, err)
	a := LookAhead(openRoot(t, dir), slices.Values(paths[:2]))
	defer a.Close()
	for _, x := range []*Ahead{a, nil} {
		for i, path := range paths {
			st, err := x.Stat(path, fd, filepath.Base(path))
			must(t, err)
			if st.Size != int64(i) {
				t.Errorf("%q: %d bytes, want %d", path, st.Size, i)
			}
		}
	}
	if _, err := a.Stat("a/none", fd, "none"); err != unix.ENOENT {
		t.Errorf("err = %v", err)
	}
}

// TestAheadClose: it can be closed at any time, and leaves nothing open.
func TestAheadClose(t *testing.T) {
	dir := t.TempDir()
	paths := manyPaths(t, dir)
	root := openRoot(t, dir)
	before := descriptors(t)
	for _, taken := range []int{0, 1, aheadChunk, 2*aheadChunk + 1, len(paths)} {
		a := LookAhead(root, slices.Values(paths))
		for _, path := range paths[:taken] {
			a.Take(path)
		}
		a.Close()
		a.Close()
		if st := a.Take(paths[0]); st != nil {
			t.Errorf("closed after %d, it has seen %+v", taken, st)
		}
	}
	if n := descriptors(t); n != before {
		t.Errorf("%d descriptors are open, %d were", n, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/dev/fd")
	must(t, err)
	return len(names)
}
