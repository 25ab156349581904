package tree

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestLeftBy: a file is as it was left, whatever is recorded of its content, until
// somebody changes it or puts another one in its place.
func TestLeftBy(t *testing.T) {
	for name, c := range map[string]struct {
		change func(path string) error
		as     bool
	}{
		"nothing": {func(string) error { return nil }, true},
		"read":    {func(path string) error { _, err := os.ReadFile(path); return err }, true},
		"written": {func(path string) error { return os.WriteFile(path, []byte("B"), 0o644) }, false},
		"mode":    {func(path string) error { return os.Chmod(path, 0o600) }, false},
		"another": {func(path string) error {
			return errors.Join(os.WriteFile(path+"2", []byte("A"), 0o644), os.Rename(path+"2", path))
		}, false},
	} {
		dir := t.TempDir()
		path, record := filepath.Join(dir, "f"), filepath.Join(t.TempDir(), "saved")
		must(t, os.WriteFile(path, []byte("A"), 0o644))
		must(t, Save(t.Context(), open(t, dir), Recorded{}, record))
		must(t, c.change(path))
		must(t, os.Chtimes(dir, time.Time{}, time.Unix(499162500, 0))) // of no account
		left := LeftBy(record, open(t, dir))
		if left == nil || left(stat(t, path)) != c.as {
			t.Errorf("%s: as it was left: %v", name, !c.as)
		}
	}
	if LeftBy(filepath.Join(t.TempDir(), "none"), open(t, t.TempDir())) != nil {
		t.Error("there is no record")
	}
}
