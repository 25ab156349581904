package mirror

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// rootAt opens a directory until the test ends; nil when it is missing.
func rootAt(t testing.TB, path string) *os.Root {
	t.Helper()
	if path == "" {
		return nil
	}
	root, err := os.OpenRoot(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	check(t, err)
	t.Cleanup(func() { _ = root.Close() })
	return root
}

// place opens a directory, which may be missing, and the one above it.
func place(t testing.TB, path string) Place {
	t.Helper()
	return Place{Path: path, Parent: rootAt(t, filepath.Dir(path)), Name: filepath.Base(path), Dir: rootAt(t, path)}
}

// scope is a test in which what is open is closed before the test ends.
type scope struct {
	testing.TB
	done []func()
}

func (s *scope) Cleanup(f func()) { s.done = append(s.done, f) }

func (s *scope) close() {
	for _, f := range slices.Backward(s.done) {
		f()
	}
	s.done = nil
}
