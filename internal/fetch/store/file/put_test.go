package file

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"stretcher/internal/fetch/store"
)

func put(t *testing.T, path string) error {
	t.Helper()
	return newSet(store.Options{}).Put(t.Context(), "file://"+path, strings.NewReader("new"), 3,
		store.PutOptions{SHA256: sha256.Sum256([]byte("new"))})
}

// TestPutPlaces: what is there and no file stays as it is.
func TestPutPlaces(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(
		syscall.Mkfifo(dir+"/fifo", 0o600), os.Mkdir(dir+"/dir", 0o755), os.Symlink("none", dir+"/dangling"),
		os.WriteFile(dir+"/file", []byte("old"), 0o600), os.Symlink("file", dir+"/link"),
	); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"/fifo": "not a regular file", "/dir": "not a regular file", "/dir/": "directory", "/new/": "directory",
		"/dangling": "leads nowhere", "/none/file": "no such file", "/file/x": "not a directory", "/link": "", "/new": "",
	} {
		err := put(t, dir+name)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) ||
			err != nil && store.Retryable(err) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		if want := "make the directory first"; name == "/none/file" && store.Hint(err) != want {
			t.Errorf("%s: hint %q", name, store.Hint(err))
		}
	}
	if data, _ := os.ReadFile(dir + "/file"); string(data) != "new" {
		t.Errorf("what the symlink leads to holds %q", data)
	}
	if left, _ := filepath.Glob(dir + "/.stretcher*"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestPutMode: others may read the file, unless the umask says no.
func TestPutMode(t *testing.T) {
	dir := t.TempDir()
	for mask, want := range map[int]os.FileMode{0o022: 0o644, 0o077: 0o600, 0: 0o644} {
		old := syscall.Umask(mask)
		err := put(t, dir+"/file")
		syscall.Umask(old)
		info, serr := os.Stat(dir + "/file")
		if err := errors.Join(err, serr); err != nil || info.Mode().Perm() != want {
			t.Errorf("umask %o: %v, %v, want %v", mask, info, err, want)
		}
	}
}
