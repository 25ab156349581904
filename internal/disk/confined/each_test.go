package confined

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestEach visits names that are no UTF-8, too, and follows no symlink.
func TestEach(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"a/b", "\xff/\xfe\n", "left/out", "a.b"} {
		must(t, os.MkdirAll(filepath.Join(dir, d), 0o700))
	}
	for _, f := range []string{"a/b/f", "a/g", "\xff/\xfe\n/f", "left/out/f", "z"} {
		must(t, os.WriteFile(filepath.Join(dir, f), nil, 0o600))
	}
	must(t, os.Symlink("..", filepath.Join(dir, "a/up")))
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	var seen []string
	must(t, Each(t.Context(), root, func(path string, st *unix.Stat_t, err error) error {
		must(t, err)
		info, err := os.Lstat(filepath.Join(dir, path))
		must(t, err)
		if info.Mode().Type() != FileType(st) {
			t.Errorf("%q: type %v", path, FileType(st))
		}
		if seen = append(seen, path); path == "left" {
			return fs.SkipDir
		}
		return nil
	}))
	want := []string{"a", "a/b", "a/b/f", "a/g", "a/up", "a.b", "left", "z", "\xff", "\xff/\xfe\n", "\xff/\xfe\n/f"}
	if !slices.Equal(seen, want) {
		t.Errorf("visited %q, want %q", seen, want)
	}
}

// TestEachEnds: the visitor's error ends the walk, and so does the context; what goes
// meanwhile does not.
func TestEachEnds(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "a/b"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "c"), nil, 0o600))
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	for name, c := range map[string]struct {
		visit func(path string) error
		seen  int
		want  error
	}{
		"error":   {func(string) error { return enough }, 1, enough},
		"context": {func(string) error { cancel(enough); return nil }, 1, enough},
		"gone":    {func(string) error { return os.RemoveAll(filepath.Join(dir, "a")) }, 2, nil},
	} {
		must(t, os.MkdirAll(filepath.Join(dir, "a/b"), 0o700))
		by, seen := t.Context(), 0
		if name == "context" {
			by = ctx
		}
		err := Each(by, root, func(path string, _ *unix.Stat_t, err error) error {
			seen++
			return errors.Join(err, c.visit(path))
		})
		if !errors.Is(err, c.want) || seen != c.seen {
			t.Errorf("%s: %v after %d paths", name, err, seen)
		}
	}
}
