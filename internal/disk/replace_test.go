//go:build linux

package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReplaceIf(t *testing.T) {
	top := tempDir(t)
	in := func(name string) string { return filepath.Join(top, name) }
	must(t, os.Mkdir(in("dir"), 0o755))
	must(t, os.WriteFile(in("dir/file"), []byte("old"), 0o400))
	must(t, os.Link(in("dir/file"), in("second")))
	must(t, unix.Mkfifo(in("fifo"), 0o600))
	device := unix.Mknod(in("device"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))) == nil
	for name, target := range map[string]string{"link": "dir/file", "tofifo": "fifo", "dangling": "none", "todir": "dir"} {
		must(t, os.Symlink(target, in(name)))
	}
	for _, c := range []struct {
		name string
		err  error
	}{
		{"new", nil}, {"todir/new", nil}, {"link", nil}, {"dir/file", nil},
		{"fifo", ErrIrregular}, {"tofifo", ErrIrregular}, {"dir", ErrIrregular}, {"todir", ErrIrregular},
		{"device", ErrIrregular}, {"dangling", ErrDangling}, {"none/new", fs.ErrNotExist}, {"", ErrIrregular},
	} {
		if c.name == "device" && !device {
			continue
		}
		before, _ := os.Lstat(in(c.name))
		err := ReplaceIf(in(c.name), ".temp-", 0o644, nil, func(w io.Writer) error {
			_, err := io.WriteString(w, c.name)
			return err
		})
		if !errors.Is(err, c.err) {
			t.Errorf("%q: %v, want %v", c.name, err, c.err)
		}
		if after, _ := os.Lstat(in(c.name)); c.err != nil && before != nil && !os.SameFile(before, after) {
			t.Errorf("%q was replaced", c.name)
		}
		if c.err != nil {
			continue
		}
		if data, _ := os.ReadFile(in(c.name)); string(data) != c.name {
			t.Errorf("%q holds %q", c.name, data)
		}
		if info, err := os.Stat(in(c.name)); err != nil || info.Mode().Perm() != 0o644 {
			t.Errorf("%q is %v, %v", c.name, info, err)
		}
	}
	if data, _ := os.ReadFile(in("second")); string(data) != "old" {
		t.Errorf("another name of the file: %q", data)
	}
	wantNoTemp(t, top)
}

// A file that can't be written whole leaves the one that is there; what takes
// its place meanwhile is looked at too.
func TestReplaceIfFails(t *testing.T) {
	top := tempDir(t)
	path := filepath.Join(top, "file")
	must(t, os.WriteFile(path, []byte("old"), 0o600))
	err := ReplaceIf(path, ".temp-", 0o644, nil, func(io.Writer) error { return io.ErrShortWrite })
	if data, _ := os.ReadFile(path); !errors.Is(err, io.ErrShortWrite) || string(data) != "old" {
		t.Errorf("%v, file is %q", err, data)
	}
	asked := 0
	err = ReplaceIf(path, ".temp-", 0o644, func(io.Reader) error {
		if asked++; asked == 2 {
			return io.ErrUnexpectedEOF
		}
		return nil
	}, func(w io.Writer) error {
		_, err := io.WriteString(w, "new")
		return err
	})
	if data, _ := os.ReadFile(path); !errors.Is(err, io.ErrUnexpectedEOF) || string(data) != "old" {
		t.Errorf("%v, file is %q", err, data)
	}
	err = ReplaceIf(path, ".temp-", 0o644, nil, func(io.Writer) error {
		return errors.Join(os.Remove(path), unix.Mkfifo(path, 0o600))
	})
	info, statErr := os.Lstat(path)
	must(t, statErr)
	if !errors.Is(err, ErrIrregular) || info.Mode()&fs.ModeNamedPipe == 0 {
		t.Errorf("%v, file is %v", err, info.Mode())
	}
	wantNoTemp(t, top)
}

func wantNoTemp(t *testing.T, top string) {
	t.Helper()
	for _, pattern := range []string{".temp-*", "*/.temp-*"} {
		if left, _ := filepath.Glob(filepath.Join(top, pattern)); left != nil {
			t.Errorf("left behind: %q", left)
		}
	}
}

// Who may read a file is for its owner to say: nobody else, unless he has let others
// read the one before it.
func TestReplacePrivate(t *testing.T) {
	for name, c := range map[string]struct {
		mode, want fs.FileMode
		link       bool
	}{
		"none": {0, 0o600, false}, "closed": {0o600, 0o600, false}, "group": {0o640, 0o640, false},
		"open": {0o777, 0o644, false}, "a second name": {0o644, 0o600, true}, "write only": {0o222, 0o600, false},
	} {
		path := filepath.Join(t.TempDir(), "page")
		var err error
		if c.mode != 0 {
			err = errors.Join(os.WriteFile(path, []byte("old"), 0o600), os.Chmod(path, c.mode))
		}
		if c.link {
			err = errors.Join(err, os.Link(path, path+"2"))
		}
		err = errors.Join(err, ReplacePrivate(path, ".temp-", func(w io.Writer) error {
			_, err := io.WriteString(w, "new")
			return err
		}))
		info, statErr := os.Stat(path)
		if err = errors.Join(err, statErr); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if text, _ := os.ReadFile(path); info.Mode().Perm() != c.want || string(text) != "new" {
			t.Errorf("%s: %v, %q, want %v", name, info.Mode(), text, c.want)
		}
	}
}
