package testparts

import (
	"testing"

	"golang.org/x/sys/unix"
)

// Nest makes directories of one name within one another, deeper than any path
// could say, and a file in the last.
func Nest(t testing.TB, top, name string, levels int) {
	t.Helper()
	fd, err := unix.Open(top, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	for i := 0; i < levels && err == nil; i++ {
		if err = unix.Mkdirat(fd, name, 0o700); err != nil {
			break
		}
		next, opened := unix.Openat(fd, name, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		_ = unix.Close(fd)
		fd, err = next, opened
	}
	if err == nil {
		err = unix.Mknodat(fd, "file", unix.S_IFREG|0o600, 0)
	}
	if err != nil {
		t.Fatalf("nest %d directories in %q: %v", levels, top, err)
	}
	_ = unix.Close(fd)
}
