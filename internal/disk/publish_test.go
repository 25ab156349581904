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

// put publishes text at a path.
func put(path, text string, isNew bool) error {
	return PublishRegular(path, Publication{Temp: ".temp-", Perm: 0o644, New: isNew, Write: func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}})
}

func TestPublishRegular(t *testing.T) {
	top := tempDir(t)
	in := func(name string) string { return filepath.Join(top, name) }
	must(t, os.Mkdir(in("dir"), 0o755))
	must(t, unix.Mkfifo(in("fifo"), 0o600))
	must(t, os.WriteFile(in("dir/file"), []byte("old"), 0o400))
	for name, target := range map[string]string{"link": "dir/file", "tofifo": "fifo", "dangling": "none", "todir": "dir"} {
		must(t, os.Symlink(target, in(name)))
	}
	for _, c := range []struct {
		name  string
		isNew bool
		err   error
	}{
		{"new", true, nil}, {"new", true, fs.ErrExist}, {"new", false, nil}, {"todir/new", false, nil},
		{"link", false, nil}, {"link", true, fs.ErrExist}, {"dir/file", true, fs.ErrExist},
		{"fifo", false, ErrIrregular}, {"tofifo", false, ErrIrregular}, {"dir", false, ErrIrregular},
		{"dangling", false, ErrDangling}, {"none/new", false, fs.ErrNotExist},
	} {
		if err := put(in(c.name), c.name, c.isNew); !errors.Is(err, c.err) {
			t.Errorf("%+v: %v", c, err)
		} else if err != nil {
			continue
		}
		if data, _ := os.ReadFile(in(c.name)); string(data) != c.name {
			t.Errorf("%q holds %q", c.name, data)
		}
	}
	if info, err := os.Lstat(in("link")); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("the symlink is %v now, %v", info, err)
	}
	left, _ := filepath.Glob(in(".temp-*"))
	if more, _ := filepath.Glob(in("dir/.temp-*")); len(left)+len(more) > 0 {
		t.Errorf("left behind: %q", append(left, more...))
	}
}

// TestPublishLeavesNothing: while it is written, and after it failed, nothing is
// there by name.
func TestPublishLeavesNothing(t *testing.T) {
	top := tempDir(t)
	failed := errors.New("the source is gone")
	p := Publication{Temp: ".temp-", Perm: 0o644, Write: func(w io.Writer) error {
		if _, err := io.WriteString(w, "half"); err != nil {
			return err
		}
		if names, _ := os.ReadDir(top); len(names) > 0 {
			t.Logf("no files without a name here: %q", names)
		}
		return failed
	}}
	err := PublishRegular(filepath.Join(top, "file"), p)
	if !errors.Is(err, failed) {
		t.Errorf("%v, want %v", err, failed)
	}
	if names, _ := os.ReadDir(top); len(names) > 0 {
		t.Errorf("left behind: %q", names)
	}
}

// TestPublishByName is PublishRegular where files can't be without a name.
func TestPublishByName(t *testing.T) {
	top := tempDir(t)
	d, err := os.Open(top)
	must(t, err)
	defer d.Close()
	for _, isNew := range []bool{true, false, true} {
		r := replacement{dir: int(d.Fd()), base: "file", temp: ".temp-x"}
		file, err := os.Create(filepath.Join(top, r.temp))
		must(t, err)
		defer file.Close()
		_, statErr := os.Stat(filepath.Join(top, "file"))
		if err := r.publish(file, true, isNew); (err != nil) != (isNew && statErr == nil) {
			t.Errorf("new %v over %v: %v", isNew, statErr, err)
		}
	}
}
