package mirror

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/disk/tree"
)

// twoCores has others look ahead, whatever the machine has.
func twoCores(t *testing.T) {
	t.Helper()
	before := runtime.GOMAXPROCS(2)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

// TestOtherThanSeen: what has become something else since somebody looked ahead is
// changed, as if nobody had.
func TestOtherThanSeen(t *testing.T) {
	twoCores(t)
	for was, is := range map[string]func(path string) error{
		"z->x": func(path string) error { return os.WriteFile(path, []byte("file"), 0o644) },
		"z/":   func(path string) error { return os.WriteFile(path, []byte("file"), 0o644) },
		"z=x":  func(path string) error { return os.Mkdir(path, 0o755) },
		"z=y":  func(path string) error { return os.Symlink("x", path) },
	} {
		t.Run(was, func(t *testing.T) {
			dest := filepath.Join(tempDir(t), "dest")
			words := strings.Repeat("f%04d= ", 300) + "z2->x " + was
			numbers := make([]any, 300)
			for i := range numbers {
				numbers[i] = i
			}
			nodes := parse(t, fmt.Sprintf(words, numbers...))
			plant(t, dest, nodes)
			entries, _, err := archive.Scan(t.Context(), bytes.NewReader(tarball(t, nodes)), archive.Options{},
				NewStage(t.Context(), nil, nil, Options{}))
			check(t, err)
			begun, z := false, filepath.Join(dest, "z")
			plan, err := Compare(t.Context(), entries, place(t, dest), Options{Quick: true, Progress: func(int64, int64) {
				if begun {
					return
				}
				begun = true
				time.Sleep(100 * time.Millisecond) // long enough to look at a few
				check(t, os.Remove(z))
				check(t, is(z))
			}})
			check(t, err)
			// A file that somebody has seen counts as seen: it may as well have changed later.
			changes := plan.Changes()
			isSeen := len(changes) == 0 && strings.HasPrefix(was, "z=")
			if !isSeen && (len(changes) != 1 || changes[0].Path != "z" || !slices.Equal(changes[0].What, []string{"type"})) {
				t.Errorf("changes: %v", changes)
			}
		})
	}
}

// TestHasSeen: only of a file that is as it was left, with the content of the entry, it
// counts that dest was seen to have it.
func TestHasSeen(t *testing.T) {
	twoCores(t)
	dest := filepath.Join(tempDir(t), "dest")
	plant(t, dest, parse(t, "a=x b=x c=x d=x e=x f=x"))
	known, sum := tree.NewContents(), tree.Digest(sha256.Sum256([]byte("x")))
	for _, name := range []string{"a", "c", "d", "e", "f"} { // and not b
		var st unix.Stat_t
		check(t, unix.Lstat(filepath.Join(dest, name), &st))
		known.Add(&st, []tree.Sum{known.Sum(0, []byte("x"))})
		known.AddDigest(&st, sum)
	}
	tree.Settle(time.Now().UnixNano())
	check(t, os.WriteFile(filepath.Join(dest, "c"), []byte("y"), 0o644))
	opts := Options{Contents: known, Excludes: excludes(t, "/d"), Checksum: true}
	stage := NewStage(t.Context(), rootAt(t, dest), nil, opts)
	defer stage.Close()
	stage.Always("e")
	stage.Expect(slices.Values([]string{"a", "b", "c", "d", "e", "f", "g"}))
	check(t, stage.open())
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		stage.digest.sum = &sum
		if name == "f" {
			stage.digest.sum = &tree.Digest{}
		}
		if got := stage.hasSeen(&archive.Entry{Path: name, Mode: 0o644, Size: 1}) != nil; got != (name == "a") {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestNamesOfOneFile: of a staged file with several names all but one are copied.
func TestNamesOfOneFile(t *testing.T) {
	twoCores(t)
	for range 5 {
		top := tempDir(t)
		dir, dest := filepath.Join(top, "staging"), filepath.Join(top, "dest")
		check(t, os.MkdirAll(dir, 0o755))
		check(t, os.WriteFile(filepath.Join(dir, "a"), make([]byte, 1<<20), 0o644))
		check(t, os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b")))
		check(t, os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "c")))
		var was, is unix.Stat_t
		check(t, unix.Lstat(filepath.Join(dir, "c"), &was))
		entries, err := FromDir(t.Context(), rootAt(t, dir))
		check(t, err)
		plan, err := Compare(t.Context(), entries, place(t, dest), Options{Tree: rootAt(t, dir)})
		check(t, err)
		check(t, plan.Apply(t.Context(), place(t, dir)))
		for _, name := range []string{"a", "b", "c"} {
			check(t, unix.Lstat(filepath.Join(dest, name), &is))
			if is.Nlink != 1 || is.Size != 1<<20 || (is.Ino == was.Ino) != (name == "c") {
				t.Errorf("%s has %d links and %d bytes, and is the one that was staged: %v",
					name, is.Nlink, is.Size, is.Ino == was.Ino)
			}
		}
	}
}

// TestPathsHoldNoStage: who has the paths of a plan does not keep what it was made of.
func TestPathsHoldNoStage(t *testing.T) {
	dest := filepath.Join(tempDir(t), "dest")
	plant(t, dest, parse(t, "a=x d/ d/b=y"))
	gone := make(chan bool, 1)
	paths := func() func(func(string) bool) {
		stage := NewStage(t.Context(), rootAt(t, dest), nil, Options{})
		runtime.AddCleanup(stage, func(gone chan bool) { gone <- true }, gone)
		entries, _, err := archive.Scan(t.Context(), bytes.NewReader(tarball(t, parse(t, "a=x d/ d/b=y"))),
			archive.Options{}, stage)
		check(t, err)
		check(t, stage.Close())
		plan, err := Compare(t.Context(), entries, place(t, dest), Options{Differs: stage.Differs})
		check(t, err)
		return plan.Paths()
	}()
	for len(gone) == 0 { // or the test does not end
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	if got := slices.Collect(paths); !slices.Equal(got, []string{"a", "d", "d/b"}) {
		t.Errorf("paths: %q", got)
	}
}
