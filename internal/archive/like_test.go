package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// outcome is what Extract did.
type outcome struct {
	dir    string
	res    Result
	err    error
	warned []string
}

// scanLike holds that Scan says of b what Extract made of it.
func scanLike(t testing.TB, b []byte, opts Options, want outcome) {
	t.Helper()
	k := newKeeper(t)
	var warned []string
	opts.Warn = func(msg string) { warned = append(warned, msg) }
	list, res, err := Scan(context.Background(), bytes.NewReader(b), opts, k)
	if fmt.Sprint(err) != fmt.Sprint(want.err) || !slices.Equal(warned, want.warned) {
		t.Fatalf("Extract: %v, warnings %q\nScan: %v, warnings %q", want.err, want.warned, err, warned)
	}
	for _, kind := range []error{ErrMalformed, ErrUnsafe, ErrLimit} {
		if errors.Is(err, kind) != errors.Is(want.err, kind) {
			t.Fatalf("Extract's and Scan's %q are not alike %q", err, kind)
		}
	}
	if err != nil {
		res.Bytes = want.res.Bytes // depends on how much was read at a time
	}
	if res != want.res || (err != nil) != (list == nil) {
		t.Fatalf("Extract: %+v, Scan: %+v and %d entries", want.res, res, len(list))
	}
	if err == nil {
		k.compare(list, want.dir)
	}
}

// keeper is a sink that keeps the content, read in one way after the other.
type keeper struct {
	t     testing.TB
	dir   string
	calls int
	files map[string]kept
}

type kept struct {
	e    Entry
	file string // "" when the content was left unread
}

func newKeeper(t testing.TB) *keeper {
	return &keeper{t: t, dir: t.TempDir(), files: make(map[string]kept)}
}

// File lets each way meet an error of the archive, and swallows some of them.
func (k *keeper) File(e Entry, c *Content) error {
	if _, ok := k.files[e.Path]; ok {
		k.t.Errorf("%q was not dropped", e.Path)
	}
	k.calls++
	f, err := os.Create(filepath.Join(k.dir, fmt.Sprint(k.calls)))
	check(k.t, err)
	defer f.Close()
	name, how := f.Name(), k.calls%4
	if e.Size > 1<<20 {
		how %= 2
	}
	switch how {
	case 0:
		err = c.CopyTo(f)
	case 1:
		if _, err = io.CopyN(f, c, 1+min(e.Size/3, 1<<20)); err == nil {
			err = c.CopyTo(f)
		}
		if err == io.EOF {
			err = nil
		}
	case 2:
		_, err = io.Copy(f, c)
	case 3:
		name = ""
		io.CopyN(f, c, e.Size/2)
	}
	k.files[e.Path] = kept{e, name}
	return err
}

func (k *keeper) Link(e Entry, old string) error {
	had, ok := k.files[old]
	if had.e.Path = e.Path; !ok || had.e != e {
		k.t.Errorf("link %+v to %+v", e, had.e)
	}
	if _, ok := k.files[e.Path]; ok {
		k.t.Errorf("%q was not dropped", e.Path)
	}
	k.files[e.Path] = had
	return nil
}

func (k *keeper) Drop(path string) error {
	if _, ok := k.files[path]; !ok {
		k.t.Errorf("%q is dropped without having been there", path)
	}
	delete(k.files, path)
	return nil
}

// compare holds list and what was kept against the tree below dir.
func (k *keeper) compare(list []Entry, dir string) {
	k.t.Helper()
	want := readTree(k.t, dir)
	if len(list) != len(want) || !slices.IsSortedFunc(list,
		func(a, b Entry) int { return strings.Compare(a.Path, b.Path) }) {
		k.t.Errorf("%d entries on disk, scanned %+v", len(want), list)
	}
	regular := 0
	for _, e := range list {
		w := want[e.Path]
		if e.Path == "" && e.Implied {
			continue // the directory Extract was given
		}
		if w.Entry, e = comparable(w.Entry), comparable(e); w.Entry != e {
			k.t.Errorf("%q:\nExtract %+v\nScan    %+v", e.Path, w.Entry, e)
		}
		if !e.Mode.IsRegular() {
			continue
		}
		regular++
		got := k.files[e.Path]
		if e.Implied = false; comparable(got.e) != e {
			k.t.Errorf("%q: sink was told %+v, result is %+v", e.Path, got.e, e)
		}
		if got.file == "" || w.sum == "" {
			continue
		}
		if s := digest(k.t, got.file); s != w.sum {
			k.t.Errorf("%q: content differs: %s, want %s", e.Path, s, w.sum)
		}
	}
	if regular != len(k.files) {
		k.t.Errorf("%d regular files, sink has %d", regular, len(k.files))
	}
}

// comparable leaves out what a directory on disk can't tell.
func comparable(e Entry) Entry {
	if e.UID == NoID {
		e.UID, e.GID = uint32(os.Geteuid()), uint32(os.Getegid())
	}
	if now := time.Now().UnixNano(); e.Implied || e.MTime > now-int64(time.Hour) ||
		e.MTime < math.MinInt32*int64(time.Second) {
		e.MTime = 0 // also what file systems clamp
	}
	e.Implied = false
	return e
}

type onDisk struct {
	Entry
	sum string
}

// readTree leaves everything below dir as it was, though others than root must
// open it first.
func readTree(t testing.TB, dir string) map[string]onDisk {
	out := make(map[string]onDisk)
	var walk func(rel string)
	walk = func(rel string) {
		full := filepath.Join(dir, rel)
		fi, err := os.Lstat(full)
		check(t, err)
		d := onDisk{Entry: entryOf(t, full, rel, fi)}
		if os.Geteuid() != 0 && (fi.IsDir() || fi.Mode().IsRegular()) {
			check(t, os.Chmod(full, 0o700))
			defer os.Chmod(full, fi.Mode())
		}
		if fi.Mode().IsRegular() && fi.Size() < 64<<20 {
			d.sum = digest(t, full)
		}
		out[rel] = d
		if !fi.IsDir() {
			return
		}
		names, err := os.ReadDir(full)
		check(t, err)
		for _, n := range names {
			walk(path.Join(rel, n.Name()))
		}
	}
	walk("")
	return out
}

func entryOf(t testing.TB, full, rel string, fi fs.FileInfo) Entry {
	st := fi.Sys().(*syscall.Stat_t)
	e := Entry{Path: rel, Mode: fi.Mode(), UID: st.Uid, GID: st.Gid, MTime: math.MaxInt64}
	if fi.ModTime().Unix() < 9e9 {
		e.MTime = fi.ModTime().UnixNano()
	}
	var err error
	switch fi.Mode().Type() {
	case 0:
		e.Size = fi.Size()
	case fs.ModeSymlink:
		e.Link, err = os.Readlink(full)
		check(t, err)
	}
	return e
}

// sequence turns bytes into entries that keep getting in each other's way.
func sequence(b []byte) []ent {
	names := []string{"a", "a/b", "a/b/c", "b", "b/a", "./c//", "c/d", "/a/e", ".", "a-b", "../x", "b/a/../c"}
	types := []byte("00000555555222111166")
	var out []ent
	for ; len(b) >= 4; b = b[4:] {
		e := ent{name: names[int(b[0])%len(names)], typ: types[int(b[1])%len(types)], mode: int64(b[3])<<4 | int64(b[1]>>4),
			uid: int64(b[2] % 3), mtime: 1 + int64(b[3])<<16}
		if b[0] < 200 { // the last ones end the extraction: keep them rare
			e.name = names[int(b[0])%10]
		}
		switch e.typ {
		case '0':
			e.data = strings.Repeat(string(rune('a'+b[2]%26)), int(b[3])*7)
		case '1', '2':
			e.link = names[int(b[2])%10]
		}
		out = append(out, e)
	}
	return out
}
