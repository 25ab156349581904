package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/disk/confined"
	"stretcher/internal/disk/tree"
)

// parse makes a tree of words: "d/" is a directory, "f=text" a file, "f==g"
// another name of the file g, "l->target" a symlink, "p|" a FIFO. "@5" at the
// end is five seconds later than the rest, ":600" a mode. Parents come first.
func parse(t testing.TB, words string) []node {
	t.Helper()
	tree := []node{{mode: fs.ModeDir | 0o755, uid: os.Getuid(), gid: os.Getgid(), mtime: 1e18}}
	for w := range strings.FieldsSeq(words) {
		n := node{mode: 0o644, uid: os.Getuid(), gid: os.Getgid(), mtime: 1e18}
		w, sec, _ := strings.Cut(w, "@")
		w, mode, _ := strings.Cut(w, ":")
		if s, err := strconv.Atoi(sec); err == nil {
			n.mtime += int64(s) * 1e9
		}
		switch {
		case strings.HasSuffix(w, "/"):
			n.path, n.mode = w[:len(w)-1], fs.ModeDir|0o755
		case strings.HasSuffix(w, "|"):
			n.path, n.mode = w[:len(w)-1], fs.ModeNamedPipe|0o644
		case strings.Contains(w, "->"):
			n.path, n.link, _ = strings.Cut(w, "->")
			n.mode = fs.ModeSymlink | 0o777
		case strings.Contains(w, "=="):
			n.path, n.hard, _ = strings.Cut(w, "==")
		default:
			n.path, n.data, _ = strings.Cut(w, "=")
		}
		if m, err := strconv.ParseInt(mode, 8, 16); err == nil {
			n.mode = n.mode.Type() | fromOctal(m)
		}
		tree = append(tree, n)
	}
	return tree
}

// show is a list of changes in words.
func show(changes []Change) string {
	var words []string
	for _, c := range changes {
		w := fmt.Sprintf("%v %s", c.Kind, c.Path)
		if c.Dir {
			w += "/"
		}
		if len(c.What) > 0 {
			w += " (" + strings.Join(c.What, " ") + ")"
		}
		words = append(words, w)
	}
	return strings.Join(words, ", ")
}

var rules = []struct {
	name, src, dest string
	excludes        string
	checksum        bool
	changes         string
	want            string // "" = src
}{
	{name: "same", src: "d/ d/f=x l->d p|", dest: "d/ d/f=x l->d p|"},
	{name: "size", src: "f=longer", dest: "f=x", changes: "change f (size)"},
	{name: "time", src: "f=x@2", dest: "f=y", changes: "change f (time)"},
	{name: "size and time", src: "f=xx@2", dest: "f=y", changes: "change f (size time)"},
	{name: "content", src: "f=x", dest: "f=y", changes: "change f (content)"},
	{name: "content by checksum", checksum: true, src: "f=x", dest: "f=y", changes: "change f (content)"},
	{name: "time by checksum", checksum: true, src: "f=x@2", dest: "f=x", changes: "change f (time)"},
	{name: "size by checksum", checksum: true, src: "f=xy", dest: "f=x", changes: "change f (size)"},
	{name: "mode", src: "f=x:600 d/:700", dest: "f=x d/", changes: "change d/ (mode), change f (mode)"},
	{name: "time of directories", src: "d/@9", dest: "d/"},
	{name: "link", src: "l->a", dest: "l->b", changes: "change l (link)"},
	{name: "time of links", src: "l->a@3", dest: "l->a", changes: "change l (time)"},
	{name: "new", src: "d/ d/e/ d/e/f=x l->a p| n=", dest: "",
		changes: "add d/, add d/e/, add d/e/f, add l, add n, add p"},
	{name: "gone", src: "", dest: "d/ d/e/ d/e/f=x l->a p| n=",
		changes: "delete d/, delete d/e/, delete d/e/f, delete l, delete n, delete p"},
	{name: "order of names", src: "a/ a/x= a-b= a.c/ a.c/y=", dest: "a/ a/z= a.c=",
		changes: "add a-b, change a.c/ (type), add a.c/y, add a/x, delete a/z"},
	{name: "file to directory", src: "a/ a/b=x", dest: "a=x", changes: "change a/ (type), add a/b"},
	{name: "directory to file", src: "a=x", dest: "a/ a/b/ a/b/c=x",
		changes: "change a (type), delete a/b/, delete a/b/c"},
	{name: "directory to link", src: "a->b", dest: "a/ a/b=x", changes: "change a (type), delete a/b"},
	{name: "link to directory", src: "a/ a/f=x b/", dest: "b/ a->b", changes: "change a/ (type), add a/f"},
	{name: "link to FIFO", src: "a|", dest: "a->b", changes: "change a (type)"},
	{name: "hard links", src: "a=x b==a", dest: "a=x", changes: "add b", want: "a=x b=x"},
	{name: "hard links that are there", src: "a=x b==a", dest: "a=x b=x", want: "a=x b=x"},
	{name: "hard links by checksum", checksum: true, src: "a=x b==a c==a", dest: "a=y b=x c=z",
		changes: "change a (content), change c (content)", want: "a=x b=x c=x"},
	{name: "holes", src: "a=" + holed[0] + " b=" + holed[1], dest: "a=" + holed[0] + " b=" + holed[0],
		changes: "change b (content)"},
	{name: "holes that are there", src: "a=" + holed[0] + " b==a", dest: "a=" + holed[0] + " b=" + holed[0],
		want: "a=" + holed[0] + " b=" + holed[0]},
	{name: "holes that are there twice", src: "a=" + holed[2] + " b==a c==b",
		dest: "a=" + holed[2] + "@5 b=" + holed[2] + " c=" + holed[1], changes: "change a (time), change c (content)",
		want: "a=" + holed[2] + " b=" + holed[2] + " c=" + holed[2]},
	{name: "holes elsewhere", src: "a=" + holed[0] + " b==a", dest: "a=" + holed[3] + " b=" + holed[3],
		changes: "change a (content), change b (content)", want: "a=" + holed[0] + " b=" + holed[0]},
	{name: "hard link to what is excluded", src: "a=x b==a", dest: "", excludes: "a", changes: "add b", want: "b=x"},
	{name: "excluded in source", src: "a=x d/ d/a=x d/b=y", dest: "", excludes: "a", changes: "add d/, add d/b",
		want: "d/ d/b=y"},
	{name: "excluded in dest", src: "b=x", dest: "a=x b=x c=x", excludes: "a", changes: "delete c", want: "a=x b=x"},
	{name: "excluded in both", src: "a=new", dest: "a=x", excludes: "a", want: "a=x"},
	{name: "excluded directory", src: "a/ a/f=new:600 a/g=x", dest: "a/ a/f=x a/h=", excludes: "a",
		want: "a/ a/f=x a/h="},
	{name: "excluded in what is gone", src: "", dest: "d/ d/e/ d/e/a=x d/b=", excludes: "a", changes: "delete d/b",
		want: "d/ d/e/ d/e/a=x"},
	{name: "only directories are excluded", src: "a/ b=", dest: "a=x", excludes: "a/",
		changes: "delete a, add b", want: "b="},
	{name: "excluded directory makes way", src: "a=x", dest: "a/ a/b=", excludes: "a/",
		changes: "change a (type), delete a/b"},
}

func TestRules(t *testing.T) {
	for _, r := range rules {
		for _, how := range []string{"directory", "archive"} {
			t.Run(r.name+"/"+how, func(t *testing.T) {
				top := tempDir(t)
				dest := filepath.Join(top, "dest")
				plant(t, dest, parse(t, r.dest))
				opts := Options{Checksum: r.checksum, Excludes: excludes(t, strings.Fields(r.excludes)...)}
				plan := prepare(t, top, parse(t, r.src), opts, how == "archive")
				if got := show(plan.Changes()); got != r.changes {
					t.Errorf("changes %s\nwant    %s", got, r.changes)
				}
				check(t, plan.Apply(context.Background(), place(t, filepath.Join(top, "staging"))))
				want := r.want
				if want == "" {
					want = r.src
				}
				same(t, dest, parse(t, want))
			})
		}
	}
}

// prepare stages a tree below top and compares it with top/dest.
func prepare(t testing.TB, top string, src []node, opts Options, tarred bool) *Plan {
	t.Helper()
	dir := filepath.Join(top, "staging")
	var entries []archive.Entry
	var err error
	if tarred {
		entries, err = scan(t, tarball(t, src), filepath.Join(top, "dest"), dir, &opts)
	} else {
		plant(t, dir, src)
		opts.Tree = rootAt(t, dir)
		entries, err = FromDir(context.Background(), rootAt(t, dir))
	}
	check(t, err)
	plan, err := Compare(context.Background(), entries, place(t, filepath.Join(top, "dest")), opts)
	check(t, err)
	return plan
}

func scan(t testing.TB, tarred []byte, dest, dir string, opts *Options) ([]archive.Entry, error) {
	t.Helper()
	if dir != "" {
		check(t, os.MkdirAll(dir, 0o700))
	}
	return scanTo(t, tarred, rootAt(t, dest), rootAt(t, dir), opts)
}

func scanTo(t testing.TB, tarred []byte, dest, dir *os.Root, opts *Options) ([]archive.Entry, error) {
	t.Helper()
	stage := NewStage(context.Background(), dest, dir, *opts)
	entries, _, err := archive.Scan(context.Background(), bytes.NewReader(tarred), archive.Options{}, stage)
	opts.Differs = stage.Differs
	return entries, errors.Join(err, stage.Close())
}

// same fails unless dir is the tree. Times of directories that hold what is
// excluded may be those of now.
func same(t testing.TB, dir string, tree []node) {
	t.Helper()
	want := filepath.Join(tempDir(t), "want")
	plant(t, want, tree)
	a, b := snapshot(t, want), snapshot(t, dir)
	for _, p := range differences(a, b, false) {
		t.Errorf("%q: got %v, want %v", p, b[p], a[p])
	}
	for p, s := range b {
		if s.dir && s.mtime != a[p].mtime && s.mtime != "now" {
			t.Errorf("directory %q: time %s, want %s", p, s.mtime, a[p].mtime)
		}
	}
	if a[""].mtime != b[""].mtime {
		t.Errorf("time of the root: %s, want %s", b[""].mtime, a[""].mtime)
	}
}

func TestFresh(t *testing.T) {
	for _, tarred := range []bool{false, true} {
		top := tempDir(t)
		src := parse(t, "a/ a/b=x a/no=y a/skip/ a/skip/f= l->a p| r/:555 r/f=:400")
		plan := prepare(t, top, src, Options{Excludes: excludes(t, "no", "skip")}, tarred)
		const want = "add /, add a/, add a/b, add l, add p, add r/, add r/f"
		if got := show(plan.Changes()); got != want || plan.Bytes() != 1 {
			t.Errorf("changes %s, %d bytes, want %s", got, plan.Bytes(), want)
		}
		staging := filepath.Join(top, "staging")
		check(t, plan.Apply(context.Background(), place(t, staging)))
		same(t, filepath.Join(top, "dest"), parse(t, "a/ a/b=x l->a p| r/:555 r/f=:400"))
		if _, err := os.Lstat(staging); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("staging was not moved but copied: %v", err)
		}
	}
}

// TestNewDirectory shows that a new directory comes by one rename: it is the
// one that was staged.
func TestNewDirectory(t *testing.T) {
	top := tempDir(t)
	plant(t, filepath.Join(top, "dest"), parse(t, "old="))
	plan := prepare(t, top, parse(t, "a/ a/b/ a/b/c=x"), Options{}, true)
	inode := func(path string) uint64 {
		var st unix.Stat_t
		check(t, unix.Stat(filepath.Join(top, path), &st))
		return st.Ino
	}
	staged := inode("staging/a")
	check(t, plan.Apply(context.Background(), place(t, filepath.Join(top, "staging"))))
	if got := inode("dest/a"); got != staged {
		t.Errorf("inode of the directory %d, staged %d", got, staged)
	}
}

func TestImplied(t *testing.T) {
	top := tempDir(t)
	dest := filepath.Join(top, "dest")
	plant(t, dest, parse(t, "d/ d/f=x"))
	entries := []archive.Entry{
		{Mode: fs.ModeDir | 0o755, UID: archive.NoID, GID: archive.NoID, MTime: 7, Implied: true},
		{Path: "d", Mode: fs.ModeDir | 0o755, UID: archive.NoID, GID: archive.NoID, MTime: 7, Implied: true},
		{Path: "d/f", Mode: 0o644, UID: archive.NoID, GID: archive.NoID, MTime: 1e18, Size: 1},
	}
	plan, err := Compare(context.Background(), entries, place(t, dest), Options{Owners: true, Quick: true})
	check(t, err)
	if len(plan.steps) > 0 {
		t.Errorf("steps %v", plan.steps)
	}
	check(t, plan.Apply(context.Background(), place(t, filepath.Join(top, "missing"))))

	entries[2].Size++
	plan, err = Compare(context.Background(), entries, place(t, dest), Options{Owners: true, Quick: true})
	check(t, err)
	plant(t, filepath.Join(top, "staging"), parse(t, "d/ d/f=xx"))
	check(t, plan.Apply(context.Background(), place(t, filepath.Join(top, "staging"))))
	if got := snapshot(t, dest)["d"].mtime; got != "now" {
		t.Errorf("time of an implied directory: %s", got)
	}
}

func TestDestIsSymlink(t *testing.T) {
	top := tempDir(t)
	plant(t, filepath.Join(top, "real"), parse(t, "old="))
	check(t, os.Symlink("real", filepath.Join(top, "dest")))
	plan := prepare(t, top, parse(t, "new="), Options{}, true)
	check(t, plan.Apply(context.Background(), place(t, filepath.Join(top, "staging"))))
	same(t, filepath.Join(top, "real"), parse(t, "new="))
}

// TestSymlinkInside puts a symlink in the place of a directory, before the
// comparison and after it: what it leads to must not change.
func TestSymlinkInside(t *testing.T) {
	for _, late := range []bool{false, true} {
		top := tempDir(t)
		dest, out := filepath.Join(top, "dest"), filepath.Join(top, "out")
		plant(t, out, parse(t, "f=precious other=x"))
		plant(t, dest, parse(t, "d/ d/f=x d/old="))
		link := func() {
			check(t, os.RemoveAll(filepath.Join(dest, "d")))
			check(t, os.Symlink(out, filepath.Join(dest, "d")))
		}
		if !late {
			link()
		}
		plan := prepare(t, top, parse(t, "d/ d/f=newer"), Options{}, true)
		if late {
			link()
		}
		err := plan.Apply(context.Background(), place(t, filepath.Join(top, "staging")))
		if (err != nil) != late {
			t.Errorf("late %v: err = %v", late, err)
		}
		same(t, out, parse(t, "f=precious other=x"))
	}
}

func TestProtect(t *testing.T) {
	top := tempDir(t)
	dest := filepath.Join(top, "dest")
	plant(t, dest, parse(t, "old= .own-1/ .own-1/f=x"))
	opts := Options{Protect: func(path string) bool { return strings.HasPrefix(path, ".own-") }}
	plan := prepare(t, top, parse(t, "new="), opts, false)
	check(t, plan.Apply(context.Background(), place(t, filepath.Join(top, "staging"))))
	same(t, dest, parse(t, "new= .own-1/ .own-1/f=x"))
}

// TestStageWrites shows what reaches the disk.
func TestStageWrites(t *testing.T) {
	for _, x := range []struct {
		name, dest, excludes, always string
		checksum                     bool
		want                         []string
	}{
		{name: "missing dest", want: []string{"d", "d/f", "g", "h"}},
		{name: "same", dest: "d/ d/f=x g=y h=y"},
		{name: "one differs", dest: "d/ d/f=x g=yy h=y", want: []string{"g"}},
		{name: "link differs", dest: "d/ d/f=x g=y", want: []string{"h"}},
		{name: "always", dest: "d/ d/f=x g=y h=y", always: "d/f", want: []string{"d", "d/f"}},
		{name: "excluded", dest: "d/ d/f=x g=y h=y", excludes: "/d", want: []string{"d", "d/f"}},
		{name: "checksum", dest: "d/ d/f=z g=y@5 h=y", checksum: true, want: []string{"d", "d/f"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			top := tempDir(t)
			dest, dir := filepath.Join(top, "dest"), filepath.Join(top, "staging")
			if x.dest != "" {
				plant(t, dest, parse(t, x.dest))
			}
			check(t, os.Mkdir(dir, 0o700))
			stage := NewStage(context.Background(), rootAt(t, dest), rootAt(t, dir),
				Options{Checksum: x.checksum, Excludes: excludes(t, strings.Fields(x.excludes)...)})
			stage.Always(x.always)
			_, _, err := archive.Scan(context.Background(), bytes.NewReader(tarball(t, parse(t, "d/ d/f=x g=y h==g"))),
				archive.Options{}, stage)
			check(t, errors.Join(err, stage.Close()))
			staged, err := FromDir(context.Background(), rootAt(t, dir))
			check(t, err)
			var got []string
			for _, e := range staged[1:] {
				got = append(got, e.Path)
			}
			if !slices.Equal(got, x.want) {
				t.Errorf("staged %q, want %q", got, x.want)
			}
		})
	}
}

// TestReplacedEntries has several entries for one path: the last one counts.
func TestReplacedEntries(t *testing.T) {
	top := tempDir(t)
	dest := filepath.Join(top, "dest")
	plant(t, dest, parse(t, "f=one g=x"))
	src := append(parse(t, "f=two f=one g=xx h==g g=x"), parse(t, "s/ s=file e=x e->f")[1:]...)
	plan := prepare(t, top, src, Options{}, true)
	const want = "add e, add h, add s"
	if got := show(plan.Changes()); got != want {
		t.Errorf("changes %s, want %s", got, want)
	}
	check(t, plan.Apply(context.Background(), place(t, filepath.Join(top, "staging"))))
	same(t, dest, parse(t, "e->f f=one g=x h=xx s=file"))
}

// TestPlanOnly compares an archive with dest and writes nothing anywhere. Dest has the
// content of j at i, and not at j.
func TestPlanOnly(t *testing.T) {
	for _, checksum := range []bool{false, true} {
		top := tempDir(t)
		dest := filepath.Join(top, "dest")
		plant(t, dest, parse(t, "a=x b=x c=x@1 g=old h=x i=long j=lo"))
		before := snapshot(t, top)
		opts := Options{Checksum: checksum}
		entries, err := scan(t, tarball(t, parse(t, "a=y@1 b=x c=x d=new e==b g==d h==a j=long@1 i==j")), dest, "", &opts)
		check(t, err)
		plan, err := Compare(context.Background(), entries, place(t, dest), opts)
		check(t, err)
		want := map[bool]string{
			false: "change a (time), change c (time), add d, add e, change g (content), " +
				"change h (time), change i (time), change j (size time)",
			true: "change a (time content), change c (time), add d, add e, change g (content), " +
				"change h (time content), change i (time), change j (size time)",
		}
		if got := show(plan.Changes()); got != want[checksum] {
			t.Errorf("checksum %v: changes %s, want %s", checksum, got, want[checksum])
		}
		if d := differences(before, snapshot(t, top), true); len(d) > 0 {
			t.Errorf("changed %q", d)
		}
	}
}

// TestPlanLinks: what an archive has as a hard link is no change where dest has its content,
// whatever dest has in the place of the file.
func TestPlanLinks(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 3*tree.BlockSize/16)
	for _, x := range []struct{ name, dest, archive, want string }{
		{"missing", "b=x c=y", "a=x b==a c==a", "add a, change c (content)"},
		{"another", "a=z b=x c=y", "a=x b==a c==a", "change a (content), change c (content)"},
		{"a link to a link", "b=y c=x", "a=x b==a c==b", "add a, change b (content)"},
		{"a link to a link that is missing", "a=x c=x d=y", "a=x b==a c==b d==b", "add b, change d (content)"},
		{"a link to a link that differs", "a=x b=x@5 c=x", "a=x b==a c==b", "change b (time)"},
		{"links to what is there no more", "a=x c=x d=y", "a=x b==a a=y c==b d==a", "change a (content), add b"},
		{"large", "a=" + large[1:] + "! b=" + large + " c=" + large[1:] + "!", "a=" + large + " b==a c==a",
			"change a (content), change c (content)"},
		{"empty", "b=", "a= b==a", "add a"},
		{"no file", "a/ b=x c=y", "a=x b==a c==a", "change a (type), change c (content)"},
		{"holes, missing", "b=" + holed[0] + " c=" + holed[1], "a=" + holed[0] + " b==a c==a", "add a, change c (content)"},
		{"holes, another", "a=" + holed[1] + " b=" + holed[0] + " c=" + holed[2], "a=" + holed[0] + " b==a c==b",
			"change a (content), change c (content)"},
		{"holes, a link to a link", "a=" + holed[0] + " c=" + holed[0] + " d=" + holed[1],
			"a=" + holed[0] + " b==a c==b d==b", "add b, change d (content)"},
		{"the same, elsewhere", "b=" + holed[3] + " c=" + holed[0], "a=" + holed[0] + " b==a c==a",
			"add a, change b (content)"},
		{"holes no more", "b=x c=" + holed[0], "a=" + holed[0] + " a=x b==a c==a", "add a, change c (size)"},
		{"nothing but a hole", "a=x b=" + holed[2], "a=" + holed[2] + " b==a", "change a (size)"},
		{"replaced", "b=x c=x", "a=x b==a a=y c==a", "add a, change c (content)"},
	} {
		for _, checksum := range []bool{false, true} {
			top := tempDir(t)
			dest := filepath.Join(top, "dest")
			plant(t, dest, parse(t, x.dest))
			opts := Options{Checksum: checksum}
			entries, err := scan(t, tarball(t, parse(t, x.archive)), dest, "", &opts)
			check(t, err)
			plan, err := Compare(context.Background(), entries, place(t, dest), opts)
			check(t, err)
			if got := show(plan.Changes()); got != x.want {
				t.Errorf("%s, checksum %v: changes %s, want %s", x.name, checksum, got, x.want)
			}
		}
	}
}

func TestDeep(t *testing.T) {
	top := tempDir(t)
	words, path := "", ""
	for i := range 200 {
		path = confined.Join(path, "d"+strconv.Itoa(i%3))
		words += " " + path + "/ " + path + "/f=x"
	}
	plant(t, filepath.Join(top, "dest"), parse(t, "d0/ d0/old/ d0/old/f="))
	src := parse(t, words)
	plan := prepare(t, top, src, Options{}, true)
	check(t, plan.Apply(context.Background(), place(t, filepath.Join(top, "staging"))))
	same(t, filepath.Join(top, "dest"), src)
}
