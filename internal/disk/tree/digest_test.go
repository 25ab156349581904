package tree

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDigests: a digest is known as long as the file is as it was, in a record
// as in memory.
func TestDigests(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	stat := func() *unix.Stat_t {
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			t.Fatal(err)
		}
		return &st
	}
	want := Digest(sha256.Sum256([]byte("text")))
	c := NewContents()
	c.AddDigest(stat(), want)
	if _, ok := c.Digest(stat()); ok {
		t.Error("known of a file without sums")
	}
	c.Add(stat(), []Sum{c.Sum(0, []byte("text"))})
	c.AddDigest(stat(), want)
	record := filepath.Join(t.TempDir(), "record")
	if err := Save(t.Context(), root, Recorded{Contents: c}, record); err != nil {
		t.Fatal(err)
	}
	loaded, err := LoadContents(record, root)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Contents{c, loaded} {
		if got, ok := c.Digest(stat()); !ok || got != want {
			t.Errorf("%x, %v", got, ok)
		}
	}
	Settle(stat().Ctim.Nano())
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Contents{c, loaded} {
		if _, ok := c.Digest(stat()); ok {
			t.Error("known of a file that has changed")
		}
	}
	c.Add(stat(), []Sum{c.Sum(0, []byte("text"))})
	if _, ok := c.Digest(stat()); ok {
		t.Error("known of another content of the same file")
	}
}
