package porter

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"stretcher/internal/text/failure"
)

// TestContext: what an image is built from beside a manifest is looked through
// only while the run goes on, and is never the whole host.
func TestContext(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "build/of"), 0o755); err != nil {
		t.Fatal(err)
	}
	stopped := errors.New("stopped")
	ended, end := context.WithCancelCause(t.Context())
	end(stopped)
	if got, err := (origin{dir, true}).context(t.Context(), "build/Dockerfile"); err != nil ||
		got != filepath.Join(dir, "build") {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := (origin{dir, true}).context(ended, "build/Dockerfile"); !errors.Is(err, stopped) {
		t.Errorf("after the end: %v", err)
	}
	for at, o := range map[string]origin{"Dockerfile": {"/", true}, "root/Dockerfile": {dir, true}} {
		if err := os.Symlink("/", filepath.Join(dir, "root")); err != nil && !errors.Is(err, os.ErrExist) {
			t.Fatal(err)
		}
		if _, err := o.context(ended, at); err == nil || errors.Is(err, stopped) || failure.Hint(err) == "" {
			t.Errorf("of the root of the host, by %q: %v", at, err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "build/of"), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := (origin{dir, true}).context(t.Context(), "build/Dockerfile"); !errors.Is(err, failure.ErrRefused) {
		t.Errorf("others may write in it: %v", err)
	}
}
