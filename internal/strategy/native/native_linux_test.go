package native

import (
	"archive/tar"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"stretcher/internal/archive"
	"stretcher/internal/strategy"
	"stretcher/internal/testparts"
)

// mount mounts something at dir until the test ends: a file system, or the
// directory other.
func mount(t *testing.T, dir, other string) {
	t.Helper()
	if other != "" {
		testparts.Bind(t, other, dir)
		return
	}
	testparts.Mount(t, "tmpfs", dir, "tmpfs", 0, "")
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

// TestGroups: a user's files get the group that they would have as new ones, as
// by rsync, and those of whole trees keep theirs.
func TestGroups(t *testing.T) {
	const other = 33
	if os.Geteuid() == 0 {
		asUser(t, other)
		return
	}
	if own, err := os.Getgroups(); err != nil || len(own) < 2 {
		t.Skip("in no other group")
	}
	for _, whole := range []bool{false, true} {
		w := newWorld(t)
		w.fill("same", "same")
		w.fill("dir/changed", "old")
		for _, path := range []string{"same", "dir/changed", "dir"} {
			must(t, os.Chown(filepath.Join(w.dest, path), -1, other))
		}
		n := w.new(func(t *strategy.Target) { t.Whole = whole })
		staged := w.stage(n, "same", "same", "dir/changed", "newer", "dir/new", "new")
		if whole {
			must(t, os.Chown(filepath.Join(staged.Dir.Path(), "same"), -1, other))
		}
		must(t, n.Sync(t.Context(), staged))
		for _, path := range []string{"same", "dir/changed", "dir/new", "dir"} {
			info, err := os.Stat(filepath.Join(w.dest, path))
			must(t, err)
			want := os.Getegid()
			if whole && path == "same" {
				want = other
			}
			if got := int(info.Sys().(*syscall.Stat_t).Gid); got != want {
				t.Errorf("whole: %v: %q has group %d, want %d", whole, path, got, want)
			}
		}
	}
}

// TestPlannedGroups: a plan knows the group of what is staged elsewhere than
// beside dest.
func TestPlannedGroups(t *testing.T) {
	const other = 33
	if os.Geteuid() == 0 {
		asUser(t, other)
		return
	}
	for _, elsewhere := range []bool{false, true} {
		w := newWorld(t)
		beside := filepath.Join(w.top, "sub")
		must(t, os.Mkdir(beside, 0o755))
		must(t, os.Chown(beside, -1, other))
		must(t, os.Chmod(beside, 0o755|os.ModeSetgid))
		w.dest = filepath.Join(beside, "dest")
		if !elsewhere {
			w.top = beside
		}
		n := w.new(nil)
		must(t, n.Sync(t.Context(), w.stage(n, "f", "new")))
		f, err := os.Create(filepath.Join(t.TempDir(), "archive"))
		must(t, err)
		defer f.Close()
		tw := tar.NewWriter(f)
		must(t, tw.WriteHeader(&tar.Header{Name: "f", Typeflag: tar.TypeReg, Mode: 0o644, Size: 3, ModTime: stamp}))
		_, err = tw.Write([]byte("new"))
		must(t, errors.Join(err, tw.Close()))
		changes, err := w.new(nil).Diff(t.Context(), archive.FileInput(f, false))
		must(t, err)
		if len(changes.List) > 0 {
			t.Errorf("elsewhere: %v: planned %v", elsewhere, changes.List)
		}
	}
}

// asUser runs the test as a user who is in another group too.
func asUser(t *testing.T, group uint32) {
	const user = 65533
	dir, err := os.MkdirTemp("", "native")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chown(dir, user, user))
	self, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	exe := filepath.Join(dir, "native.test")
	must(t, os.WriteFile(exe, self, 0o755))
	cmd := exec.Command(exe, "-test.run", "^"+t.Name()+"$")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: user, Gid: user, Groups: []uint32{user, group}},
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
