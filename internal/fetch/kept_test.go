package fetch

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"stretcher/internal/disk"
	"stretcher/internal/fetch/cache"
	"stretcher/internal/fetch/checksum"
)

// TestKept: an archive is found by its checksum, whoever put it there; one by a
// checksum that two archives can have, by the same mirrors alone.
func TestKept(t *testing.T) {
	dir := t.TempDir()
	store, err := cache.Open(filepath.Join(dir, "cache"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	pool, err := cache.OpenPool(filepath.Join(dir, "archives"), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	store.Use(pool)
	k := Kept{Store: store, Log: slog.New(slog.DiscardHandler)}
	strong, weak := sha256.Sum256([]byte("content")), md5.Sum([]byte("content"))
	sums := map[bool]checksum.Checksum{
		true: {Algorithm: "sha256", Digest: strong[:]}, false: {Algorithm: "md5", Digest: weak[:]},
	}
	src, other := []string{"https://a.example/x"}, []string{"https://b.example/x"}
	for everywhere, sum := range sums {
		f := unnamedIn(t, dir, "content")
		if err := k.Put(src, sum, cache.Whole(f)); err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			src   []string
			limit int64
			want  bool
		}{
			"of any size": {src, 0, true}, "just small enough": {src, 7, true}, "too large": {src, 6, false},
			"of another mirror": {other, 0, everywhere},
		} {
			got, err := k.Archive(t.Context(), c.src, sum, c.limit)
			if err != nil || (got != nil) != c.want {
				t.Errorf("%s, %s: %v, %v", sum.Algorithm, name, got, err)
			}
			if got != nil {
				_ = got.Close()
			}
		}
		if k.Has(src, sum) != true || k.Has(other, sum) != everywhere {
			t.Errorf("%s: it is said to be elsewhere", sum.Algorithm)
		}
	}
	none := Kept{Log: k.Log}
	if f, err := none.Archive(t.Context(), src, sums[true], 0); f != nil || err != nil || none.Has(src, sums[true]) {
		t.Errorf("where nothing is kept: %v, %v", f, err)
	}
}

// TestKeptIsDropped: what is not what its name says is told once, and is not there
// the next time.
func TestKeptIsDropped(t *testing.T) {
	dir := t.TempDir()
	store, err := cache.Open(filepath.Join(dir, "cache"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	pool, err := cache.OpenPool(filepath.Join(dir, "archives"), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	store.Use(pool)
	said := counting{slog.DiscardHandler, new(int)}
	k := Kept{Store: store, Log: slog.New(said)}
	sum := sha256.Sum256([]byte("content"))
	want := checksum.Checksum{Algorithm: "sha256", Digest: sum[:]}
	f := unnamedIn(t, dir, "changed")
	if err := k.Put(nil, want, cache.Whole(f)); err != nil {
		t.Fatal(err)
	}
	e := cache.Entry{Run: "a", Dest: "/d", Checksum: want.String()}
	if err := store.Put(t.Context(), e, nil, cache.Whole(f)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if f, err := k.Archive(t.Context(), nil, want, 0); f != nil || err != nil {
			t.Errorf("%v, %v", f, err)
		}
	}
	if _, ok := store.Find(want.String()); ok || k.Has(nil, want) || *said.warnings != 1 {
		t.Errorf("it is still there, with %d warnings", *said.warnings)
	}
}

// unnamedIn is a file as a run has it when it was fetched.
func unnamedIn(t *testing.T, dir, content string) *os.File {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	f, err := disk.Unnamed(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	return f
}

// counting counts warnings.
type counting struct {
	slog.Handler
	warnings *int
}

// Enabled says that all is logged.
func (counting) Enabled(context.Context, slog.Level) bool { return true }

// Handle counts a line.
func (c counting) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		*c.warnings++
	}
	return nil
}
