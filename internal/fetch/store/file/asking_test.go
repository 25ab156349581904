package file

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/fetch/store"
)

// TestAskingAboutFiles: where symlinks lead elsewhere than the name says, the
// file that is open is asked about as well.
func TestAskingAboutFiles(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	errNo := errors.New("not there")
	if err := errors.Join(
		os.MkdirAll(filepath.Join(dir, "in/deep"), 0o755), os.Mkdir(filepath.Join(dir, "out"), 0o755),
		os.WriteFile(filepath.Join(dir, "in/a #b"), []byte("a"), 0o600),
		os.WriteFile(filepath.Join(dir, "out/b"), []byte("b"), 0o600),
		os.Symlink("../out/b", filepath.Join(dir, "in/leads-out")),
		os.Symlink(filepath.Join(dir, "out"), filepath.Join(dir, "in/deep/out")),
		os.Symlink("a #b", filepath.Join(dir, "in/leads-beside")),
	); err != nil {
		t.Fatal(err)
	}
	for name, real := range map[string]string{
		"in/a #b": "", "in//deep/../a #b": "", "in/leads-beside": "in/a #b",
		"in/leads-out": "out/b", "in/deep/out/b": "out/b",
	} {
		given := (&url.URL{Scheme: "file", Path: dir + "/" + name}).String()
		var asked []string
		obj, err := newSet(store.Options{}).Asking(func(next string) error {
			asked = append(asked, next)
			if strings.Contains(next, "/out/b") && !strings.Contains(next, "/in/") {
				return errNo
			}
			return nil
		}).Open(t.Context(), given, store.Position{})
		if err == nil {
			obj.Body.Close()
		}
		want := []string{given}
		if real != "" {
			want = append(want, (&url.URL{Scheme: "file", Path: filepath.Join(dir, real)}).String())
		}
		if refused := real == "out/b"; !slices.Equal(asked, want) || errors.Is(err, errNo) != refused ||
			(err != nil) != refused || err != nil && store.Retryable(err) {
			t.Errorf("%s: asked %q, want %q: %v", name, asked, want, err)
		}
	}
}
