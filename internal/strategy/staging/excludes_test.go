package staging

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/strategy"
	"stretcher/internal/text/failure"
)

func TestReadExcludeFrom(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "tree")
	must(t, os.MkdirAll(filepath.Join(dir, "etc"), 0o755))
	must(t, os.WriteFile(filepath.Join(top, "secret"), []byte("secret"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "etc/list"), []byte("*.pid\n"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "large"), []byte(strings.Repeat("x", MaxExcludeFrom+1)), 0o644))
	must(t, os.Symlink("etc/list", filepath.Join(dir, "link")))
	must(t, os.Symlink("../secret", filepath.Join(dir, "out")))
	must(t, os.Symlink(filepath.Join(top, "secret"), filepath.Join(dir, "absolute")))
	must(t, os.Symlink("nowhere", filepath.Join(dir, "dangling")))
	must(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644))
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	for name, want := range map[string]error{
		"": nil, "etc/list": nil, "link": nil, "etc/../link": nil,
		"out": failure.ErrRefused, "absolute": failure.ErrRefused, "../secret": failure.ErrRefused,
		"large": failure.ErrRefused, "missing": failure.ErrMalformed, "dangling": failure.ErrMalformed,
		"etc": failure.ErrMalformed, "fifo": failure.ErrMalformed,
	} {
		text, err := ReadExcludeFrom(root, name)
		if !errors.Is(err, want) || err != nil && text != nil {
			t.Errorf("%q: %q, %v", name, text, err)
		}
		if err == nil && name != "" && string(text) != "*.pid\n" {
			t.Errorf("%q: %q", name, text)
		}
	}
}

func TestResolve(t *testing.T) {
	entries := []archive.Entry{
		{Path: "a", Mode: os.ModeSymlink, Link: "b/c"}, {Path: "b", Mode: os.ModeSymlink, Link: "d"},
		{Path: "out", Mode: os.ModeSymlink, Link: "../x"}, {Path: "loop", Mode: os.ModeSymlink, Link: "loop"},
		{Path: "abs", Mode: os.ModeSymlink, Link: "/etc"}, {Path: "plain"}, {Path: "d/c"}, {Path: "d/x"},
		{Path: "d", Mode: os.ModeDir}, {Path: "p", Mode: os.ModeNamedPipe},
	}
	for name, want := range map[string]string{"d": "is not a regular file", "b": "is not a regular file",
		"p":    "is not a regular",
		"none": "is not in the archive", "b/none": "is not in the archive"} {
		if _, err := Resolve(entries, name); !errors.Is(err, failure.ErrMalformed) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
	for name, want := range map[string]string{"a": "d/c", "b/x": "d/x", "plain": "plain", "out": "", "loop": "",
		"abs/passwd": "", "b/../out": ""} {
		got, err := Resolve(entries, filepath.Clean(name))
		if got != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, failure.ErrRefused) {
			t.Errorf("%q leads to %q, %v", name, got, err)
		}
	}
}

func TestExcludes(t *testing.T) {
	target := &strategy.Target{Excludes: []string{"*.pid", "", "/log/"}}
	skip, err := Skip(target, []byte("# list\n*.tmp\n"))
	must(t, err)
	for path, want := range map[string]bool{
		"a.pid": true, "d/a.pid": true, "x.tmp": true, "log": true, "d/log": false, "app": false,
		".stretcher-01900000-0000-7000-8000-000000000001-0": true,
	} {
		if got := skip(path, true); got != want {
			t.Errorf("%q is skipped: %v", path, got)
		}
	}
	if _, err := Skip(&strategy.Target{Excludes: []string{"+ "}}, nil); !errors.Is(err, failure.ErrMalformed) {
		t.Errorf("err = %v", err)
	}
	if _, err := Excludes(target, []byte("- \n")); !errors.Is(err, failure.ErrMalformed) {
		t.Errorf("err = %v", err)
	}
}

func TestSpares(t *testing.T) {
	const hint = "move it away first, exclude /releases, /shared and /current, or stay with sync_strategy releases"
	other := strategy.Deployments{Strategy: "releases", What: "releases",
		Names: []string{"releases/", "shared/", "current"}}
	for _, tc := range []struct {
		excludes []string
		others   []strategy.Deployments
		refused  bool
	}{
		{nil, nil, false},
		{nil, []strategy.Deployments{other}, true},
		{[]string{"/releases", "/shared", "/current"}, []strategy.Deployments{other}, false},
		{[]string{"/releases/", "/shared/", "/current"}, []strategy.Deployments{other}, false},
		{[]string{"/releases", "/shared", "/current/"}, []strategy.Deployments{other}, true},
		{[]string{"/releases", "/shared"}, []strategy.Deployments{other}, true},
		{[]string{"/releases", "/current"}, []strategy.Deployments{other}, true},
	} {
		target := &strategy.Target{Strategy: "native", Excludes: tc.excludes, Dest: &disk.Dest{Given: "/srv/app"},
			Others: func() []strategy.Deployments { return tc.others }}
		err := Spares(target)
		if (err != nil) != tc.refused {
			t.Errorf("%q: %v", tc.excludes, err)
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, failure.ErrRefused) ||
			err.Error() != `dest "/srv/app" holds releases, which sync_strategy native would delete` ||
			failure.Hint(err) != hint {
			t.Errorf("%v, hint %q", err, failure.Hint(err))
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
