package mirror

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/disk/confined"
	"stretcher/internal/disk/tree"
)

// failure expects an error that holds text, and that nothing of dest was
// changed but times of directories.
func failure(t *testing.T, top, text string, f func() error) error {
	t.Helper()
	before := snapshot(t, filepath.Join(top, "dest"))
	err := f()
	if err == nil || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "\n") {
		t.Errorf("err = %v, want %q in it", err, text)
	}
	if d := differences(before, snapshot(t, filepath.Join(top, "dest")), false); len(d) > 0 {
		t.Errorf("changed %q", d)
	}
	return err
}

func TestCompareErrors(t *testing.T) {
	root := archive.Entry{Mode: fs.ModeDir | 0o755}
	file := func(path string) archive.Entry { return archive.Entry{Path: path, Size: 1} }
	for _, x := range []struct {
		name    string
		entries []archive.Entry
		opts    Options
		want    string
	}{
		{"no root", []archive.Entry{file("a")}, Options{}, "do not start with the root"},
		{"nothing", nil, Options{}, "do not start with the root"},
		{"order", []archive.Entry{root, file("b"), file("a")}, Options{}, `entry "a" is not in order`},
		{"twice", []archive.Entry{root, file("a"), file("a")}, Options{}, `entry "a" is not in order`},
		{"checksum", []archive.Entry{root}, Options{Checksum: true}, "without contents"},
		{"in the way", []archive.Entry{root, file("d")}, Options{Excludes: excludes(t, "keep")},
			`"d" must replace a directory that holds the excluded "d/e/keep"`},
		{"tree without the file", []archive.Entry{root, file("f")}, Options{Checksum: true, Tree: rootAt(t, t.TempDir())},
			`compare "f": `},
	} {
		t.Run(x.name, func(t *testing.T) {
			top := tempDir(t)
			plant(t, filepath.Join(top, "dest"), parse(t, "f=x d/ d/e/ d/e/keep="))
			failure(t, top, x.want, func() error {
				_, err := Compare(context.Background(), x.entries, place(t, filepath.Join(top, "dest")), x.opts)
				return err
			})
		})
	}
}

// TestClosed works with directories that are no longer open.
func TestClosed(t *testing.T) {
	root := rootAt(t, tempDir(t))
	check(t, root.Close())
	entries := []archive.Entry{{Mode: fs.ModeDir}}
	_, compare := Compare(context.Background(), entries, Place{Path: "/srv/app", Dir: root}, Options{})
	_, read := FromDir(context.Background(), root)
	plan, err := Compare(context.Background(), entries, place(t, filepath.Join(tempDir(t), "dest")), Options{})
	check(t, err)
	for want, err := range map[string]error{
		`compare with "/srv/app"`: compare,
		"read tree":               read,
		"open staging directory":  plan.Apply(context.Background(), Place{Dir: root}),
	} {
		if !errors.Is(err, fs.ErrClosed) || !strings.Contains(err.Error(), want) {
			t.Errorf("err = %v, want %q", err, want)
		}
	}
}

// TestDestAppears has somebody else make dest since it was found missing.
func TestDestAppears(t *testing.T) {
	top := tempDir(t)
	dest := filepath.Join(top, "dest")
	plan := prepare(t, top, parse(t, "f=x"), Options{}, true)
	check(t, os.Symlink(top, dest))
	err := plan.Apply(context.Background(), place(t, filepath.Join(top, "staging")))
	if !errors.Is(err, fs.ErrExist) || errors.Is(err, ErrMixed) {
		t.Errorf("err = %v", err)
	}
	if _, err := os.Lstat(filepath.Join(top, "f")); err == nil {
		t.Error("it followed a symlink")
	}
}

// TestStagedMissing has staging lose what the plan relies on.
func TestStagedMissing(t *testing.T) {
	for _, x := range []struct{ name, dest, lost, want string }{
		{"file", "d/ d/g=x f=x", "f", `"f" has changed in dest while the archive was read`},
		{"part of it", "d/ d/g=x f=x", "", `staged "f": it is not what the table says`},
		{"in new directory", "f=xx", "d/g", `"d/g" has changed in dest`},
		{"all", "f=xx", ".", `open staged "d": no such file`},
	} {
		t.Run(x.name, func(t *testing.T) {
			top := tempDir(t)
			plant(t, filepath.Join(top, "dest"), parse(t, x.dest))
			plan := prepare(t, top, parse(t, "d/ d/g=x f=xx"), Options{}, true)
			staging := place(t, filepath.Join(top, "staging"))
			if x.lost == "" {
				check(t, os.Truncate(filepath.Join(top, "staging/f"), 1))
			} else {
				check(t, os.RemoveAll(filepath.Join(top, "staging")+"/"+strings.TrimPrefix(x.lost, ".")))
			}
			err := failure(t, top, x.want, func() error { return plan.Apply(context.Background(), staging) })
			if errors.Is(err, ErrMixed) {
				t.Errorf("err = %v, but nothing is mixed", err)
			}
		})
	}
}

// TestStale has a file of dest change after it was found to be the archive's.
// There are changes of each kind before it in the plan, none of which may
// happen.
func TestStale(t *testing.T) {
	src := parse(t, "a/:700 a/f=newer b=x@9 d/ d/same=x z/ z/same=x")
	for _, x := range []struct {
		name, want string
		change     func(dest string) error
	}{
		{"longer", "z/same", func(dest string) error { return os.WriteFile(dest+"/z/same", []byte("other"), 0o644) }},
		{"touched", "d/same", func(dest string) error { return os.Chtimes(dest+"/d/same", time.Time{}, time.Now()) }},
		{"edited and its time put back", "z/same", func(dest string) error {
			was, err := os.Stat(dest + "/z/same")
			return errors.Join(err, os.WriteFile(dest+"/z/same", []byte("y"), 0o644),
				os.Chtimes(dest+"/z/same", time.Time{}, was.ModTime()))
		}},
		{"gone", "z/same", func(dest string) error { return os.Remove(dest + "/z/same") }},
		{"another type", "z/same", func(dest string) error {
			return errors.Join(os.Remove(dest+"/z/same"), os.Symlink("b", dest+"/z/same"))
		}},
		{"its directory gone", "z/same", func(dest string) error { return os.RemoveAll(dest + "/z") }},
		{"its directory a link", "z/same", func(dest string) error {
			return errors.Join(os.RemoveAll(dest+"/z"), os.Symlink("d", dest+"/z"))
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			top := tempDir(t)
			dest, dir := filepath.Join(top, "dest"), filepath.Join(top, "staging")
			plant(t, dest, parse(t, "a/ a/f=old a/gone= b=x d/ d/same=x gone/ gone/f= z/ z/same=x"))
			opts := Options{}
			entries, err := scan(t, tarball(t, src), dest, dir, &opts)
			check(t, err)
			check(t, x.change(dest))
			plan, err := Compare(context.Background(), entries, place(t, dest), opts)
			check(t, err)
			err = failure(t, top, `"`+x.want+`" has changed in dest`,
				func() error { return plan.Apply(context.Background(), place(t, dir)) })
			if !errors.Is(err, ErrStale) || errors.Is(err, ErrMixed) {
				t.Errorf("err = %v", err)
			}
			check(t, os.RemoveAll(dir))
			check(t, prepare(t, top, src, Options{}, true).Apply(context.Background(), place(t, dir)))
			same(t, dest, src)
		})
	}
}

// TestStaleDest has all of dest go away after it was found to be the archive's.
func TestStaleDest(t *testing.T) {
	top := tempDir(t)
	dest, dir := filepath.Join(top, "dest"), filepath.Join(top, "staging")
	plant(t, dest, parse(t, "f=x"))
	entries, err := scan(t, tarball(t, parse(t, "f=x")), dest, dir, &Options{})
	check(t, err)
	check(t, os.RemoveAll(dest))
	plan, err := Compare(context.Background(), entries, place(t, dest), Options{})
	check(t, err)
	if err := plan.Apply(context.Background(), place(t, dir)); !errors.Is(err, ErrStale) {
		t.Errorf("err = %v", err)
	}
	if _, err := os.Lstat(dest); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("dest is there: %v", err)
	}
}

// ticking is a context that is cancelled when it has been looked at some times.
type ticking struct {
	context.Context
	left int
}

func (c *ticking) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestCancel stops at each of the places where it can stop.
func TestCancel(t *testing.T) {
	src := parse(t, "a/ a/f=xx a/g=y@1 b=file c/ c/new= l->x n=x:600")
	dest := "a/ a/f=x a/g=y b/ b/h= c=x gone/ gone/f= l->y n=x"
	mixed := 0
	for left := 0; ; left++ {
		top := tempDir(t)
		plant(t, filepath.Join(top, "dest"), parse(t, dest))
		plan := prepare(t, top, src, Options{}, true)
		before := snapshot(t, filepath.Join(top, "dest"))
		err := plan.Apply(&ticking{context.Background(), left}, place(t, filepath.Join(top, "staging")))
		if err == nil {
			same(t, filepath.Join(top, "dest"), src)
			break
		}
		changed := len(differences(before, snapshot(t, filepath.Join(top, "dest")), true)) > 0
		if !errors.Is(err, context.Canceled) || errors.Is(err, ErrMixed) != changed {
			t.Fatalf("after %d: %v, changed: %v", left, err, changed)
		}
		if changed {
			mixed++
		}
		check(t, os.RemoveAll(filepath.Join(top, "staging")))
		again := prepare(t, top, src, Options{}, true)
		check(t, again.Apply(context.Background(), place(t, filepath.Join(top, "staging"))))
		same(t, filepath.Join(top, "dest"), src)
	}
	if mixed < 10 {
		t.Errorf("stopped in the middle %d times", mixed)
	}
}

func TestCancelCompare(t *testing.T) {
	top := tempDir(t)
	plant(t, filepath.Join(top, "dest"), parse(t, "a/ a/f=x gone/ gone/f="))
	for left := range 3 {
		opts := Options{}
		entries, err := scan(t, tarball(t, parse(t, "a/ a/f=xx")), filepath.Join(top, "dest"), "", &opts)
		check(t, err)
		at := place(t, filepath.Join(top, "dest"))
		if _, err := Compare(&ticking{context.Background(), left}, entries, at, opts); !errors.Is(err, context.Canceled) {
			t.Errorf("after %d: %v", left, err)
		}
		if _, err := FromDir(&ticking{context.Background(), left}, at.Dir); !errors.Is(err, context.Canceled) {
			t.Errorf("FromDir after %d: %v", left, err)
		}
	}
}

func TestBadStage(t *testing.T) {
	top := tempDir(t)
	dir := rootAt(t, top)
	check(t, dir.Close())
	stage := NewStage(context.Background(), rootAt(t, filepath.Join(top, "dest")), dir, Options{})
	_, _, err := archive.Scan(context.Background(), bytes.NewReader(tarball(t, parse(t, "f=x"))), archive.Options{},
		stage)
	if !errors.Is(err, fs.ErrClosed) || !strings.Contains(err.Error(), `stage "f"`) {
		t.Errorf("err = %v", err)
	}
	check(t, stage.Close())
}

// TestSince has dest change between the comparison and what follows.
func TestSince(t *testing.T) {
	top := tempDir(t)
	dest := filepath.Join(top, "dest")
	plant(t, dest, parse(t, "a= d/ d/f="))
	var warnings []string
	plan := prepare(t, top, parse(t, "new="), Options{Warn: func(msg string) { warnings = append(warnings, msg) }}, false)
	check(t, os.Remove(filepath.Join(dest, "a")))
	plant(t, dest, parse(t, "d/ d/late="))
	check(t, plan.Apply(context.Background(), place(t, filepath.Join(top, "staging"))))
	same(t, dest, parse(t, "d/ d/late= new="))
	if len(warnings) != 1 || !strings.Contains(warnings[0], `"d" is not empty`) {
		t.Errorf("warnings %q", warnings)
	}
}

func TestFromDirRefuses(t *testing.T) {
	dir := tempDir(t)
	plant(t, dir, []node{{path: "s", mode: fs.ModeSocket | 0o600}})
	if _, err := FromDir(context.Background(), rootAt(t, dir)); err == nil ||
		!strings.Contains(err.Error(), `"s" is a device or a socket`) {
		t.Errorf("err = %v", err)
	}
}

// TestOwners changes owners in place and with content; chown clears setuid
// bits, which must come back.
func TestOwners(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root changes owners")
	}
	old := parse(t, "f=x:4755 g=old d/:2755 l->x")
	src := parse(t, "f=x:4755 g=newer:6711 d/:2755 l->x m->x n= e/ e/n=:4700")
	for i := range src {
		src[i].uid, src[i].gid = 12, 34
	}
	for _, owners := range []bool{true, false} {
		for _, tarred := range []bool{true, false} {
			top := tempDir(t)
			plant(t, filepath.Join(top, "dest"), old)
			plan := prepare(t, top, src, Options{Owners: owners}, tarred)
			want := "change / (owner), change d/ (owner), add e/, add e/n, change f (owner), " +
				"change g (size mode owner), change l (owner), add m, add n"
			if !owners {
				want = "add e/, add e/n, change g (size mode), add m, add n"
			}
			if got := show(plan.Changes()); got != want {
				t.Errorf("changes %s\nwant    %s", got, want)
			}
			check(t, plan.Apply(context.Background(), place(t, filepath.Join(top, "staging"))))
			if owners {
				same(t, filepath.Join(top, "dest"), src)
			}
		}
	}
}

// dying is a context that ends when it has been asked so often.
type dying struct {
	context.Context
	left int
}

func (d *dying) Err() error {
	if d.left--; d.left < 0 {
		return context.Canceled
	}
	return nil
}

// looks gives how often run looks at its context before it has done its work.
func looks(t *testing.T, run func(context.Context) error) (n int) {
	t.Helper()
	for ; ; n++ {
		if err := run(&dying{context.Background(), n}); err == nil {
			return n
		} else if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
}

// TestReadingIsStopped: whoever ends a run waits for one block of a file of dest.
func TestReadingIsStopped(t *testing.T) {
	const blocks = 4
	long := strings.Repeat("a", blocks*tree.BlockSize)
	top := tempDir(t)
	dest := filepath.Join(top, "dest")
	plant(t, dest, parse(t, "a="+long+" b="+long+" c="+long[1:]+"b"))
	staging := func() string {
		dir := filepath.Join(top, "staging")
		check(t, errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)))
		return dir
	}
	scanned := func(words, dir string) func(context.Context) error {
		return func(ctx context.Context) error {
			stage := NewStage(ctx, rootAt(t, dest), rootAt(t, dir), Options{})
			tarred := bytes.NewReader(tarball(t, parse(t, words)))
			_, _, err := archive.Scan(context.Background(), tarred, archive.Options{}, stage)
			return errors.Join(err, stage.Close())
		}
	}
	for name, x := range map[string]struct {
		run  func(context.Context) error
		want int
	}{
		"link that is there":  {scanned("a="+long+" b==a", ""), 2 * blocks},
		"link that is copied": {scanned("a="+long+" d==a", staging()), 2 * blocks},
		"end that differs":    {scanned("c="+long, staging()), 2*blocks - 1},
		"tree": {func(ctx context.Context) error {
			dir := staging()
			plant(t, dir, parse(t, "a="+long))
			entries, err := FromDir(context.Background(), rootAt(t, dir))
			check(t, err)
			_, err = Compare(ctx, entries, place(t, dest), Options{Tree: rootAt(t, dir)})
			return err
		}, blocks},
	} {
		if got := looks(t, x.run); got < x.want {
			t.Errorf("%s: %d looks at the context, want %d", name, got, x.want)
		}
	}
}

// TestReplaceCleansUp: what can't be put in the place of a directory does not
// stay beside it.
func TestReplaceCleansUp(t *testing.T) {
	dir := tempDir(t)
	plant(t, dir, parse(t, "temp/ temp/f=x"))
	fd, err := confined.Open(rootAt(t, dir))
	check(t, err)
	defer unix.Close(fd)
	a := application{Plan: &Plan{}}
	if err := a.replace(fd, "temp", "gone/name"); !errors.Is(err, fs.ErrNotExist) || !a.changed {
		t.Errorf("err = %v", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "temp")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was temporary: %v", err)
	}
}

// TestRestoreShorter: a file that has become shorter has changed.
func TestRestoreShorter(t *testing.T) {
	dir := tempDir(t)
	plant(t, dir, parse(t, "f=short out="))
	root := rootAt(t, dir)
	fd, err := confined.Open(root)
	check(t, err)
	defer unix.Close(fd)
	out, err := root.OpenFile("out", os.O_WRONLY, 0)
	check(t, err)
	defer out.Close()
	d := digest{ctx: t.Context(), contents: tree.NewContents()}
	d.reset()
	if err := d.restore(out, &spot{fd: fd, name: "f"}, tree.BlockSize); !errors.Is(err, ErrStale) {
		t.Errorf("err = %v", err)
	}
}
