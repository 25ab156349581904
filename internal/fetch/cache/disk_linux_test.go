package cache

import (
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

// mounted is a cache on a small file system of its own, which must not warn.
func mounted(t *testing.T, options string) *Store {
	t.Helper()
	dir := t.TempDir()
	testparts.Mount(t, "tmpfs", dir, "tmpfs", 0, options)
	s, err := Open(filepath.Join(dir, "cache"))
	must(t, err)
	s.Warn = func(err error) { t.Errorf("warning: %v", err) }
	return s
}

// unchanged fails unless the cache holds this one run's entry only.
func unchanged(t *testing.T, s *Store, run string) {
	t.Helper()
	left, err := os.ReadDir(s.dir)
	if err != nil || len(left) != 1 || left[0].Name() != run {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestOtherFileSystem(t *testing.T) {
	s := mounted(t, "size=32m")
	want := strings.Repeat("0123456789", 100_000)
	other, err := os.OpenRoot(t.TempDir())
	must(t, err)
	defer other.Close()
	archive, err := disk.Unnamed(other)
	must(t, err)
	defer archive.Close()
	_, err = archive.WriteString(want)
	must(t, err)
	must(t, s.Put(t.Context(), Entry{Run: "a", Dest: "/d"}, nil, Whole(archive)))
	f, ok := s.Archive("a")
	if got := text(t, f, ok); got != want {
		t.Errorf("copied %d bytes", len(got))
	}
	info, err := os.Stat(filepath.Join(s.dir, "a", archiveName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestNoRoom(t *testing.T) {
	s := mounted(t, "size=20m")
	put(t, s, "a", "/d", "", "")
	archive := file(t, strings.Repeat("x", 4<<20)) // fits, but for the margin
	if err := s.Put(t.Context(), Entry{Run: "b"}, nil, Whole(archive)); !errors.Is(err, disk.ErrNoRoom) {
		t.Errorf("err = %v", err)
	}
	unchanged(t, s, "a")
	must(t, os.WriteFile(filepath.Join(s.dir, "..", "others"), make([]byte, 4<<20), 0o600))
	must(t, s.Put(t.Context(), Entry{Run: "b", Dest: "/d"}, nil, nil)) // a manifest needs no margin
	must(t, s.Prune("/d", 1, nil))                                     // makes room also on a full disk
	if left, err := os.ReadDir(s.dir); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// No inodes are left at any point of Put: what statfs(2) tells of room is not
// all.
func TestNoInodes(t *testing.T) {
	for inodes := range 5 { // a directory, manifest, archive, meta.json
		s := mounted(t, "size=32m,nr_inodes=32")
		put(t, s, "a", "/d", "", "")
		full := filepath.Join(s.dir, "..", "full")
		for i := 0; ; i++ {
			err := os.Mkdir(full+strings.Repeat("x", i), 0o700)
			if errors.Is(err, syscall.ENOSPC) {
				for k := range inodes {
					must(t, os.Remove(full+strings.Repeat("x", k)))
				}
				break
			}
			must(t, err)
		}
		archive := file(t, "content") // to be copied
		err := s.Put(t.Context(), Entry{Run: "b"}, nil, Whole(archive))
		if inodes == 4 {
			must(t, err)
			continue
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%d inodes: err = %v", inodes, err)
		}
		unchanged(t, s, "a")
	}
}

func TestReadOnlyFileSystem(t *testing.T) {
	s := mounted(t, "size=32m")
	put(t, s, "a", "/d", "sum", "one")
	dir := filepath.Dir(s.dir)
	must(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	again, err := Open(s.dir)
	must(t, err)
	if got := listed(t, again, "/d"); got != "a+" {
		t.Errorf("listed %q", got)
	}
	archive := file(t, "two")
	if err := again.Put(t.Context(), Entry{Run: "b"}, nil, Whole(archive)); !errors.Is(err, syscall.EROFS) {
		t.Errorf("err = %v", err)
	}
	unchanged(t, again, "a")
	if err := again.Prune("/d", 0, nil); !errors.Is(err, syscall.EROFS) {
		t.Errorf("err = %v", err)
	}
	again.Sweep()
}

// Root trusts nothing that another user has put there.
func TestForeignEntries(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give files away")
	}
	const nobody = 65534
	s := newStore(t)
	runs := []string{"dir", "meta", "archive", "manifest"}
	for _, run := range runs {
		put(t, s, run, "/d", "sum-"+run, "one")
	}
	for _, run := range runs {
		name := filepath.Join(s.dir, run)
		switch run {
		case "meta":
			name += "/meta.json"
		case "archive", "manifest":
			name += "/" + run
		}
		must(t, os.Lchown(name, nobody, nobody))
	}
	warned := 0
	s.Warn = func(error) { warned++ }
	if got := listed(t, s, "/d"); got != "manifest+ archive" || warned != 1 {
		t.Errorf("listed %q with %d warnings", got, warned)
	}
	if _, err := s.Get("dir"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Get: %v", err)
	}
	if text, err := s.Manifest("manifest"); err == nil {
		t.Errorf("manifest %q", text)
	}
	f, ok := s.Archive("archive")
	isOf(t, s, "", f, ok)
	must(t, os.Lchown(s.dir, nobody, nobody))
	if _, err := Open(s.dir); err == nil {
		t.Error("opened another user's cache")
	}
}

// An ordinary user can't write below a directory of root's.
func TestReadOnlyDirectory(t *testing.T) {
	dir := t.TempDir()
	if os.Getuid() == 0 {
		must(t, os.Chmod(filepath.Dir(dir), 0o755))
		must(t, os.Chmod(dir, 0o755))
		must(t, os.Mkdir(dir+"/cache", 0o755))
	} else {
		must(t, os.Mkdir(dir+"/cache", 0o500))
	}
	done := make(chan struct{})
	go func() { // its own thread, which ends with the goroutine
		defer close(done)
		runtime.LockOSThread()
		if os.Getuid() == 0 {
			if err := unix.Setfsuid(65534); err != nil {
				t.Error(err)
				return
			}
		}
		if _, err := Open(dir + "/cache/below"); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("Open: %v", err)
		}
		s, err := Open(dir + "/cache")
		if err != nil {
			t.Error(err)
			return
		}
		if err := s.Put(t.Context(), Entry{Run: "a"}, nil, nil); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("Put: %v", err)
		}
	}()
	<-done
}
