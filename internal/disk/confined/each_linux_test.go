package confined

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestEachUnread: what can't be read or looked at comes with the error, and hides
// nothing else.
func TestEachUnread(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755)) // whatever the umask
	for name, mode := range map[string]fs.FileMode{"a": 0, "b": 0o755, "c": 0o744} {
		must(t, os.MkdirAll(filepath.Join(dir, name, "sub"), 0o755))
		must(t, os.Chmod(filepath.Join(dir, name), mode))
	}
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	var seen []string
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and the thread ends with the goroutine
		if os.Geteuid() == 0 { // who reads all
			_, _ = unix.SetfsuidRetUid(65533)
		}
		done <- Each(t.Context(), root, func(path string, _ *unix.Stat_t, err error) error {
			if !errors.Is(err, fs.ErrPermission) {
				seen = append(seen, path)
				return err
			}
			seen = append(seen, path+" unread")
			return fs.SkipDir
		})
	}()
	want := []string{"a", "a unread", "b", "b/sub", "c", "c/sub unread"}
	if err := <-done; err != nil || !slices.Equal(seen, want) {
		t.Errorf("visited %q, %v", seen, err)
	}
}
