package confined

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"stretcher/internal/testparts"
)

// deepDir is a path of so many directories below one of that name.
func deepDir(name string, depth int) string { return name + strings.Repeat("/d", depth) }

func needOpenBelow(t testing.TB, w *Walk) {
	if fd, err := openBelow(w.Root(), "."); errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		testparts.Missing(t, "no openat2: %v", err)
	} else if err == nil {
		_ = unix.Close(fd)
	}
}

// TestOpens bounds the calls that open directories, however deep they are and
// in whatever order they are asked for.
func TestOpens(t *testing.T) {
	const depth, times = 300, 100
	for name, path := range map[string]func(i int) string{
		"alternating":     func(i int) string { return deepDir(strconv.Itoa(i%2), depth) },
		"many in turn":    func(i int) string { return deepDir(strconv.Itoa(i%90), 30) },
		"upwards":         func(i int) string { return deepDir("0", depth-i) },
		"every other one": func(i int) string { return deepDir(strconv.Itoa(i%2), depth-i) },
	} {
		t.Run(name, func(t *testing.T) {
			w := walkAt(t, t.TempDir())
			needOpenBelow(t, w)
			made := 0
			w.Grant = func() error { made++; return nil }
			for i := range times {
				_, err := w.At(path(i), true)
				must(t, err)
			}
			start := w.Opens()
			if most := 2*made + 12*times; start > most {
				t.Errorf("%d directories made in %d turns: %d opens, want at most %d", made, times, start, most)
			}
			for i := range times {
				_, err := w.At(path(i), false)
				must(t, err)
			}
			if n := w.Opens() - start; n > 2*times {
				t.Errorf("%d opens for %d turns", n, times)
			}
		})
	}
}

// TestJumpMakes holds that what is missing at the end of a deep path is made,
// and a symlink on the way is not followed.
func TestJumpMakes(t *testing.T) {
	top := t.TempDir()
	must(t, os.MkdirAll(top+"/a/b/c", 0o755))
	must(t, os.Symlink("b", top+"/a/link"))
	w := walkAt(t, top)
	for path, want := range map[string]error{
		"a/b/c/d/e/f": nil, "a/b/x": nil, "new/one/two": nil, "a/b/c": nil,
		"a/link/c/d": unix.ENOTDIR, "a/link/c": unix.ENOTDIR, "a/link/new/d": unix.ENOTDIR,
	} {
		if _, err := w.At(path, true); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
		if fi, err := os.Lstat(top + "/" + path); want == nil && (err != nil || !fi.IsDir()) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if names, _ := os.ReadDir(top + "/a/b"); len(names) != 2 {
		t.Errorf("a/b has %v", names)
	}
}

// BenchmarkAlternating goes back and forth between two directories. The time of
// a turn grows as the length of the path does.
func BenchmarkAlternating(b *testing.B) {
	for _, depth := range []int{10, 100, 900} {
		b.Run(strconv.Itoa(depth), func(b *testing.B) {
			root, err := os.OpenRoot(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			defer root.Close()
			w, err := NewWalk(root)
			if err != nil {
				b.Fatal(err)
			}
			defer w.Close()
			turn := func(i int) {
				if _, err := w.At(deepDir(strconv.Itoa(i%2), depth), true); err != nil {
					b.Fatal(err)
				}
			}
			turn(0) // makes it
			turn(1)
			before := w.Opens()
			for i := 0; b.Loop(); i++ {
				turn(i)
			}
			b.ReportMetric(float64(w.Opens()-before)/float64(b.N), "opens/op")
		})
	}
}
