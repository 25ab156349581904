//go:build linux

package disk

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// tempName matches what TestSweep and the attacks call temporary.
var tempName = regexp.MustCompile(`^\.temp-[0-9]+$`)

func TestSweep(t *testing.T) {
	parent := t.TempDir()
	old := time.Now().Add(-time.Hour)
	make := func(name string) string {
		dir := filepath.Join(parent, name)
		must(t, os.MkdirAll(filepath.Join(dir, "tree"), 0o755))
		must(t, os.Chtimes(dir, old, old))
		return dir
	}
	held, left, other := make(".temp-1"), make(".temp-2"), make(".temp-x")
	young := filepath.Join(parent, ".temp-3")
	must(t, os.Mkdir(young, 0o755))
	link := filepath.Join(parent, ".temp-4")
	must(t, os.Symlink(other, link))
	hold, err := Hold(rootAt(t, held))
	must(t, err)
	if _, err := Hold(rootAt(t, held)); err == nil {
		t.Error("a held directory was held again")
	}
	Sweep(dirAt(t, parent), tempName.MatchString)
	for name, want := range map[string]bool{held: true, left: false, other: true, young: true, link: true} {
		if _, err := os.Lstat(name); (err == nil) != want {
			t.Errorf("%s: %v, want it there: %v", filepath.Base(name), err, want)
		}
	}
	must(t, hold.Close())
	must(t, os.Chtimes(held, old, old))
	Sweep(dirAt(t, parent), tempName.MatchString)
	if _, err := os.Lstat(held); err == nil {
		t.Error("a directory that is no longer held was left")
	}
}

// TestSweepExposed: where others can rename, they may give our name to what
// they could not remove.
func TestSweepExposed(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, ".temp-1")
	must(t, os.Mkdir(dir, 0o755))
	old := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(dir, old, old))
	must(t, os.Chmod(parent, 0o777))
	Sweep(dirAt(t, parent), tempName.MatchString)
	if _, err := os.Lstat(dir); err != nil {
		t.Error(err)
	}
}
