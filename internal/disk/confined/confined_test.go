package confined

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// dirAt opens a directory until the test ends.
func dirAt(t *testing.T, path string) int {
	t.Helper()
	root, err := os.OpenRoot(path)
	must(t, err)
	defer root.Close()
	fd, err := Open(root)
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

func walkAt(t *testing.T, path string) *Walk {
	t.Helper()
	root, err := os.OpenRoot(path)
	must(t, err)
	defer root.Close()
	w, err := NewWalk(root)
	must(t, err)
	t.Cleanup(w.Close)
	return w
}

func TestWalk(t *testing.T) {
	top := t.TempDir()
	must(t, os.MkdirAll(top+"/a/b/c", 0o755))
	must(t, os.MkdirAll(top+"/a/d", 0o755))
	must(t, os.WriteFile(top+"/a/file", nil, 0o644))
	must(t, os.Symlink("b", top+"/a/link"))
	w := walkAt(t, top)
	for path, want := range map[string]error{
		"": nil, "a": nil, "a/b/c": nil, "a/d": nil, "a/none": unix.ENOENT,
		"a/file": unix.ENOTDIR, "a/link": unix.ENOTDIR, "a/link/c": unix.ENOTDIR,
	} {
		fd, err := w.At(path, false)
		if !errors.Is(err, want) {
			t.Errorf("At(%q): %v, want %v", path, err, want)
		}
		if err != nil {
			if reached, _ := w.Reached(); !IsMissing(err) || reached != "a" && want != unix.ENOENT {
				t.Errorf("At(%q) reached %q, %v", path, reached, err)
			}
			continue
		}
		var got unix.Stat_t
		must(t, unix.Fstat(fd, &got))
		if !sameInode(t, filepath.Join(top, path), &got) {
			t.Errorf("At(%q) is another directory", path)
		}
	}
	names, err := w.List(w.Root())
	if err != nil || !slices.Equal(names, []string{"a"}) {
		t.Errorf("names %q, %v", names, err)
	}
}

func sameInode(t *testing.T, path string, st *unix.Stat_t) bool {
	t.Helper()
	var want unix.Stat_t
	must(t, unix.Stat(path, &want))
	return want.Ino == st.Ino && want.Dev == st.Dev
}

func TestWalkMakes(t *testing.T) {
	top := t.TempDir()
	w := walkAt(t, top)
	for path, mode := range map[string]fs.FileMode{"x/y": 0o700, "z": 0o750} {
		w.Mode = mode
		_, err := w.At(path, true)
		must(t, err)
		if info, err := os.Stat(filepath.Join(top, path)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s is %v, %v", path, info, err)
		}
	}
	if _, err := w.Lookup("none/a"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("err = %v", err)
	}
	must(t, os.Mkdir(top+"/none", 0o755))
	if _, err := w.Lookup("none/a/b"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("err = %v", err)
	}
	if _, err := w.Lookup("z"); err != nil {
		t.Error(err)
	}
	if _, err := (*Walk)(nil).Lookup("z"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("err = %v", err)
	}
}

// TestWalkDeep bounds what is open.
func TestWalkDeep(t *testing.T) {
	w := walkAt(t, t.TempDir())
	path := ""
	for i := range 3 * maxOpen {
		path = Join(path, "d")
		_, err := w.At(path, true)
		must(t, err)
		if len(w.open) > maxOpen {
			t.Fatalf("%d descriptors are open at depth %d", len(w.open), i)
		}
	}
	for _, p := range []string{path, path[:len(path)/2], "d", path} {
		_, err := w.At(strings.TrimSuffix(p, "/"), false)
		must(t, err)
	}
}

func TestFiles(t *testing.T) {
	top := t.TempDir()
	fd := dirAt(t, top)
	f, err := Create(fd, "f", 0o640)
	must(t, err)
	must(t, f.Close())
	if _, err := Create(fd, "f", 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created again: %v", err)
	}
	must(t, os.Symlink("f", top+"/link"))
	must(t, os.Mkdir(top+"/dir", 0o755))
	must(t, os.WriteFile(top+"/dir/x", nil, 0o644))
	must(t, unix.Mkfifo(top+"/fifo", 0o600))
	for name, ok := range map[string]bool{"f": true, "link": false, "dir": false, "fifo": false, "none": false} {
		f, err := OpenFile(fd, name)
		if (err == nil) != ok {
			t.Errorf("open %s: %v", name, err)
		}
		if err == nil {
			must(t, f.Close())
		}
	}
	if err := Unlink(fd, "dir"); !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST) {
		t.Errorf("unlinked a directory that is not empty: %v", err)
	}
	must(t, os.Remove(top+"/dir/x"))
	for _, name := range []string{"dir", "link", "fifo"} {
		must(t, Unlink(fd, name))
	}
	if left, _ := os.ReadDir(top); len(left) != 1 {
		t.Errorf("left %v", left)
	}
}

func TestRenameNew(t *testing.T) {
	for what, rename := range map[string]func(int, string, int, string) error{
		"RenameNew": RenameNew, "renameChecked": renameChecked,
	} {
		top := t.TempDir()
		must(t, os.Mkdir(top+"/from", 0o755))
		must(t, os.Mkdir(top+"/empty", 0o755))
		must(t, os.Symlink("nowhere", top+"/dangling"))
		fd := dirAt(t, top)
		for _, name := range []string{"empty", "dangling"} {
			if err := rename(fd, "from", fd, name); !errors.Is(err, fs.ErrExist) {
				t.Errorf("%s replaced %s: %v", what, name, err)
			}
		}
		must(t, rename(fd, "from", fd, "to"))
	}
}

// TestSet: what has another type is left alone, and no symlink is followed.
func TestSet(t *testing.T) {
	top := t.TempDir()
	fd := dirAt(t, top)
	must(t, os.WriteFile(top+"/f", nil, 0o600))
	must(t, os.Symlink("f", top+"/link"))
	m := Meta{Mode: fs.ModeSetuid | 0o755, UID: NoID, GID: NoID, MTime: 1e18}
	if err := Set(fd, "link", m, All()); err == nil {
		t.Error("it followed a symlink")
	}
	if info, err := os.Stat(top + "/f"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	must(t, Set(fd, "f", m, All()))
	if info, err := os.Stat(top + "/f"); err != nil || info.Mode() != 0o755|fs.ModeSetuid ||
		info.ModTime().UnixNano() != 1e18 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	m.Mode = fs.ModeSymlink
	must(t, Set(fd, "link", m, All()))
	if info, err := os.Lstat(top + "/link"); err != nil || info.ModTime().UnixNano() != 1e18 {
		t.Errorf("%v, %v", info.ModTime(), err)
	}
}

func TestMakeDir(t *testing.T) {
	top := t.TempDir()
	fd := dirAt(t, top)
	dir, err := MakeDir(fd, "d")
	must(t, err)
	must(t, unix.Close(dir))
	if _, err := MakeDir(fd, "d"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made again: %v", err)
	}
}

// plant makes a tree with one of each kind.
func plant(t *testing.T, top string) {
	t.Helper()
	must(t, os.MkdirAll(top+"/d/e", 0o755))
	must(t, os.WriteFile(top+"/d/f", []byte("text"), 0o644))
	must(t, os.Chmod(top+"/d/f", 0o640|fs.ModeSetuid))
	must(t, os.Symlink("f", top+"/d/link"))
	must(t, os.WriteFile(top+"/d/e/g", nil, 0o400))
	if os.Getuid() == 0 {
		must(t, os.Lchown(top+"/d/f", 12, 34))
		must(t, os.Chmod(top+"/d/f", 0o640|fs.ModeSetuid))
		must(t, os.Lchown(top+"/d/link", 12, 34))
	}
	must(t, os.Chtimes(top+"/d/e", time.Time{}, time.Unix(1e9, 5)))
	must(t, os.Chmod(top+"/d/e", 0o300))
	must(t, os.Chtimes(top+"/d", time.Time{}, time.Unix(1e9, 7)))
	t.Cleanup(func() { _ = os.Chmod(top+"/d/e", 0o700) })
}

// show is what there is to see of a tree.
func show(t *testing.T, top string) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.WalkDir(top, func(path string, _ fs.DirEntry, err error) error {
		if err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
		var st unix.Stat_t
		must(t, unix.Lstat(path, &st))
		m := MetaOf(&st)
		if m.Mode&fs.ModeSymlink != 0 {
			m.MTime = 0 // of a link that was just made
		}
		text, _ := os.ReadFile(path)
		fmt.Fprintf(&b, "%s %v %d:%d %d %q\n", strings.TrimPrefix(path, top), m.Mode, m.UID, m.GID, m.MTime, text)
		return nil
	}))
	return b.String()
}

func TestCopy(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	plant(t, from)
	want := show(t, from+"/d")
	must(t, Copier{}.Copy(t.Context(), dirAt(t, from), "d", dirAt(t, to), "new"))
	t.Cleanup(func() { _ = os.Chmod(to+"/new/e", 0o700) })
	if got := show(t, to+"/new"); got != want {
		t.Errorf("copied\n%s\nwant\n%s", got, want)
	}
	if got := show(t, from+"/d"); got != want {
		t.Errorf("what was copied is\n%s\nnow, was\n%s", got, want)
	}
	if err := (Copier{}).Copy(t.Context(), dirAt(t, from), "d", dirAt(t, to), "new"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("copied again: %v", err)
	}
	must(t, Copier{}.CopyDir(t.Context(), dirAt(t, from+"/d"), dirAt(t, to), "newer"))
	t.Cleanup(func() { _ = os.Chmod(to+"/newer/e", 0o700) })
	if got := show(t, to+"/newer"); got != want {
		t.Errorf("copied\n%s\nwant\n%s", got, want)
	}
}

func TestCopyRefuses(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	must(t, os.MkdirAll(from+"/d/e", 0o755))
	must(t, unix.Mkfifo(from+"/d/e/p", 0o640))
	no := errors.New("no")
	refuse := func(path string, mode fs.FileMode) error {
		if path != "d/e/p" || mode&fs.ModeNamedPipe == 0 {
			t.Errorf("asked of %q, %v", path, mode)
		}
		return no
	}
	if err := (Copier{Refuse: refuse}).Copy(t.Context(), dirAt(t, from), "d", dirAt(t, to), "a"); !errors.Is(err, no) {
		t.Errorf("err = %v", err)
	}
	if err := Mkfifo(dirAt(t, to), "probe", 0o600); err == nil {
		must(t, Copier{}.Copy(t.Context(), dirAt(t, from), "d", dirAt(t, to), "b"))
		if info, err := os.Lstat(to + "/b/e/p"); err != nil || info.Mode() != fs.ModeNamedPipe|0o640 {
			t.Errorf("%v, %v", info, err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(no)
	if err := (Copier{}).Copy(ctx, dirAt(t, from), "d", dirAt(t, to), "c"); !errors.Is(err, no) {
		t.Errorf("err = %v", err)
	}
}

// TestSetMade: a file gets what it does not have, and what it is then is told.
func TestSetMade(t *testing.T) {
	top := t.TempDir()
	fd := dirAt(t, top)
	for i, c := range []struct {
		made, want fs.FileMode
		parts      What
		mode       fs.FileMode // then
	}{
		{0o600, 0o600, All(), 0o600},
		{0o600, 0o644, All(), 0o644},
		{0o600, 0o644, Time, 0o600},
		{0o755, fs.ModeSetuid | 0o755, All(), fs.ModeSetuid | 0o755},
		{0o400, 0o000, All(), 0o000},
	} {
		name := fmt.Sprint(i)
		f, err := Create(fd, name, c.made)
		must(t, err)
		_, err = f.WriteString("text")
		must(t, err)
		m := Meta{Mode: c.want, UID: uint32(os.Geteuid()), GID: NoID, MTime: 1e18}
		st, err := SetMade(f, fd, name, m, c.parts)
		must(t, errors.Join(err, f.Close()))
		var is unix.Stat_t
		must(t, Lstat(fd, name, &is))
		if FileMode(&st) != c.mode || st.Mtim.Nano() != 1e18 || is.Ctim != st.Ctim || is.Mode != st.Mode {
			t.Errorf("%d: %v, and is %v", i, FileMode(&st), FileMode(&is))
		}
	}
}

// TestSetMadeOwner: another's file is made as its own.
func TestSetMadeOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	fd := dirAt(t, t.TempDir())
	f, err := Create(fd, "f", 0o755)
	must(t, err)
	m := Meta{Mode: fs.ModeSetuid | 0o755, UID: 12, GID: 34, MTime: 1e18}
	st, err := SetMade(f, fd, "f", m, All())
	must(t, errors.Join(err, f.Close()))
	if st.Uid != 12 || st.Gid != 34 || FileMode(&st) != m.Mode || st.Mtim.Nano() != 1e18 {
		t.Errorf("%+v", st)
	}
}

// TestMake: a file is made whole, where nothing is.
func TestMake(t *testing.T) {
	top := t.TempDir()
	fd := dirAt(t, top)
	for i, content := range []string{"", "text", strings.Repeat("x", 300_000)} {
		name := fmt.Sprint(i)
		m := Meta{Mode: 0o640, UID: NoID, GID: NoID, MTime: 1e18}
		st, err := Make(fd, name, []byte(content), m, All())
		must(t, err)
		var is unix.Stat_t
		must(t, Lstat(fd, name, &is))
		got, err := os.ReadFile(filepath.Join(top, name))
		must(t, err)
		if string(got) != content || FileMode(&is) != 0o640 || is.Mtim.Nano() != 1e18 || st.Ctim != is.Ctim {
			t.Errorf("%d: %d bytes, %v", i, len(got), FileMode(&is))
		}
		if _, err := Make(fd, name, nil, m, All()); !errors.Is(err, fs.ErrExist) {
			t.Errorf("once more: %v", err)
		}
	}
}

// TestWalksMakeAlike has several walks make the same directories at once.
func TestWalksMakeAlike(t *testing.T) {
	top := t.TempDir()
	var all sync.WaitGroup
	for range 4 {
		w := walkAt(t, top)
		all.Go(func() {
			for i := range 200 {
				if _, err := w.At(fmt.Sprintf("%d/a/b", i), true); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}
