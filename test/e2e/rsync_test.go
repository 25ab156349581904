package e2e

import (
	"archive/tar"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"stretcher/internal/testparts"
)

// zoo is one of each that an archive may hold and rsync keeps.
func zoo() []item {
	at := func(s int64) time.Time { return time.Unix(1_600_000_000+s, 0) }
	return []item{
		{Header: tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o711, Uid: 1001, Gid: 1002, ModTime: at(0)}},
		{tar.Header{Name: "./plain", Typeflag: tar.TypeReg, Mode: 0o640, Uid: 1003, Gid: 1004, ModTime: at(1)}, "plain"},
		{tar.Header{Name: "./empty", Typeflag: tar.TypeReg, Mode: 0o600, ModTime: at(2)}, ""},
		{tar.Header{Name: "./setuid", Typeflag: tar.TypeReg, Mode: 0o4755, Uid: 0, Gid: 7, ModTime: at(3)}, "#!/bin/sh\n"},
		{Header: tar.Header{Name: "./setgid/", Typeflag: tar.TypeDir, Mode: 0o2775, Uid: 5, Gid: 6, ModTime: at(4)}},
		{tar.Header{Name: "./setgid/Ümläut \n*", Typeflag: tar.TypeReg, Mode: 0o444, ModTime: at(5)}, "name"},
		{Header: tar.Header{Name: "./setgid/locked/", Typeflag: tar.TypeDir, Mode: 0o500, Uid: 9, ModTime: at(6)}},
		{tar.Header{Name: "./setgid/locked/in", Typeflag: tar.TypeReg, Mode: 0o000, ModTime: at(7)}, "in"},
		{Header: tar.Header{Name: "./sticky/", Typeflag: tar.TypeDir, Mode: 0o1777, ModTime: at(8)}},
		{Header: tar.Header{Name: "./link", Typeflag: tar.TypeSymlink, Linkname: "setgid/locked", Mode: 0o777, Uid: 11,
			Gid: 12, ModTime: at(9)}},
		{Header: tar.Header{Name: "./dangling", Typeflag: tar.TypeSymlink, Linkname: "/nowhere",
			Mode: 0o777, ModTime: at(10)}},
		{Header: tar.Header{Name: "./pipe", Typeflag: tar.TypeFifo, Mode: 0o622, Uid: 13, ModTime: at(11)}},
	}
}

// looks describes an entry: type and mode, owners, time, content or target.
func looks(mode fs.FileMode, uid, gid int, modified time.Time, content string) string {
	return fmt.Sprintf("%s %d:%d %s %q", mode, uid, gid, modified.UTC().Format(time.DateTime), content)
}

// listing looks at every entry below dir.
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content := ""
		switch {
		case info.Mode().IsRegular():
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content = string(b)
		case info.Mode()&fs.ModeSymlink != 0:
			if content, err = os.Readlink(path); err != nil {
				return err
			}
		}
		st := info.Sys().(*syscall.Stat_t)
		name, _ := filepath.Rel(dir, path)
		got[name] = looks(info.Mode(), int(st.Uid), int(st.Gid), info.ModTime(), content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestE2ERsyncFirst: dest becomes what the archive says, in everything.
func TestE2ERsyncFirst(t *testing.T) {
	t.Parallel()
	testparts.Need(t, "rsync")
	if os.Getuid() != 0 {
		t.Skip("only root keeps owners")
	}
	want := map[string]string{}
	for _, e := range zoo() {
		content := e.content + e.Linkname
		want[filepath.Clean(e.Name)] = looks(e.FileInfo().Mode(), e.Uid, e.Gid, e.ModTime, content)
	}
	want["."] = strings.Replace(want["."], "drwx--x--x", "drwx------", 1) // dest_mode goes before the archive's own
	m := newMachine(t)
	app := packItems(t, zoo())
	m.write("app.tgz", string(app))
	m.write("app.yml", m.manifest("file://"+m.path("app.tgz"), app, "dest_mode: 0700"))
	for range 2 { // the second one has nothing to do
		m.run(nil, "file://"+m.path("app.yml")).wants(0)
		got := listing(t, m.dest)
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if got[name] != want[name] {
				t.Errorf("%q is\n\t%s, want\n\t%s", name, got[name], want[name])
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d entries, want %d: %q", len(got), len(want), got)
		}
	}
}

// release writes an archive and its manifest.
func (m *machine) release(files map[string]string, rest ...string) (url string) {
	m.t.Helper()
	app := pack(m.t, files)
	m.write("app.tgz", string(app))
	m.write("app.yml", m.manifest("file://"+m.path("app.tgz"), app, rest...))
	return "file://" + m.path("app.yml")
}

// TestE2ERsyncAgain: a second deployment moves what has changed and no more.
func TestE2ERsyncAgain(t *testing.T) {
	t.Parallel()
	testparts.Need(t, "rsync")
	m := newMachine(t)
	first := map[string]string{"same.txt": "same", "changed.txt": "old", "gone.txt": "gone", "gone/too.txt": "gone"}
	m.run(nil, m.release(first)).wants(0, "^[^ ]+ [^ ]+ same.txt$", "rsync -a --delete -v "+m.path("tmp/"))
	m.has(first)
	before, err := os.Stat(m.path("dest/same.txt"))
	if err != nil {
		t.Fatal(err)
	}
	second := map[string]string{"same.txt": "same", "changed.txt": "newer", "added.txt": "new"}
	url := m.release(second)
	m.run(nil, url).wants(0, " changed.txt$", " added.txt$", " deleting gone.txt$",
		" deleting gone/too.txt$").lacks("same.txt")
	m.has(second)
	after, err := os.Stat(m.path("dest/same.txt"))
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("same.txt was written again (%v)", err)
	}
	if _, err := os.Stat(m.path("dest/gone")); err == nil {
		t.Error("an empty directory is left of gone/")
	}
	m.run(nil, "--force", "--rsync-verbose", "-vv", url).wants(0, " same.txt is uptodate$")
	m.write("dest/stray", "")
	m.run(nil, "--rsync-verbose", "-q", url).wants(0).lacks("deleting")
	m.write("dest/stray", "")
	m.run(nil, "--rsync-verbose", "--stats", url).wants(0, "Number of deleted files: 1").lacks("deleting")
	m.has(second)
}

// TestE2ERsyncExcludes: what is excluded is neither brought nor deleted.
func TestE2ERsyncExcludes(t *testing.T) {
	t.Parallel()
	testparts.Need(t, "rsync")
	m := newMachine(t)
	files := map[string]string{
		"index.html": "hello", "app.pid": "1", "log/app.log": "archive", "doc/README": "read",
		"deploy/exclude.list": "/doc/\n*.bak\n",
	}
	m.write("dest/run.pid", "2")
	m.write("dest/old.bak", "old")
	m.write("dest/log/app.log", "live")
	m.write("dest/stray", "stray")
	m.run(nil, m.release(files, `excludes: ["*.pid", /log/]`, "exclude_from: deploy/exclude.list")).
		wants(0, "rsync -a --delete -v --exclude-from .*/tree/deploy/exclude.list --exclude \\*.pid --exclude /log/ ",
			"deleting stray")
	m.has(map[string]string{
		"index.html": "hello", "deploy/exclude.list": "/doc/\n*.bak\n",
		"run.pid": "2", "old.bak": "old", "log/app.log": "live",
	})
}

// TestE2ERsyncFails: rsync's own words are in the log.
func TestE2ERsyncFails(t *testing.T) {
	t.Parallel()
	testparts.Need(t, "rsync")
	m := newMachine(t)
	// A directory that is excluded, and so not empty, is in the way of a file.
	m.write("dest/name/keep", "keep")
	m.run(nil, m.release(map[string]string{"name": "file"}, "excludes: [keep]",
		"commands: {failure: ['cat > "+m.path("failed")+"']}")).
		fails(1, `sync: rsync to "`+m.dest+`": exit status 23; it may be a mixture of old and new files now`)
	if !strings.Contains(m.read("failed"), "rsync error: some files/attrs were not transferred") {
		t.Errorf("rsync's words are not in the log:\n%s", m.read("failed"))
	}
	m.has(map[string]string{"name/keep": "keep"})
}
