//go:build linux

package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// stranger owns what neither root nor the caller owns.
const stranger = 47001

func dirAt(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := Open(path)
	must(t, err)
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// tempDir is a temporary directory under its real name, which all may pass.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	must(t, os.Chmod(dir, 0o755))
	return dir
}

func asRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
}

func TestOpen(t *testing.T) {
	top := tempDir(t)
	must(t, os.MkdirAll(filepath.Join(top, "a/b/c"), 0o755))
	must(t, os.WriteFile(filepath.Join(top, "file"), nil, 0o644))
	for name, target := range map[string]string{
		"a/absolute": top + "/a/b", "a/up": "../a/./b", "a/long": "../a/b/../up/c", "root": "/",
		"loop": "pool", "pool": "loop", "dangling": "none", "a/tofile": "../file", "slash": top + "//a/",
	} {
		must(t, os.Symlink(target, filepath.Join(top, name)))
	}
	for _, c := range []struct {
		path, want string
		err        error
	}{
		{"a/b", "a/b", nil},
		{"a//b/./c/../", "a/b", nil},
		{"a/absolute", "a/b", nil},
		{"a/absolute/c", "a/b/c", nil},
		{"a/up/c", "a/b/c", nil},
		{"a/long", "a/b/c", nil},
		{"slash/up", "a/b", nil},
		{"root" + top + "/a", "a", nil},
		{"none", "", fs.ErrNotExist},
		{"none/a", "", fs.ErrNotExist},
		{"dangling", "", fs.ErrNotExist},
		{"dangling/a", "", fs.ErrNotExist},
		{"file", "", unix.ENOTDIR},
		{"file/a", "", unix.ENOTDIR},
		{"a/tofile", "", unix.ENOTDIR},
		{"loop", "", unix.ELOOP},
	} {
		d, err := Open(top + "/" + c.path)
		if !errors.Is(err, c.err) {
			t.Errorf("Open(%q): %v, want %v", c.path, err, c.err)
		}
		if err != nil {
			continue
		}
		if d.Path() != filepath.Join(top, c.want) {
			t.Errorf("Open(%q) is at %q, want %q", c.path, d.Path(), c.want)
		}
		want, _ := os.Stat(filepath.Join(top, c.want))
		if got, err := d.Root().Stat("."); err != nil || !os.SameFile(got, want) {
			t.Errorf("Open(%q): its root is another directory: %v", c.path, err)
		}
		must(t, d.Close())
		must(t, d.Close())
	}
	if _, err := Open("relative"); err == nil {
		t.Error("a relative path was opened")
	}
	if d := dirAt(t, "/"); d.Path() != "/" || !d.Private() {
		t.Errorf("/ is %q, private: %v", d.Path(), d.Private())
	}
}

func TestOpenForeignLink(t *testing.T) {
	asRoot(t)
	top := tempDir(t)
	must(t, os.Mkdir(filepath.Join(top, "a"), 0o755))
	for _, target := range []string{"a", top + "/a"} {
		link := filepath.Join(top, "link")
		must(t, os.Symlink(target, link))
		dirAt(t, link)
		must(t, os.Lchown(link, stranger, stranger))
		for _, path := range []string{link, link + "/", link + "/b"} {
			if _, err := Open(path); !errors.Is(err, ErrForeignLink) || !strings.Contains(err.Error(), "47001") {
				t.Errorf("Open(%q): %v", path, err)
			}
		}
		must(t, os.Remove(link))
	}
}

// TestOpenUnreadable: a directory on the way need not be readable.
func TestOpenUnreadable(t *testing.T) {
	top := tempDir(t)
	must(t, os.MkdirAll(filepath.Join(top, "way/a"), 0o755))
	asUser(t, top, func() {
		must(t, os.Chmod(filepath.Join(top, "way"), 0o311))
		d, err := Open(filepath.Join(top, "way/a"))
		must(t, err)
		must(t, d.Close())
		must(t, os.Chmod(filepath.Join(top, "way"), 0o755))
	})
}

func TestPrivate(t *testing.T) {
	for _, c := range []struct {
		name        string
		uid         int
		mode        fs.FileMode
		below, want bool
	}{
		{"own", 0, 0o755, false, true},
		{"own, closed", 0, 0o700, false, true},
		{"group may write", 0, 0o775, false, false},
		{"all may write", 0, 0o757, false, false},
		{"sticky", 0, 0o777 | fs.ModeSticky, false, true},
		{"a stranger's", stranger, 0o755, false, false},
		{"a stranger's, sticky", stranger, 0o755 | fs.ModeSticky, false, false},
		{"below one that a group may write", 0, 0o775, true, false},
		{"below a stranger's", stranger, 0o755, true, false},
		{"below a sticky one", 0, 0o777 | fs.ModeSticky, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := tempDir(t)
			must(t, os.Mkdir(filepath.Join(dir, "below"), 0o755))
			if c.uid != 0 {
				asRoot(t)
				must(t, os.Chown(dir, c.uid, c.uid))
			}
			must(t, os.Chmod(dir, c.mode))
			d := dirAt(t, dir)
			if c.below {
				sub, err := d.Sub("below")
				must(t, err)
				defer sub.Close()
				if sub.Private() != c.want {
					t.Errorf("Sub: %v, %q", sub.Private(), sub.Exposed())
				}
				d = dirAt(t, filepath.Join(dir, "below"))
			}
			if d.Private() != c.want || (d.Exposed() == "") != c.want {
				t.Errorf("private: %v, %q", d.Private(), d.Exposed())
			}
		})
	}
}

// TestPrivateThroughLink: the real way counts, not the one that is named.
func TestPrivateThroughLink(t *testing.T) {
	top := tempDir(t)
	must(t, os.MkdirAll(filepath.Join(top, "exposed/a"), 0o755))
	must(t, os.Chmod(filepath.Join(top, "exposed"), 0o777))
	must(t, os.Symlink("exposed/a", filepath.Join(top, "link")))
	if dirAt(t, filepath.Join(top, "link")).Private() {
		t.Error("it is private")
	}
	must(t, os.Mkdir(filepath.Join(top, "b"), 0o755))
	must(t, os.Symlink("../b", filepath.Join(top, "exposed/link")))
	if d := dirAt(t, filepath.Join(top, "exposed/link")); !d.Private() {
		t.Error(d.Exposed())
	}
}

func TestSub(t *testing.T) {
	top := tempDir(t)
	must(t, os.Mkdir(filepath.Join(top, "a"), 0o755))
	must(t, os.Symlink("a", filepath.Join(top, "link")))
	d := dirAt(t, top)
	for _, name := range []string{"", ".", "..", "a/b", "a/", "link", "none", "a\x00"} {
		if _, err := d.Sub(name); err == nil {
			t.Errorf("Sub(%q) succeeded", name)
		}
	}
	must(t, os.Rename(top, top+".moved")) // the descriptor leads there
	sub, err := d.Sub("a")
	must(t, err)
	defer sub.Close()
	if sub.Path() != filepath.Join(top, "a") || sub.Device() != d.Device() {
		t.Errorf("it is %q on %d", sub.Path(), sub.Device())
	}
	must(t, os.Rename(top+".moved", top))
}

func TestMake(t *testing.T) {
	d := dirAt(t, tempDir(t))
	made, err := d.Make("a", 0o700)
	must(t, err)
	defer made.Close()
	if info, err := d.Root().Stat("a"); err != nil || info.Mode() != fs.ModeDir|0o700 || !made.Private() {
		t.Errorf("it is %v, %v", info, err)
	}
	if _, err := d.Make("a", 0o700); !errors.Is(err, fs.ErrExist) {
		t.Errorf("again: %v", err)
	}
	if _, err := d.Make("../b", 0o700); err == nil {
		t.Error("made outside")
	}
	must(t, made.Root().WriteFile("file", nil, 0o600))
	if made.asMade(0o700) {
		t.Error("a directory with a file in it is taken for a new one")
	}
	other, err := d.Make("b", 0o755)
	must(t, err)
	defer other.Close()
	if other.asMade(0o700) {
		t.Error("a directory of more permissions is taken for a new one")
	}
}

// TestRootAlong: without /proc a root is found along the path, and only if it
// is the same directory.
func TestRootAlong(t *testing.T) {
	top := tempDir(t)
	must(t, os.MkdirAll(filepath.Join(top, "a/b"), 0o755))
	d := dirAt(t, filepath.Join(top, "a/b"))
	root, err := rootAlong(d.File(), d.Path())
	must(t, err)
	must(t, root.Close())
	must(t, os.Rename(filepath.Join(top, "a"), filepath.Join(top, "c")))
	if _, err := rootAlong(d.File(), d.Path()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("moved away: %v", err)
	}
	must(t, os.MkdirAll(filepath.Join(top, "a/b"), 0o755))
	if _, err := rootAlong(d.File(), d.Path()); !errors.Is(err, errSwapped) {
		t.Errorf("another: %v", err)
	}
}
