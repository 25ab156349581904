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

// TestEachUnread: a directory that can't be read comes again, with the error, and hides
// no other.
func TestEachUnread(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755)) // whatever the umask
	for name, mode := range map[string]fs.FileMode{"a": 0, "b": 0o755} {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o755))
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
			switch {
			case errors.Is(err, fs.ErrPermission):
				path += " unread"
			case err != nil:
				return err
			}
			seen = append(seen, path)
			return nil
		})
	}()
	if err, want := <-done, []string{"a", "a unread", "b"}; err != nil || !slices.Equal(seen, want) {
		t.Errorf("visited %q, %v", seen, err)
	}
}
