package testparts

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Mount mounts something until the test ends, as mount(2) does. Only root can:
// for others the test is skipped. Root must be able to where the environment
// has CI=true.
func Mount(t testing.TB, source, target, kind string, flags uintptr, options string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root mounts")
	}
	if err := unix.Mount(source, target, kind, flags, options); err != nil {
		Missing(t, "nothing can be mounted here: %q on %q, %s: %v", source, target, kind, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) })
}

// Bind mounts a file or directory in another place, too, until the test ends.
func Bind(t testing.TB, from, to string) {
	t.Helper()
	Mount(t, from, to, "", unix.MS_BIND, "")
}
