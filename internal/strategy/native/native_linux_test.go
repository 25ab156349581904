package native

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// mount mounts something at dir until the test ends: a file system, or the
// directory other.
func mount(t *testing.T, dir, other string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root mounts")
	}
	kind, flags := "tmpfs", uintptr(0)
	if other != "" {
		kind, flags = "", unix.MS_BIND
	}
	if err := unix.Mount(other, dir, kind, flags, ""); err != nil {
		t.Skip("no mount:", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
}

// TestPlace: what is staged comes into place by a rename, also where dest is a
// mount point: then it is staged in dest.
func TestPlace(t *testing.T) {
	for _, kind := range []string{"beside", "tmpfs", "bind"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t)
			must(t, os.Mkdir(w.dest, 0o755))
			in := w.top
			switch kind {
			case "tmpfs":
				mount(t, w.dest, "")
				in = w.dest
			case "bind":
				mount(t, w.dest, t.TempDir())
				in = w.dest
			}
			w.fill("f", "old")
			n := w.new(nil)
			staged := w.stage(n, "f", "newer", "d/g", "new")
			if got := filepath.Dir(filepath.Dir(staged.Dir.Path())); got != in {
				t.Errorf("staged in %q, want %q", got, in)
			}
			was := inode(t, staged.Dir.Root(), "f")
			must(t, n.Sync(t.Context(), staged))
			w.wants("f", "newer")
			w.wants("d/g", "new")
			is, err := os.Lstat(filepath.Join(w.dest, "f"))
			must(t, err)
			if !os.SameFile(was, is) {
				t.Error("it was copied")
			}
		})
	}
}

// TestPlaceMissing: a dest that is not there becomes the staged tree.
func TestPlaceMissing(t *testing.T) {
	w := newWorld(t)
	n := w.new(nil)
	staged := w.stage(n, "f", "x")
	was := inode(t, staged.Dir.Root(), ".")
	must(t, n.Sync(t.Context(), staged))
	is, err := os.Lstat(w.dest)
	must(t, err)
	if !os.SameFile(was, is) {
		t.Error("it was copied")
	}
}
