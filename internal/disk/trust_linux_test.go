package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"stretcher/internal/text/failure"
)

// TestTrusted looks at one program after each thing that others could do it by.
func TestTrusted(t *testing.T) {
	const stranger = 47001
	mode := func(name string, mode uint32) func(in func(string) string) error {
		return func(in func(string) string) error { return unix.Chmod(in(name), mode) }
	}
	owner := func(name string) func(in func(string) string) error {
		return func(in func(string) string) error { return os.Lchown(in(name), stranger, stranger) }
	}
	for name, c := range map[string]struct {
		change func(in func(string) string) error
		open   string // what is asked for; "" = a/b/prog
		why    string // of the refusal; "" = it is trusted
		root   bool   // root alone can do that
	}{
		"as it is":               {},
		"by a link":              {open: "links/to"},
		"a sticky directory":     {change: mode("a", 0o1777)},
		"a sticky own directory": {change: mode("a/b", 0o1777), why: `a/b" may be written by everybody`},
		"a group's, sticky":      {change: mode("a/b", 0o1775), why: `a/b" may be written by gid`},
		"a link in a sticky one": {
			change: mode("links", 0o1777), open: "links/to", why: `links" may be written by everybody`,
		},
		"a group's file":         {change: mode("a/b/prog", 0o775), why: `a/b/prog" may be written by gid`},
		"everybody's file":       {change: mode("a/b/prog", 0o757), why: `a/b/prog" may be written by everybody`},
		"a sticky file":          {change: mode("a/b/prog", 0o1777), why: `a/b/prog" may be written by everybody`},
		"a group's directory":    {change: mode("a/b", 0o775), why: `a/b" may be written by gid`},
		"everybody's, far above": {change: mode("a", 0o757), why: `a" may be written by everybody`},
		"where the link is":      {change: mode("links", 0o777), open: "links/to", why: `links" may be written by everybody`},
		"a stranger's file": {
			change: owner("a/b/prog"), why: `a/b/prog" may be written by uid 47001, its owner`, root: true,
		},
		"a stranger's directory": {
			change: owner("a/b"), why: `a/b" may be written by uid 47001`, root: true,
		},
		"a stranger's, above": {
			change: owner("a"), why: `a" may be written by uid 47001`, root: true,
		},
		"a stranger's link": {
			change: owner("links/to"), open: "links/to", why: "a symlink of another user, uid 47001", root: true,
		},
		"a stranger's link there": {
			change: owner("links"), open: "links/to", why: `links" may be written by uid 47001`, root: true,
		},
		"another name": {change: func(in func(string) string) error { return os.Link(in("a/b/prog"), in("a/other")) }},
	} {
		t.Run(name, func(t *testing.T) {
			if c.root {
				asRoot(t)
			}
			top := tempDir(t)
			in := func(name string) string { return filepath.Join(top, name) }
			must(t, os.MkdirAll(in("a/b"), 0o755))
			must(t, os.Mkdir(in("links"), 0o755))
			must(t, os.WriteFile(in("a/b/prog"), []byte("text"), 0o755))
			must(t, os.Symlink(in("a/b/prog"), in("links/to"))) // absolute: the way begins anew
			if c.change != nil {
				must(t, c.change(in))
			}
			if c.open == "" {
				c.open = "a/b/prog"
			}
			m, modeErr := TrustedMode(in(c.open))
			f, openErr := OpenTrusted(in(c.open))
			for _, err := range []error{modeErr, openErr} {
				if c.why == "" && err != nil || c.why != "" && (!errors.Is(err, failure.ErrRefused) ||
					!strings.Contains(err.Error(), c.why) || err == openErr && f != nil) {
					t.Errorf("%v, want %q", err, c.why)
				}
			}
			if c.why == "" && (!m.IsRegular() || m.Perm()&0o111 == 0) {
				t.Errorf("mode %s", m)
			}
			_ = f.Close()
		})
	}
}

// TestTrustedOdd: what is no file, or not there, is told apart from what others
// have a hand in.
func TestTrustedOdd(t *testing.T) {
	top := tempDir(t)
	in := func(name string) string { return filepath.Join(top, name) }
	must(t, unix.Mkfifo(in("fifo"), 0o644))
	must(t, os.Symlink("nowhere", in("dangling")))
	for name, want := range map[string]error{"fifo": ErrIrregular, "dangling": ErrDangling, "none": fs.ErrNotExist} {
		if _, err := OpenTrusted(in(name)); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if m, err := TrustedMode(in("fifo")); err != nil || m.IsRegular() || m.IsDir() {
		t.Errorf("%s, %v", m, err)
	}
	if m, err := TrustedMode(top); err != nil || !m.IsDir() {
		t.Errorf("%s, %v", m, err)
	}
	if _, err := OpenTrustedDir(in("none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for _, mode := range []uint32{0o777, 0o1777, 0o1775} {
		must(t, unix.Chmod(top, mode))
		if _, err := OpenTrustedDir(top); !errors.Is(err, failure.ErrRefused) || failure.Hint(err) == "" {
			t.Errorf("%o: %v", mode, err)
		}
	}
	must(t, os.Mkdir(in("below"), 0o755)) // a sticky one is no harm above a directory
	for _, name := range []string{"below", "none/there"} {
		d, _, err := OpenNearestTrusted(in(name))
		if err != nil {
			t.Fatal(err)
		}
		_ = d.Close()
	}
}

// TestTakenAway: a directory that others may have renamed is not taken for one
// that was never there.
func TestTakenAway(t *testing.T) {
	for _, c := range []struct {
		open       string // what others may write
		ask, moved string // a directory, and what of it is gone
		link       string // what is there instead
	}{
		{"", "a/b", "a/b", ""},
		{"", "a/b", "a", ""},
		{"a", "a/b", "a/b", ""},
		{".", "a/b", "a", ""},
		{".", "a/b/c", "a/b", ""},
		{"a", "a/b/c", "a/b", "nowhere"},
		{"a", "a/b/c", "a/b", "b"},
	} {
		top := tempDir(t)
		in := func(name string) string { return filepath.Join(top, name) }
		must(t, os.MkdirAll(in("a/b/c"), 0o755))
		if c.open != "" {
			must(t, unix.Chmod(in(c.open), 0o777))
		}
		must(t, os.Rename(in(c.moved), in("away")))
		if c.link != "" {
			must(t, os.Symlink(c.link, in(c.moved)))
		}
		want := failure.ErrRefused
		if c.open == "" {
			want = fs.ErrNotExist
		}
		if d, err := OpenTrustedDir(in(c.ask)); d != nil || !errors.Is(err, want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
