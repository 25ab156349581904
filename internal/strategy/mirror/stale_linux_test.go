package mirror

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/disk/tree"
)

// deployKnown makes dest equal to a tree, with what is known of it, and tells
// what was changed.
func deployKnown(t testing.TB, top, words string, known *tree.Contents, opts Options) string {
	t.Helper()
	dest, dir := filepath.Join(top, "dest"), filepath.Join(top, "staging")
	private(t, dir)
	opts.Contents = known
	entries, err := scan(t, tarball(t, parse(t, words)), dest, dir, &opts)
	check(t, err)
	plan, err := Compare(context.Background(), entries, place(t, dest), opts)
	check(t, err)
	changes := show(plan.Changes())
	tree.Settle(time.Now().UnixNano()) // what is changed now has another time of change
	check(t, plan.Apply(context.Background(), place(t, dir)))
	return changes
}

// opened counts the files of dest that are read: their time of access is old
// before, and the file system notes a reading after that.
func opened(t testing.TB, dest string, run func()) (read []string) {
	t.Helper()
	old := time.Unix(1e9, 0)
	files, err := filepath.Glob(dest + "/*")
	check(t, err)
	was := map[string]int64{}
	for _, f := range files {
		var st unix.Stat_t
		check(t, unix.Lstat(f, &st))
		check(t, os.Chtimes(f, old, time.Unix(0, st.Mtim.Nano())))
		check(t, unix.Lstat(f, &st))
		was[f] = st.Atim.Nano()
	}
	run()
	for _, f := range files {
		var st unix.Stat_t
		if unix.Lstat(f, &st) == nil && st.Atim.Nano() != was[f] {
			read = append(read, filepath.Base(f))
		}
	}
	return read
}

// TestKnown: what is known of dest is right without a look at it, and what is
// not known is read.
func TestKnown(t *testing.T) {
	long, other := strings.Repeat("a", 3*tree.BlockSize), strings.Repeat("a", 3*tree.BlockSize-1)+"b"
	for _, x := range []struct{ name, first, second, changes string }{
		{"the same", "a=x b=" + long, "a=x b=" + long, ""},
		{"one small file", "a=x b=y", "a=z b=y", "change a (content)"},
		{"the end of a long one", "a=x b=" + long, "a=x b=" + other, "change b (content)"},
		{"the beginning", "b=" + long, "b=c" + long[1:], "change b (content)"},
		{"empty", "a= b=", "a= b=", ""},
		{"a link's file", "a=x b==a", "a=y b==a", "change a (content), change b (content)"},
		{"a link itself", "a=x b=y", "a=x b==a", "change b (content)"},
		{"a link that is new", "a=x", "a=y b==a", "change a (content), add b"},
		{"a link to an empty file", "a=", "a= b==a", "add b"},
		{"a link elsewhere", "a/ a/x=x b/ b/y==a/x", "a/ a/x=x b/ b/y==a/x", ""},
		{"a link elsewhere and its file", "a/ a/x=x b/ b/y==a/x", "a/ a/x=y b/ b/y==a/x",
			"change a/x (content), change b/y (content)"},
		{"a link elsewhere itself", "a/ a/x=x a/y=x b/ b/y=y", "a/ a/x=x a/y=x b/ b/y==a/x", "change b/y (content)"},
	} {
		t.Run(x.name, func(t *testing.T) {
			top := tempDir(t)
			known := tree.NewContents()
			deployKnown(t, top, x.first, known, Options{})
			if got := deployKnown(t, top, x.second, known, Options{}); got != x.changes {
				t.Errorf("known: %s, want %s", got, x.changes)
			}
			same(t, filepath.Join(top, "dest"), parse(t, unlinked(x.second)))
			deployKnown(t, top, x.first, known, Options{})
			if got := deployKnown(t, top, x.second, nil, Options{}); got != x.changes {
				t.Errorf("not known: %s, want %s", got, x.changes)
			}
		})
	}
}

// TestLinksAreClosed: a stage that writes nothing keeps open no file that a hard
// link leads to.
func TestLinksAreClosed(t *testing.T) {
	top := tempDir(t)
	plant(t, top+"/dest", parse(t, "a=x b=x c=x d=x"))
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which closes what is forgotten
	before := descriptors(t)
	opts := Options{}
	_, err := scan(t, tarball(t, parse(t, "a=y b==a c==a d==a")), top+"/dest", "", &opts)
	check(t, err)
	if after := descriptors(t); after > before+1 { // the root of dest
		t.Errorf("%d files are open, and %d were before", after, before)
	}
}

func descriptors(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	check(t, err)
	return len(list)
}

// unlinked is a tree whose hard links are files of their own.
func unlinked(words string) string {
	data := map[string]string{}
	list := strings.Fields(words)
	for i, w := range list {
		if path, old, ok := strings.Cut(w, "=="); ok {
			list[i] = path + "=" + data[old]
		} else if path, text, ok := strings.Cut(w, "="); ok {
			data[path] = text
		}
	}
	return strings.Join(list, " ")
}

// TestKnownIsNotRead deploys twice: the second time nothing of dest is opened,
// but what has been touched.
func TestKnownIsNotRead(t *testing.T) {
	top := tempDir(t)
	dest := filepath.Join(top, "dest")
	known := tree.NewContents()
	const words = "a=x b=y c=z"
	deployKnown(t, top, words, known, Options{})
	read := opened(t, dest, func() { // which touches them, so that they are not known now
		if got := deployKnown(t, top, words, known, Options{}); got != "" {
			t.Errorf("changes %s", got)
		}
	})
	if len(read) == 0 {
		t.Skip("the file system notes no time of access")
	}
	if got := strings.Join(read, " "); got != "a b c" {
		t.Errorf("read %s, want all", got)
	}
	before := map[string]int64{}
	for _, f := range []string{"a", "b", "c"} {
		var st unix.Stat_t
		check(t, unix.Lstat(filepath.Join(dest, f), &st))
		before[f] = st.Atim.Nano()
	}
	tree.Settle(time.Now().UnixNano())
	deployKnown(t, top, words, known, Options{})
	for f, atime := range before {
		var st unix.Stat_t
		check(t, unix.Lstat(filepath.Join(dest, f), &st))
		if st.Atim.Nano() != atime {
			t.Errorf("%s was read, though it is known", f)
		}
	}
}

// TestEdited: a file that is changed behind the caller's back is seen, whatever
// is put back of it.
func TestEdited(t *testing.T) {
	for name, edit := range map[string]func(file string) error{
		"in place": func(f string) error { return os.WriteFile(f, []byte("E"), 0o644) },
		"replaced": func(f string) error {
			return errors.Join(os.WriteFile(f+".new", []byte("E"), 0o644), os.Rename(f+".new", f))
		},
		"by another of dest": func(f string) error {
			return errors.Join(os.Remove(f), os.Link(filepath.Dir(f)+"/other", f))
		},
	} {
		t.Run(name, func(t *testing.T) {
			top := tempDir(t)
			known := tree.NewContents()
			const words = "f=x other=y"
			deployKnown(t, top, words, known, Options{})
			file := filepath.Join(top, "dest/f")
			was, err := os.Stat(file)
			check(t, err)
			check(t, edit(file))
			check(t, os.Chtimes(file, time.Time{}, was.ModTime()))
			if got := deployKnown(t, top, words, known, Options{}); got != "change f (content)" {
				t.Errorf("changes %q", got)
			}
			same(t, filepath.Join(top, "dest"), parse(t, words))
		})
	}
}

// TestBlessing: root makes nothing of a file that somebody else may still be
// able to write to.
func TestBlessing(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("takes root")
	}
	for _, x := range []struct {
		name, words string
		owner       int
		link        bool
		changes     string
		kept        bool
	}{
		{name: "owner", words: "f=x:755", owner: attacker, changes: "change f (owner)"},
		{name: "setuid", words: "f=x:4755", changes: "change f (mode)"},
		{name: "setgid and owner", words: "f=x:2755", owner: attacker, changes: "change f (mode owner)"},
		{name: "several links", words: "f=x:755", link: true, changes: "change f (links)"},
		{name: "mode alone", words: "f=x:700", changes: "change f (mode)", kept: true},
		{name: "nothing", words: "f=x:755", kept: true},
	} {
		for _, checksum := range []bool{false, true} {
			t.Run(x.name, func(t *testing.T) {
				top := tempDir(t)
				dest := filepath.Join(top, "dest")
				plant(t, dest, parse(t, "f=x:755"))
				file := filepath.Join(dest, "f")
				check(t, os.Lchown(file, x.owner, x.owner))
				check(t, os.Chmod(file, 0o755))
				if x.link {
					check(t, os.Link(file, filepath.Join(top, "link")))
				}
				theirs, err := os.OpenFile(file, os.O_RDWR, 0)
				check(t, err)
				defer theirs.Close()
				if got := deployKnown(t, top, x.words, nil, Options{Owners: true, Checksum: checksum}); got != x.changes {
					t.Errorf("changes %q, want %q", got, x.changes)
				}
				same(t, dest, parse(t, x.words))
				_, err = theirs.WriteAt([]byte("E"), 0)
				check(t, err)
				data, err := os.ReadFile(file)
				check(t, err)
				if (string(data) == "E") != x.kept {
					t.Errorf("what had been open before writes to the file: %v, want %v", string(data) == "E", x.kept)
				}
			})
		}
	}
}

// TestOwnUnreadable: an ordinary user's own file that he may not read is written
// anew, and a hard link to it is made.
func TestOwnUnreadable(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root reads everything")
	}
	for _, words := range []string{"f=x:200", "f=x:200 g==f", "f=x:200 g==f h==f"} {
		for _, checksum := range []bool{false, true} {
			top := tempDir(t)
			dest, dir := filepath.Join(top, "dest"), filepath.Join(top, "staging")
			plant(t, dest, parse(t, "f=x:200"))
			check(t, os.Mkdir(dir, 0o700))
			opts := Options{Checksum: checksum}
			stage := NewStage(context.Background(), rootAt(t, dest), rootAt(t, dir), opts)
			tarred := bytes.NewReader(tarball(t, parse(t, words)))
			entries, _, err := archive.Scan(context.Background(), tarred, archive.Options{}, stage)
			check(t, errors.Join(err, stage.Close()))
			opts.Differs = stage.Differs
			plan, err := Compare(context.Background(), entries, place(t, dest), opts)
			check(t, err)
			check(t, plan.Apply(context.Background(), place(t, dir)))
		}
	}
}
