package releases

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckShared(t *testing.T) {
	for _, tt := range []struct {
		paths string // separated by spaces
		want  string // "" = fine
	}{
		{"log", ""},
		{"log/ config/local.yml a-b a/c ..x ...", ""},
		{"a a-b ab/a", ""},
		{"./log", "not clean"},
		{"log//", "not clean"},
		{"a/./b", "not clean"},
		{"a/../b", "not clean"},
		{"..", "leads out"},
		{"../", "leads out"},
		{"a/../../b", "leads out"},
		{"/log", "leads out"},
		{"/", "names nothing"},
		{".", "names nothing"},
		{"./", "names nothing"},
		{"log log", "twice"},
		{"log log/", "twice"},
		{"a/b a", `"a/b" lies in shared path "a"`},
		{"a/ x a/b/c/", `"a/b/c/" lies in shared path "a"`},
		{"a\x00b", "NUL"},
	} {
		err := CheckShared(strings.Fields(tt.paths))
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("CheckShared(%q) = %v, want %q", tt.paths, err, tt.want)
		}
	}
	if err := CheckShared([]string{""}); err == nil {
		t.Error("an empty path passed")
	}
}

// FuzzCheckShared: a path that passes leads, from where the link stands, to
// the same path in shared and nowhere else.
func FuzzCheckShared(f *testing.F) {
	for _, s := range []string{"log", "a/b/c/", "../x", "a/../b", "/", "a//b", ".."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if CheckShared([]string{p}) != nil {
			return
		}
		name := strings.TrimSuffix(p, "/")
		got := filepath.Join("/dest/releases/ID", filepath.Dir(name), sharedTarget(name))
		if want := "/dest/shared/" + name; got != want {
			t.Errorf("%q leads to %q", p, got)
		}
	})
}

// TestShared adds a release with shared paths. In the trees "NAME/" is a
// directory, "NAME@TARGET" a symlink, "NAME=TEXT" a file.
func TestShared(t *testing.T) {
	for _, tt := range []struct {
		name, release, shared string
		paths                 string
		want                  string // error text; "" = none
		inShared              string // what shared holds afterwards, besides what it did
	}{
		{name: "file on first use", release: "config/a=1 config/b=2", paths: "config/a", inShared: "config/a=1"},
		{name: "file afterwards", release: "config/a=1", shared: "config/a=0", paths: "config/a", inShared: "config/a=0"},
		{name: "directory on first use", release: "log/x/y=1", paths: "log", inShared: "log/x/y=1"},
		{name: "directory on first use, slash", release: "log/x=1", paths: "log/", inShared: "log/x=1"},
		{name: "directory afterwards", release: "log/x=1", shared: "log/", paths: "log", inShared: "log/"},
		{name: "new directory", paths: "log/", inShared: "log/"},
		{name: "new directory deep", release: "f=", paths: "a/b/log/ a/c/", inShared: "a/b/log/ a/c/"},
		{name: "not in the release", shared: "deep/er/f=0", paths: "deep/er/f", inShared: "deep/er/f=0"},
		{name: "several", release: "a=1 b=1", shared: "b=0", paths: "a b c/", inShared: "a=1 b=0 c/"},
		{name: "symlink of the host", release: "log/x=1", shared: "log@/var/log", paths: "log/", inShared: "log@/var/log"},
		{name: "dangling symlink of the host", release: "a=1", shared: "a@nowhere", paths: "a", inShared: "a@nowhere"},
		{name: "symlink of the release loses", release: "log@/etc", shared: "log/", paths: "log/", inShared: "log/"},

		{name: "nowhere", release: "a=1", paths: "log", want: `shared path "log" is neither in the archive nor in "`},
		{name: "symlink in the release", release: "log@/etc", paths: "log/", want: "it is a symlink in the release"},
		{name: "file for a directory", release: "log=1", paths: "log/", want: "it is a file in the release"},
		{name: "file for a directory in shared", shared: "log=1", paths: "log/", want: "is a file, not a directory"},
		{name: "release leads out", release: "a@/tmp", paths: "a/b/", want: `in the release: "a": it is a symlink`},
		{name: "release leads in", release: "b/f=1 a@b", paths: "a/f", want: `in the release: "a": it is a symlink`},
		{name: "release leads out, shared there", release: "a@/tmp", shared: "a/b=0", paths: "a/b",
			want: `in the release: "a": it is a symlink`},
		{name: "file in the way", release: "a=1", shared: "a/b=0", paths: "a/b", want: `"a": it is a file`},
		{name: "shared leads out", release: "a/b=1", shared: "a@/tmp", paths: "a/b",
			want: `in "shared": "a": it is a symlink`},
		{name: "file in the way in shared", release: "a/b=1", shared: "a=0", paths: "a/b",
			want: `in "shared": "a": it is a file`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := layout(t)
			staged := stage(t, d)
			grow(t, staged, tt.release)
			grow(t, d.sharedPath(), tt.shared)
			paths := strings.Fields(tt.paths)
			planned := d.CheckEntries(scan(t, staged), paths)
			err := addAt(d, context.Background(), staged, Release{ID: id(1)}, paths)
			sameError(t, planned, err)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("err = %v, want %q", err, tt.want)
				}
				if _, err := os.Lstat(d.Path(id(1))); err == nil {
					t.Error("the release is there")
				}
				return
			}
			must(t, err)
			compare(t, d.sharedPath(), tt.inShared)
			for _, p := range paths {
				checkLink(t, d, strings.TrimSuffix(p, "/"))
			}
			if left, _ := filepath.Glob(filepath.Join(d.at.Given, "*/.*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// checkLink checks that release 1 has a relative link to shared at name.
func checkLink(t *testing.T, d *Dir, name string) {
	t.Helper()
	link := filepath.Join(d.Path(id(1)), name)
	target, err := os.Readlink(link)
	must(t, err)
	if filepath.IsAbs(target) || filepath.Join(filepath.Dir(link), target) != filepath.Join(d.sharedPath(), name) {
		t.Errorf("%q leads to %q", name, target)
	}
}

func grow(t *testing.T, root, tree string) {
	t.Helper()
	for _, e := range strings.Fields(tree) {
		if name, target, ok := strings.Cut(e, "@"); ok {
			must(t, os.MkdirAll(root, 0o755))
			must(t, os.Symlink(target, filepath.Join(root, name)))
		} else if name, text, ok := strings.Cut(e, "="); ok {
			put(t, filepath.Join(root, name), text)
		} else {
			must(t, os.MkdirAll(filepath.Join(root, e), 0o755))
		}
	}
}

func compare(t *testing.T, root, tree string) {
	t.Helper()
	for _, e := range strings.Fields(tree) {
		if name, target, ok := strings.Cut(e, "@"); ok {
			if got, err := os.Readlink(filepath.Join(root, name)); err != nil || got != target {
				t.Errorf("%s leads to %q, %v", name, got, err)
			}
		} else if name, text, ok := strings.Cut(e, "="); ok {
			if got := get(t, filepath.Join(root, name)); got != text {
				t.Errorf("%s holds %q, want %q", name, got, text)
			}
		} else if info, err := os.Lstat(filepath.Join(root, e)); err != nil || info.Mode() != fs.ModeDir|0o755 {
			t.Errorf("%s: %v, %v", e, info, err)
		}
	}
}

func TestErrShared(t *testing.T) {
	d := layout(t)
	err := addAt(d, context.Background(), stage(t, d), Release{ID: id(1)}, []string{"a/b"})
	want := fmt.Sprintf("add release %q: shared path %q is neither in the archive nor in %q", id(1), "a/b", d.sharedPath())
	if !errors.Is(err, ErrShared) || err.Error() != want {
		t.Errorf("err  = %v\nwant %s", err, want)
	}
	if got := names(t, d.sharedPath()); got != "" {
		t.Errorf("shared holds %s", got)
	}
}

// TestSharedModes: a directory made in shared is as open as the release's.
func TestSharedModes(t *testing.T) {
	d := layout(t)
	staged := stage(t, d, "config/secret", "x")
	must(t, os.Chmod(filepath.Join(staged, "config"), 0o750))
	must(t, os.Chmod(filepath.Join(staged, "config/secret"), 0o640))
	must(t, addAt(d, context.Background(), staged, Release{ID: id(1)}, []string{"config/secret"}))
	for name, want := range map[string]fs.FileMode{"": 0o755, "config": 0o750, "config/secret": 0o640} {
		if info, err := os.Lstat(filepath.Join(d.sharedPath(), name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: %v, want %v", name, info.Mode(), want)
		}
	}
}
