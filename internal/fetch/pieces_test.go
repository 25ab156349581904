package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"stretcher/internal/disk"
	"stretcher/internal/fetch/cache"
	"stretcher/internal/fetch/checksum"
)

// beside is a cache with an archive, and another one in pieces beside it. It gives their
// contents and checksums, and counts warnings.
func beside(t *testing.T) (k Kept, content [2][]byte, sums [2]checksum.Checksum, warnings *int) {
	t.Helper()
	dir := t.TempDir()
	store, err := cache.Open(filepath.Join(dir, "cache"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	store.UsePool(filepath.Join(dir, "archives"), 1<<20)
	said := counting{slog.DiscardHandler, new(int)}
	create := func(int64) (*os.File, error) { return unnamedIn(t, dir, ""), nil }
	k = Kept{Store: store, Log: slog.New(said), Unnamed: create}
	content[0] = bytes.Repeat([]byte("x"), 100_000)
	content[1] = append(bytes.Repeat([]byte("x"), 90_000), bytes.Repeat([]byte("y"), 10_000)...)
	var before *cache.Archive
	for i := range content {
		sum := sha256.Sum256(content[i])
		sums[i] = checksum.Checksum{Algorithm: "sha256", Digest: sum[:]}
		a := cache.Whole(unnamedIn(t, dir, string(content[i])))
		if before != nil {
			c := cache.Combine(before, []cache.Piece{{At: 0, Size: 90_000}, {Fetched: true, At: 90_000, Size: 10_000}})
			if a, err = c.Write(t.Context(), bytes.NewReader(content[i]), create); err != nil {
				t.Fatal(err)
			}
		}
		e := cache.Entry{Run: "r" + sums[i].String()[60:], Dest: "/d", Checksum: sums[i].String()}
		if err := errors.Join(k.Put(nil, sums[i], a), store.Put(t.Context(), e, nil, a)); err != nil {
			t.Fatal(err)
		}
		before, _ = store.Find(sums[i].String())
	}
	return k, content, sums, said.warnings
}

// spoil changes a byte of an archive's base or parts, near the beginning or the end.
func spoil(t *testing.T, k Kept, sum checksum.Checksum, suffix string) {
	t.Helper()
	all, err := filepath.Glob(k.Store.Pool().Path() + "/sha256-" + sum.String()[7:] + suffix)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	f, err := os.OpenFile(all[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("z"), 9_000); err != nil {
		t.Fatal(err)
	}
}

// TestKeptInPieces: an archive in pieces is put together and verified, and is whole in the
// pool then. What is damaged goes, with one warning, and all that lies in that; nothing
// goes where it can't be put together.
func TestKeptInPieces(t *testing.T) {
	for name, c := range map[string]struct {
		spoilt   string
		full     bool
		stopped  bool
		here     [2]bool // afterwards
		warnings int
	}{
		"sound":                {here: [2]bool{true, true}},
		"parts":                {spoilt: ".parts", here: [2]bool{true, false}, warnings: 1},
		"base":                 {spoilt: ".base", here: [2]bool{false, false}, warnings: 1},
		"no room":              {full: true, here: [2]bool{true, true}, warnings: 2}, // of pool and entry
		"interrupted":          {stopped: true, here: [2]bool{true, true}},
		"interrupted, damaged": {stopped: true, spoilt: ".parts", here: [2]bool{true, true}},
	} {
		t.Run(name, func(t *testing.T) {
			k, content, sums, warnings := beside(t)
			if c.spoilt != "" {
				spoil(t, k, sums[1], c.spoilt)
			}
			if c.full {
				k.Unnamed = func(int64) (*os.File, error) { return nil, disk.ErrNoRoom }
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if c.stopped {
				cancel()
			}
			f, err := k.Archive(ctx, nil, sums[1], 0)
			if c.stopped != errors.Is(err, context.Canceled) || *warnings != c.warnings {
				t.Errorf("%v, with %d warnings", err, *warnings)
			}
			if sound := name == "sound"; sound != (f != nil) {
				t.Errorf("found: %v", f)
			} else if sound {
				got, err := io.ReadAll(f)
				if err != nil || !bytes.Equal(got, content[1]) {
					t.Errorf("another archive: %v", err)
				}
			}
			for i, want := range c.here {
				a, inEntry := k.Store.Find(sums[i].String())
				if k.Has(nil, sums[i]) != want || inEntry != want {
					t.Errorf("archive %d is here: %v", i, !want)
				}
				if inEntry {
					_ = a.Close()
				}
			}
			parts, _ := filepath.Glob(k.Store.Pool().Path() + "/*.parts")
			if gone := len(parts) == 0; gone != (name == "sound" || c.warnings == 1) {
				t.Errorf("left: %q", parts)
			}
		})
	}
}
