package releases

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk"
	"stretcher/internal/testparts"
)

// mountTmp mounts a tmpfs at dir.
func mountTmp(t *testing.T, dir, options string) {
	t.Helper()
	testparts.Mount(t, "tmpfs", dir, "tmpfs", 0, options)
}

func TestFull(t *testing.T) {
	dir := t.TempDir()
	mountTmp(t, dir, "size=256k")
	d, err := Open(dir, Options{Sync: true})
	must(t, err)
	must(t, d.Prepare())
	add(t, d, 1, Good)
	must(t, d.Switch(id(1)))
	staged := stage(t, d, "config/a", "1")
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o644); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	if err := addAt(d, context.Background(), staged, Release{ID: id(2)}, nil); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Add = %v", err)
	}
	if err := d.Mark(id(1), Bad, "x"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Mark = %v", err)
	}
	if list, err := d.List(); err != nil || len(list) != 1 || list[0].State != Good {
		t.Errorf("List = %+v, %v", list, err)
	}
	must(t, os.Remove(filler))
	must(t, addAt(d, context.Background(), staged, Release{ID: id(2)}, []string{"config/a"}))
	if _, err := d.Prune(context.Background(), 1, id(2)); err != nil {
		t.Errorf("Prune = %v", err)
	}
	want := strings.Join([]string{id(1), id(1) + ".json", id(2), id(2) + ".json"}, " ")
	if got := names(t, d.releasesPath()); got != want {
		t.Errorf("releases holds\n%s, want\n%s", got, want)
	}
}

func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	mountTmp(t, dir, "")
	d, err := Open(dir+"/dest", Options{Sync: true})
	must(t, err)
	readOnly := func() { must(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, "")) }
	readOnly()
	if err := d.Prepare(); !errors.Is(err, syscall.EROFS) {
		t.Errorf("Prepare = %v", err)
	}
	must(t, unix.Mount("", dir, "", unix.MS_REMOUNT, ""))
	must(t, d.Prepare())
	for n := 1; n <= 3; n++ {
		add(t, d, n, Good)
	}
	staged := stage(t, d, "a", "1")
	readOnly()
	_, pruneErr := d.Prune(context.Background(), 1, "")
	for what, err := range map[string]error{
		"Add":         addAt(d, context.Background(), staged, Release{ID: id(4)}, nil),
		"Add, shared": addAt(d, context.Background(), staged, Release{ID: id(4)}, []string{"a"}),
		"Switch":      d.Switch(id(1)),
		"Mark":        d.Mark(id(1), Bad, ""),
		"Prune":       pruneErr,
	} {
		if !errors.Is(err, syscall.EROFS) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s = %v", what, err)
		}
	}
	if list, err := d.List(); err != nil || len(list) != 3 {
		t.Errorf("List = %+v, %v", list, err)
	}
}

// TestSharedElsewhere: shared is another file system, so that the release's
// own copies can't be renamed there.
func TestSharedElsewhere(t *testing.T) {
	d := layout(t)
	must(t, os.Mkdir(d.sharedPath(), 0o755))
	mountTmp(t, d.sharedPath(), "")
	staged := stage(t, d, "config/a", "1", "log/x/y", "2")
	must(t, os.Symlink("x/y", filepath.Join(staged, "log/link")))
	must(t, os.Chmod(filepath.Join(staged, "log/x"), fs.ModeSetgid|0o750))
	must(t, os.Lchown(filepath.Join(staged, "log/x/y"), 1234, 5678))
	must(t, os.Chmod(filepath.Join(staged, "log/x/y"), fs.ModeSetuid|0o711))
	put(t, filepath.Join(d.sharedPath(), newShared+id(7), "half"), "of a copy that was killed")
	must(t, addAt(d, context.Background(), staged, Release{ID: id(1)}, []string{"config/a", "log", "tmp/pids/"}))
	compare(t, d.sharedPath(), "config/a=1 log/x/y=2 log/link@x/y tmp/pids/")
	for _, name := range []string{"config/a", "log", "tmp/pids"} {
		checkLink(t, d, name)
	}
	info, err := os.Lstat(filepath.Join(d.sharedPath(), "log/x"))
	if err != nil || settable(info.Mode()) != fs.ModeSetgid|0o750 {
		t.Errorf("log/x: %v, %v", info.Mode(), err)
	}
	info, err = os.Lstat(filepath.Join(d.sharedPath(), "log/x/y"))
	must(t, err)
	st := info.Sys().(*syscall.Stat_t)
	if settable(info.Mode()) != fs.ModeSetuid|0o711 || st.Uid != 1234 || st.Gid != 5678 {
		t.Errorf("log/x/y: %v, %d:%d", info.Mode(), st.Uid, st.Gid)
	}
	if got := names(t, d.sharedPath()); got != "config log tmp" {
		t.Errorf("shared holds %s", got)
	}

	staged = stage(t, d, "b/f", "1")
	must(t, unix.Mkfifo(filepath.Join(staged, "b/fifo"), 0o600))
	planned := d.CheckEntries(scan(t, staged), []string{"b"})
	err = addAt(d, context.Background(), staged, Release{ID: id(2)}, []string{"b"})
	if err == nil || !strings.Contains(err.Error(), "special file") {
		t.Errorf("err = %v", err)
	}
	sameError(t, planned, err)
	if got := names(t, d.sharedPath()); got != "config log tmp" {
		t.Errorf("shared holds %s", got)
	}
}

func TestSharedFull(t *testing.T) {
	d := layout(t)
	must(t, os.Mkdir(d.sharedPath(), 0o755))
	mountTmp(t, d.sharedPath(), "size=64k")
	staged := stage(t, d, "log/a", "1", "log/b", strings.Repeat("x", 1<<20))
	err := addAt(d, context.Background(), staged, Release{ID: id(1)}, []string{"log"})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("err = %v", err)
	}
	if got := names(t, d.sharedPath()) + " " + names(t, filepath.Join(staged, "log")); got != " a b" {
		t.Errorf("shared and log hold %s", got)
	}
}

// TestOrdinaryUser deploys a tree of directories that their owner may not
// write in.
func TestOrdinaryUser(t *testing.T) {
	dir := t.TempDir()
	if os.Getuid() == 0 {
		must(t, os.Chmod(filepath.Dir(dir), 0o755)) // made 0700 by the testing package
		must(t, os.Chmod(dir, 0o777))
	}
	asUser(t, func() {
		d := layoutOf(t, dir+"/dest")
		must(t, d.Prepare())
		paths := []string{"a/b/own", "a/new/", "a/b/keep"}
		for n := 1; n <= 3; n++ {
			staged := stage(t, d, "a/b/own/f", "1", "a/b/keep", "2")
			put(t, filepath.Join(staged, "same"), strings.Repeat("x", 9000))
			must(t, os.Chmod(filepath.Join(staged, "same"), 0o444))
			for _, p := range []string{"a/b/own", "a/b", "a", ""} {
				must(t, os.Chmod(filepath.Join(staged, p), 0o555))
			}
			_, err := reuseAt(d, context.Background(), staged, id(n-1), Hard)
			must(t, err)
			must(t, addAt(d, context.Background(), staged, Release{ID: id(n)}, paths))
			must(t, d.Switch(id(n)))
			must(t, d.Mark(id(n), Good, ""))
			for _, p := range []string{"", "a", "a/b", "a/b/own/"} {
				if info, err := os.Stat(filepath.Join(d.Path(id(n)), p)); err != nil || info.Mode().Perm() != 0o555 {
					t.Errorf("release %d, %q: %v, %v", n, p, info.Mode(), err)
				}
			}
		}
		compare(t, d.sharedPath(), "a/b/own/f=1 a/b/keep=2 a/new/")
		if removed, err := d.Prune(context.Background(), 2, ""); err != nil || len(removed) != 1 {
			t.Errorf("Prune = %v, %v", removed, err)
		}
		top, err := os.OpenRoot(dir)
		must(t, err)
		defer top.Close()
		must(t, disk.RemoveAll(top, "dest")) // others than root could not clean up after the test
	})
}

// TestUnsynced: a directory that can't be opened can't be synced either.
func TestUnsynced(t *testing.T) {
	dir := t.TempDir()
	if os.Getuid() == 0 {
		must(t, os.Chmod(filepath.Dir(dir), 0o755))
		must(t, os.Chmod(dir, 0o777))
	}
	asUser(t, func() {
		d := layoutOf(t, dir+"/dest")
		must(t, d.Prepare())
		add(t, d, 1, Good)
		must(t, os.Chmod(d.at.Given, 0o300))
		err := d.Switch(id(1))
		if !errors.Is(err, ErrUnsynced) || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("err = %v", err)
		}
		if got, _, err := d.Current(); got != id(1) || err != nil {
			t.Errorf("Current = %q, %v", got, err)
		}
		must(t, os.Chmod(d.at.Given, 0o500))
		add(t, d, 2, Good)
		if err := d.Switch(id(2)); err == nil || errors.Is(err, ErrUnsynced) {
			t.Errorf("err = %v", err)
		}
		if got, _, err := d.Current(); got != id(1) || err != nil {
			t.Errorf("Current = %q, %v", got, err)
		}
		must(t, os.Chmod(d.at.Given, 0o700))
	})
}

// layoutOf is a layout of the user that a thread has become: the process is
// still root.
func layoutOf(t *testing.T, dest string) *Dir {
	t.Helper()
	for _, dir := range []string{releasesName, sharedName} {
		must(t, os.MkdirAll(filepath.Join(dest, dir), 0o755))
	}
	d, err := Open(dest, Options{Sync: true})
	must(t, err)
	d.uid = nobody
	return d
}

const nobody = 65534

// asUser runs f with the file system rights of an ordinary user.
func asUser(t *testing.T, f func()) {
	t.Helper()
	if os.Getuid() != 0 {
		f()
		return
	}
	done := make(chan struct{})
	go func() { // its own thread, which ends with the goroutine
		defer close(done)
		runtime.LockOSThread()
		must(t, unix.Setfsuid(nobody)) // the capabilities over files go with it: credentials(7)
		f()
	}()
	<-done
}

// TestPruneGoesOn: something is mounted in an old release. The others go, now
// and at each later time.
func TestPruneGoesOn(t *testing.T) {
	d := layout(t)
	for n := 1; n <= 5; n++ {
		add(t, d, n, Good)
	}
	must(t, d.Switch(id(5)))
	point := filepath.Join(d.Path(id(1)), "mounted")
	must(t, os.Mkdir(point, 0o755))
	mountTmp(t, point, "")
	removed, err := d.Prune(context.Background(), 3, "")
	if !errors.Is(err, disk.ErrMount) || strings.Contains(err.Error(), "\n") || len(removed) != 1 || removed[0] != id(2) {
		t.Errorf("Prune = %v, %v", removed, err)
	}
	removed, err = d.Prune(context.Background(), 2, "")
	if !errors.Is(err, disk.ErrMount) || len(removed) != 1 || removed[0] != id(3) {
		t.Errorf("Prune once more = %v, %v", removed, err)
	}
}
