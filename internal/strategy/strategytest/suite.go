// Package strategytest holds the tests that every strategy passes: what
// package strategy promises in the name of all of them.
//
// A strategy's own tests call Run with a Case that says what it is like.
package strategytest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/strategy"
	"stretcher/internal/text/failure"
)

// Case is a strategy and what it is like.
type Case struct {
	Definition strategy.Definition
	Keeps      strategy.Keeps
	Once       bool // dest must not be there: there is no second deployment
	All        bool // it knows no excludes
	Replaces   bool // another directory takes the place of dest, with ACLs of its own
	Beside     bool // deployments stand beside one another: what was there goes with its own
}

var (
	first  = files{"index.html": "one", "same": "same", "dir/gone": "gone", "dir/sub/deep": "deep", "list": "*.pid\n"}
	second = files{"index.html": "other", "same": "same", "dir/new": "new", "empty/": "", "list": "*.pid\n"}
)

// Run runs the suite.
func Run(t *testing.T, c Case) {
	for name, test := range map[string]func(*testing.T, *World){
		"first": testFirst, "second": testSecond, "same size and time": testSameSizeAndTime,
		"checks": testChecks, "diff": testDiff, "diff of nothing": testDiffNothing,
		"excludes": testExcludes, "exclude_from": testExcludeFrom, "bad exclude_from": testBadExcludeFrom,
		"damaged": testDamaged, "no directory above": testNoParent, "read-only": testReadOnly,
		"file": testFile, "symlink": testSymlink,
		"foreign symlink": testForeign, "cancelled": testCancelled,
		"swapped dest":    testSwappedDest,
		"swapped staging": testSwappedStaging,
		"hooks":           testHooks, "taken tree": testTakenTree, "ACL": testACL, "mode": testMode,
		"open live": testOpenLive, "close": testClose,
	} {
		t.Run(name, func(t *testing.T) { test(t, NewWorld(t, c)) })
	}
	if c.Beside {
		t.Run("reverter", func(t *testing.T) { runReverter(t, c) })
	}
}

// testFirst deploys where nothing is.
func testFirst(t *testing.T, w *World) {
	s, err := w.Deploy(first, nil)
	must(t, err)
	w.wants(s.Live(), first)
	if got := s.Keeps(); got != w.Case.Keeps {
		t.Errorf("keeps %v, want %v", got, w.Case.Keeps)
	}
	if live := s.Live(); live != w.Dest && !strings.HasPrefix(live, w.Dest+"/") {
		t.Errorf("live is %q", live)
	}
	skip, err := s.Skip(nil)
	must(t, err)
	for path := range first {
		if skip != nil && skip(path, false) {
			t.Errorf("%q is skipped", path)
		}
	}
	if entries, _ := os.ReadDir(w.Base); len(entries) != 1 {
		t.Errorf("there is more than dest: %v", entries)
	}
}

// testSecond deploys over what is there.
func testSecond(t *testing.T, w *World) {
	s, err := w.Deploy(first, nil)
	must(t, err)
	if !w.Case.Beside {
		fill(t, s.Live(), files{"dir/stray": "stray"})
	}
	s, err = w.Deploy(second, nil)
	if w.Case.Once {
		if err == nil {
			t.Error("there is no error")
		}
		return
	}
	must(t, err)
	w.wants(s.Live(), second)
}

// testSameSizeAndTime deploys an archive whose files have the sizes and times
// of what is there, and other contents.
func testSameSizeAndTime(t *testing.T, w *World) {
	if w.Case.Once {
		t.Skip("there is no second time")
	}
	for _, text := range []string{"version 1", "version 2", "version 3"} {
		tree := files{"f": text, "dir/g": text, "same": "same"}
		s, err := w.Deploy(tree, nil)
		must(t, err)
		w.wants(s.Live(), tree)
	}
}

// testChecks: neither check changes anything, dest there or not.
func testChecks(t *testing.T, w *World) {
	for range 2 {
		before := snapshot(t, w.Base)
		s := w.New(pack(t, first), nil)
		must(t, s.CheckLayout())
		if err := s.Check(); err != nil && !w.Case.Once {
			t.Error(err)
		}
		if after := snapshot(t, w.Base); after != before {
			t.Errorf("it was\n%s\nand is\n%s", before, after)
		}
		if _, err := os.Lstat(w.Dest); errors.Is(err, fs.ErrNotExist) {
			_, err := w.Deploy(first, nil)
			must(t, err)
		}
	}
}

// testDiff: what Diff tells is what Sync does, and Diff changes nothing.
func testDiff(t *testing.T, w *World) {
	before := files{}
	if !w.Case.Once {
		s, err := w.Deploy(first, nil)
		must(t, err)
		before = read(t, s.Live())
	}
	f := pack(t, second)
	s := w.New(f, nil)
	must(t, errors.Join(s.CheckLayout(), s.Check()))
	was := snapshot(t, w.Base)
	changes, err := s.Diff(t.Context(), archive.FileInput(f, false))
	must(t, err)
	if is := snapshot(t, w.Base); is != was {
		t.Errorf("it was\n%s\nand is\n%s", was, is)
	}
	s = w.New(f, nil)
	must(t, w.run(t.Context(), s, f))
	after := read(t, s.Live())
	if got, want := told(changes), between(before, after); !slices.Equal(got, want) {
		t.Errorf("told %q, done %q", got, want)
	}
}

// told are the changes of files, as kind and path.
func told(changes strategy.Changes) (lines []string) {
	for _, c := range changes.List {
		if !c.Dir {
			lines = append(lines, c.Kind.String()+" "+c.Path)
		}
	}
	slices.Sort(lines)
	return lines
}

// between are the changes of files from one tree to the other.
func between(before, after files) (lines []string) {
	for path, text := range after {
		old, ok := before[path]
		switch {
		case strings.HasSuffix(path, "/"):
		case !ok:
			lines = append(lines, "add "+path)
		case old != text:
			lines = append(lines, "change "+path)
		}
	}
	for path := range before {
		if _, ok := after[path]; !ok && !strings.HasSuffix(path, "/") {
			lines = append(lines, "delete "+path)
		}
	}
	slices.Sort(lines)
	return lines
}

// testDiffNothing: after a deployment there is nothing to change.
func testDiffNothing(t *testing.T, w *World) {
	if w.Case.Once {
		t.Skip("what is there can't be deployed to")
	}
	_, err := w.Deploy(first, nil)
	must(t, err)
	f := pack(t, first)
	s := w.New(f, nil)
	must(t, errors.Join(s.CheckLayout(), s.Check()))
	changes, err := s.Diff(t.Context(), archive.FileInput(f, false))
	must(t, err)
	if len(changes.List) > 0 || changes.Bytes > 0 {
		t.Errorf("changes: %+v", changes)
	}
}

// testExcludes: what is excluded is not deployed, and stays where dest has it.
func testExcludes(t *testing.T, w *World) {
	change := func(t *strategy.Target) { t.Excludes = []string{"*.pid", "/log/"} }
	tree := files{"app": "1", "new.pid": "1", "log/new": "1"}
	if w.Case.All {
		s, err := w.Deploy(tree, change)
		must(t, err)
		w.wants(s.Live(), tree)
		return
	}
	want := files{"app": "1"}
	if !w.Case.Beside {
		for path, text := range (files{"run.pid": "17", "log/old": "old"}) {
			want[path] = text
		}
		fill(t, w.Dest, want)
	}
	s, err := w.Deploy(tree, change)
	must(t, err)
	w.wants(s.Live(), want)
	skip, err := s.Skip([]byte("*.tmp\n"))
	must(t, err)
	for path, want := range map[string]bool{"run.pid": true, "log": true, "app": false, "x.tmp": true} {
		if got := skip(path, path == "log"); got != want {
			t.Errorf("%q is skipped: %v", path, got)
		}
	}
}

// testExcludeFrom: the archive's own list counts, also through its symlinks.
func testExcludeFrom(t *testing.T, w *World) {
	tree := files{"app": "1", "new.pid": "1", "etc/list": "*.pid\n", "list": "-> etc/list"}
	want := files{"app": "1", "etc/list": "*.pid\n", "list": "-> etc/list"}
	if w.Case.All {
		want = tree
	}
	change := func(t *strategy.Target) { t.ExcludeFrom = "list" }
	f := pack(t, tree)
	s := w.New(f, change)
	must(t, errors.Join(s.CheckLayout(), s.Check()))
	changes, err := s.Diff(t.Context(), archive.FileInput(f, false))
	must(t, err)
	if got := told(changes); !slices.Equal(got, between(files{}, want)) {
		t.Errorf("told %q", got)
	}
	s, err = w.Deploy(tree, change)
	must(t, err)
	w.wants(s.Live(), want)
}

// testBadExcludeFrom: a list that is missing or leads out is told as such, and
// dest stays as it is.
func testBadExcludeFrom(t *testing.T, w *World) {
	for _, bad := range []struct {
		tree files
		want error
	}{
		{files{"app": "1"}, failure.ErrMalformed},
		{files{"app": "1", "list": "-> ../../secret"}, failure.ErrRefused},
		{files{"app": "1", "list": "-> /etc/passwd"}, failure.ErrRefused},
		{files{"app": "1", "list/": ""}, failure.ErrMalformed},
	} {
		change := func(t *strategy.Target) { t.ExcludeFrom = "list" }
		if _, err := w.Deploy(bad.tree, change); !errors.Is(err, bad.want) {
			t.Errorf("%v: %v", bad.tree, err)
		}
		if _, err := os.Lstat(filepath.Join(w.Dest, "app")); err == nil {
			t.Errorf("%v: it was deployed", bad.tree)
		}
		f := pack(t, bad.tree)
		s := w.New(f, change)
		must(t, errors.Join(s.CheckLayout(), s.Check()))
		if _, err := s.Diff(t.Context(), archive.FileInput(f, false)); !errors.Is(err, bad.want) {
			t.Errorf("diff of %v: %v", bad.tree, err)
		}
	}
}

// testDamaged: an archive that ends early changes nothing that is live.
func testDamaged(t *testing.T, w *World) {
	old := files{}
	if !w.Case.Once {
		_, err := w.Deploy(first, nil)
		must(t, err)
		old = first
	}
	f := pack(t, files{"large": strings.Repeat("x", 100_000)})
	must(t, f.Truncate(50_000))
	s := w.New(f, nil)
	if err := w.run(t.Context(), s, f); err == nil || !strings.Contains(err.Error(), `archive from "test"`) {
		t.Errorf("err = %v", err)
	}
	if len(old) > 0 {
		w.wants(s.Live(), old)
	} else if _, err := os.Lstat(s.Live()); err == nil {
		t.Error("dest is there")
	}
}

// testNoParent: only the last directory of dest is made.
func testNoParent(t *testing.T, w *World) {
	w.Dest = filepath.Join(w.Base, "no/such/dest")
	before := snapshot(t, w.Base)
	if _, err := w.Deploy(first, nil); !errors.Is(err, disk.ErrNoParent) {
		t.Errorf("err = %v", err)
	}
	if after := snapshot(t, w.Base); after != before {
		t.Errorf("made\n%s", after)
	}
}

// testReadOnly: a dest that can't be made is told early.
func testReadOnly(t *testing.T, w *World) {
	if os.Geteuid() == 0 || !w.Case.Once {
		t.Skip("root may write anywhere; what replaces nothing must be able to make dest")
	}
	must(t, os.Chmod(w.Base, 0o555))
	t.Cleanup(func() { _ = os.Chmod(w.Base, 0o755) })
	if err := w.New(nil, nil).Check(); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("err = %v", err)
	}
}

// testFile: a dest that is a file stays one.
func testFile(t *testing.T, w *World) {
	must(t, os.WriteFile(w.Dest, []byte("file"), 0o644))
	before := snapshot(t, w.Base)
	if _, err := w.Deploy(first, nil); err == nil || !strings.Contains(err.Error(), `dest "`) {
		t.Errorf("err = %v", err)
	}
	if after := snapshot(t, w.Base); after != before {
		t.Errorf("it is\n%s", after)
	}
}

// testSymlink: a dest that is root's or the caller's symlink is where it leads.
func testSymlink(t *testing.T, w *World) {
	real := filepath.Join(w.Base, "real")
	must(t, os.Mkdir(real, 0o755))
	must(t, os.Symlink("real", w.Dest))
	s, err := w.Deploy(first, nil)
	if w.Case.Once {
		if err == nil || !strings.Contains(err.Error(), "exists already") {
			t.Errorf("err = %v", err)
		}
		return
	}
	must(t, err)
	w.wants(s.Live(), first)
	if to, err := os.Readlink(w.Dest); to != "real" {
		t.Errorf("the symlink leads to %q, %v", to, err)
	}
}

// foreigner is a user that is neither root nor the caller.
const foreigner = 65534

// testForeign: another user's symlink leads nowhere.
func testForeign(t *testing.T, w *World) {
	if os.Geteuid() != 0 {
		t.Skip("root alone can make another user's symlink")
	}
	real := filepath.Join(w.Base, "real")
	fill(t, real, files{"precious": "1"})
	must(t, os.Symlink("real", w.Dest))
	must(t, os.Lchown(w.Dest, foreigner, foreigner))
	if _, err := w.Deploy(first, nil); err == nil {
		t.Error("there is no error")
	}
	w.wants(real, files{"precious": "1"})
}

// testCancelled: nothing begins once the context has ended.
func testCancelled(t *testing.T, w *World) {
	f := pack(t, first)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	s := w.New(f, nil)
	must(t, errors.Join(s.CheckLayout(), s.Check()))
	if _, err := s.Stage(ctx, archive.FileInput(f, false)); err == nil {
		t.Error("it was staged")
	}
	s = w.New(f, nil)
	must(t, errors.Join(s.CheckLayout(), s.Check()))
	staged, err := s.Stage(t.Context(), archive.FileInput(f, false))
	must(t, err)
	defer staged.Close()
	if err := s.Sync(ctx, &staged); err == nil {
		t.Error("it was synced")
	}
	if _, err := os.Lstat(filepath.Join(s.Live(), "index.html")); err == nil {
		t.Error("it is live")
	}
}

// testSwappedDest: what takes the name of dest while a run works is left
// alone.
func testSwappedDest(t *testing.T, w *World) {
	victim := filepath.Join(w.Base, "victim")
	precious := files{"precious": "1", "dir/precious": "2"}
	fill(t, victim, precious)
	if !w.Case.Once {
		_, err := w.Deploy(first, nil)
		must(t, err)
	}
	f := pack(t, second)
	s := w.New(f, nil)
	must(t, errors.Join(s.CheckLayout(), s.Check()))
	staged, err := s.Stage(t.Context(), archive.FileInput(f, false))
	must(t, err)
	defer staged.Close()
	if !w.Case.Once {
		must(t, os.Rename(w.Dest, w.Dest+".away"))
	}
	must(t, os.Symlink("victim", w.Dest))
	err = s.Sync(t.Context(), &staged)
	if w.Case.Once && err == nil {
		t.Error("there is no error")
	}
	w.wants(victim, precious)
}

// testSwappedStaging: what takes the name of the staged tree is not deployed,
// and not changed.
func testSwappedStaging(t *testing.T, w *World) {
	victim := filepath.Join(w.Base, "victim")
	precious := files{"precious": "1", "index.html": "2"}
	fill(t, victim, precious)
	f := pack(t, first)
	s := w.New(f, nil)
	must(t, errors.Join(s.CheckLayout(), s.Check()))
	staged, err := s.Stage(t.Context(), archive.FileInput(f, false))
	must(t, err)
	defer staged.Close()
	work := filepath.Dir(staged.Dir.Path())
	must(t, os.Rename(work, work+".away"))
	must(t, os.Mkdir(work, 0o755))
	must(t, os.Symlink(victim, staged.Dir.Path()))
	must(t, s.Sync(t.Context(), &staged))
	w.wants(s.Live(), first)
	w.wants(victim, precious)
}
