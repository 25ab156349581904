//go:build linux

package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOpenRegular(t *testing.T) {
	top := tempDir(t)
	in := func(name string) string { return filepath.Join(top, name) }
	must(t, os.WriteFile(in("file"), []byte("text"), 0o600))
	must(t, unix.Mkfifo(in("fifo"), 0o600))
	must(t, os.Mkdir(in("dir"), 0o755))
	for name, target := range map[string]string{
		"link": "file", "dir/link": "../link", "tofifo": "fifo", "tonew": "dir/new", "loop": "loop", "todir": "dir",
		"dangling": "nowhere", "danglingdir": "nowhere/at/all",
	} {
		must(t, os.Symlink(target, in(name)))
	}
	for _, c := range []struct {
		name string
		flag int
		err  error
	}{
		{"file", os.O_RDONLY, nil},
		{"link", os.O_RDONLY, nil},
		{"dir/link", os.O_RDONLY, nil},
		{"dir/../file", os.O_RDONLY, nil},
		{"file", os.O_WRONLY | os.O_APPEND, nil},
		{"new", os.O_RDONLY, fs.ErrNotExist},
		{"none/new", os.O_WRONLY | os.O_CREATE, fs.ErrNotExist},
		{"dangling", os.O_RDONLY, ErrDangling},
		{"danglingdir", os.O_RDONLY, ErrDangling},
		{"danglingdir/file", os.O_RDONLY, ErrDangling},
		{"dir/link/none", os.O_RDONLY, unix.ENOTDIR},
		{"todir/none", os.O_RDONLY, fs.ErrNotExist},
		{"tonew", os.O_WRONLY | os.O_CREATE, nil},
		{"fifo", os.O_RDONLY, ErrIrregular},
		{"fifo", os.O_WRONLY, ErrIrregular},
		{"tofifo", os.O_WRONLY, ErrIrregular},
		{"dir", os.O_RDONLY, ErrIrregular},
		{"loop", os.O_RDONLY, unix.ELOOP},
		{"file", os.O_WRONLY | os.O_CREATE | os.O_EXCL, fs.ErrExist},
	} {
		f, err := OpenRegular(in(c.name), c.flag, 0o600)
		if !errors.Is(err, c.err) {
			t.Errorf("OpenRegular(%q, %o): %v, want %v", c.name, c.flag, err, c.err)
		}
		if err != nil && !strings.Contains(err.Error(), in(c.name)) {
			t.Errorf("OpenRegular(%q): %v", c.name, err)
		}
		if err == nil {
			_ = f.Close()
		}
	}
	if _, err := os.Stat(in("dir/new")); err != nil {
		t.Error(err)
	}
	f, err := OpenRegular(in("link"), os.O_RDWR|os.O_TRUNC, 0)
	must(t, err)
	defer f.Close()
	if text, err := io.ReadAll(f); err != nil || len(text) > 0 {
		t.Errorf("not truncated: %q, %v", text, err)
	}
}

func TestOpenRegularForeign(t *testing.T) {
	asRoot(t)
	top := tempDir(t)
	in := func(name string) string { return filepath.Join(top, name) }
	must(t, os.WriteFile(in("secret"), []byte("text"), 0o600))
	must(t, os.Mkdir(in("app"), 0o755))
	must(t, os.Symlink(in("secret"), in("app/log")))
	must(t, os.Lchown(in("app/log"), stranger, stranger))
	must(t, os.Link(in("secret"), in("app/second")))
	must(t, os.Chown(in("app"), stranger, stranger))
	if _, err := OpenRegular(in("app/log"), os.O_WRONLY|os.O_APPEND, 0); !errors.Is(err, ErrForeignLink) {
		t.Errorf("a foreign symlink: %v", err)
	}
	if _, err := OpenRegular(in("app/second"), os.O_WRONLY|os.O_TRUNC, 0); err == nil {
		t.Error("a second name was opened for writing")
	}
	if text, err := os.ReadFile(in("secret")); err != nil || string(text) != "text" {
		t.Errorf("it holds %q, %v", text, err)
	}
}

func TestOpenRegularIn(t *testing.T) {
	top := tempDir(t)
	root := rootAt(t, top)
	must(t, root.WriteFile("file", []byte("text"), 0o600))
	must(t, root.Symlink("file", "link"))
	must(t, root.Link("file", "second"))
	must(t, unix.Mkfifo(filepath.Join(top, "fifo"), 0o600))
	for name, want := range map[string]error{
		"file": nil, "second": nil, "link": unix.ELOOP, "fifo": ErrIrregular, "none": fs.ErrNotExist, "../a": unix.EINVAL,
	} {
		f, err := OpenRegularIn(root, name, os.O_WRONLY, 0)
		if !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
		if err == nil {
			_ = f.Close()
		}
	}
	must(t, os.Chmod(top, 0o777))
	if _, err := OpenRegularIn(root, "second", os.O_WRONLY, 0); err == nil {
		t.Error("a second name was opened for writing where others can rename")
	}
}
