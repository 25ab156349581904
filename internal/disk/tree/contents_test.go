package tree

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// recordOf records a tree of files whose content is known.
func recordOf(t testing.TB, dir string, files map[string]string) (name string) {
	t.Helper()
	c := NewContents()
	for f, text := range files {
		path := filepath.Join(dir, f)
		must(t, os.WriteFile(path, []byte(text), 0o644))
		must(t, os.Chtimes(path, time.Time{}, time.Unix(499162500, 0)))
		sums, err := c.SumFile(t.Context(), strings.NewReader(text), make([]byte, BlockSize))
		must(t, err)
		c.Add(stat(t, path), sums)
	}
	name = filepath.Join(t.TempDir(), "saved")
	must(t, Save(t.Context(), open(t, dir), Recorded{Contents: c}, name))
	return name
}

func stat(t testing.TB, path string) *unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Lstat(path, &st))
	return &st
}

func drifts(t testing.TB, name, dir string) []Drift {
	t.Helper()
	d, err := Check(t.Context(), name, open(t, dir), func([]byte) (Skip, error) { return nil, nil })
	must(t, err)
	return d.First
}

// TestTouched: a file that has been changed is found whatever was put back of
// it; one that has only been touched is no drift, if its content is known.
func TestTouched(t *testing.T) {
	long := strings.Repeat("x", 2*BlockSize+1)
	for name, x := range map[string]struct {
		touch func(f string) error
		known bool // is there drift though the content is known?
	}{
		"edited":  {func(f string) error { return os.WriteFile(f, []byte("E"+long[1:]), 0o644) }, true},
		"its end": {func(f string) error { return os.WriteFile(f, []byte(long[1:]+"E"), 0o644) }, true},
		"written": {func(f string) error { return os.WriteFile(f, []byte(long), 0o644) }, false},
		"mode":    {func(f string) error { return os.Chmod(f, 0o644) }, false},
		"another one": {func(f string) error {
			return errors.Join(os.WriteFile(f+"2", []byte(long), 0o644), os.Rename(f+"2", f))
		}, false},
		"linked": {func(f string) error { return errors.Join(os.Link(f, f+"2"), os.Remove(f+"2")) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, known := range []bool{true, false} {
				dir := t.TempDir()
				f := filepath.Join(dir, "f")
				record := recordOf(t, dir, map[string]string{"f": long})
				if !known {
					must(t, Save(t.Context(), open(t, dir), Recorded{}, record))
				}
				if d := drifts(t, record, dir); d != nil {
					t.Fatalf("known: %v: %v before", known, d)
				}
				must(t, x.touch(f))
				must(t, os.Chtimes(f, time.Time{}, time.Unix(499162500, 0)))
				want := known && x.known || !known
				if d := drifts(t, record, dir); (d != nil) != want || d != nil && d[0] != (Drift{"f", "changed"}) {
					t.Errorf("known: %v: %v, drift expected: %v", known, d, want)
				}
			}
		})
	}
}

// TestTouchedEmpty: an empty file that has only been touched is no drift, whatever is
// known.
func TestTouchedEmpty(t *testing.T) {
	for _, known := range []bool{true, false} {
		dir := t.TempDir()
		record := recordOf(t, dir, map[string]string{"f": "", "g": "", "h": ""})
		if !known {
			must(t, Save(t.Context(), open(t, dir), Recorded{}, record))
		}
		must(t, os.Chmod(dir+"/f", 0o644))
		must(t, errors.Join(os.WriteFile(dir+"/g2", nil, 0o644), os.Rename(dir+"/g2", dir+"/g")))
		must(t, os.WriteFile(dir+"/h", []byte("x"), 0o644))
		for _, f := range []string{"f", "g", "h"} {
			must(t, os.Chtimes(filepath.Join(dir, f), time.Time{}, time.Unix(499162500, 0)))
		}
		if d := drifts(t, record, dir); len(d) != 1 || d[0] != (Drift{"h", "size"}) {
			t.Errorf("known: %v: %v", known, d)
		}
	}
}

// TestSwappedDirectories: files that were made in one moment change places
// with their directories, which leaves their times of change alone.
func TestSwappedDirectories(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(dir+"/a", 0o755))
	must(t, os.Mkdir(dir+"/b", 0o755))
	record := recordOf(t, dir, map[string]string{"a/f": "one", "b/f": "two"})
	must(t, errors.Join(os.Rename(dir+"/a", dir+"/c"), os.Rename(dir+"/b", dir+"/a"), os.Rename(dir+"/c", dir+"/b")))
	if d := drifts(t, record, dir); len(d) != 2 {
		t.Errorf("drifts %v", d)
	}
}

// TestLoadContents reads back what was known.
func TestLoadContents(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{"empty": "", "small": "x", "long": strings.Repeat("y", BlockSize+1)}
	c, err := LoadContents(recordOf(t, dir, files), open(t, dir))
	must(t, err)
	for f, text := range files {
		sums, ok := c.Of(stat(t, filepath.Join(dir, f)))
		if !ok || len(sums) != blocks(int64(len(text))) {
			t.Errorf("%s: %d sums, known: %v", f, len(sums), ok)
		}
		for i, sum := range sums {
			block := text[i*BlockSize : min(len(text), (i+1)*BlockSize)]
			if c.Sum(i, []byte(block)) != sum {
				t.Errorf("%s: block %d is not the one that was recorded", f, i)
			}
		}
		must(t, os.Chmod(filepath.Join(dir, f), 0o600))
		if _, ok := c.Of(stat(t, filepath.Join(dir, f))); ok {
			t.Errorf("%s is known though it has been changed", f)
		}
	}
	if _, err := LoadContents(filepath.Join(dir, "none"), open(t, dir)); !errors.Is(err, ErrRecord) {
		t.Errorf("err = %v", err)
	}
}

// TestChanged: what the caller changes stays known, save what others may
// write; what others change does not.
func TestChanged(t *testing.T) {
	dir := t.TempDir()
	root := open(t, dir)
	fd, err := root.Open(".")
	must(t, err)
	defer fd.Close()
	c := NewContents()
	for f, mode := range map[string]os.FileMode{"ours": 0o644, "theirs": 0o666} {
		path := filepath.Join(dir, f)
		must(t, os.WriteFile(path, []byte("x"), 0o600))
		must(t, os.Chmod(path, mode))
		c.Add(stat(t, path), []Sum{c.Sum(0, []byte("x"))})
		must(t, os.Rename(path, path+"2"))
		must(t, os.Rename(path+"2", path))
		must(t, c.Changed(int(fd.Fd()), f))
		if _, ok := c.Of(stat(t, path)); ok != (f == "ours") {
			t.Errorf("%s: known: %v", f, ok)
		}
	}
	name := filepath.Join(t.TempDir(), "saved")
	Settle(time.Now().UnixNano())
	must(t, os.Chmod(dir+"/theirs", 0o666)) // between what the caller did and the record
	must(t, Save(t.Context(), root, Recorded{Contents: c}, name))
	if d := drifts(t, name, dir); len(d) != 1 || d[0] != (Drift{"theirs", "changed"}) {
		t.Errorf("drifts %v", d)
	}
}

// TestUnknowable: a file without sums is known to be the same, not what is in it.
func TestUnknowable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(path, make([]byte, BlockSize+1), 0o644))
	c := NewContents()
	c.Add(stat(t, path), []Sum{{}})
	if _, ok := c.Of(stat(t, path)); ok || !c.IsSame(stat(t, path)) {
		t.Error("it must be the same, and not known")
	}
	Settle(time.Now().UnixNano())
	must(t, os.Chmod(path, 0o600))
	if c.IsSame(stat(t, path)) {
		t.Error("it has been changed")
	}
}

// TestKeysDiffer: without the key of a record nobody knows its sums.
func TestKeysDiffer(t *testing.T) {
	a, b := NewContents(), NewContents()
	block := bytes.Repeat([]byte{1}, BlockSize)
	sum := a.Sum(0, block)
	if again := a.Sum(0, block); sum != again || sum == b.Sum(0, block) || sum == a.Sum(1, block) {
		t.Error("a sum must be that of a key, a number and a block")
	}
}

// TestVersion: a record of another version is none.
func TestVersion(t *testing.T) {
	name := filepath.Join(t.TempDir(), "saved")
	must(t, os.WriteFile(name, []byte("stretcher tree 1\nxxxx"), 0o600))
	_, err := Check(t.Context(), name, open(t, t.TempDir()), func([]byte) (Skip, error) { return nil, nil })
	if !errors.Is(err, ErrRecord) || !strings.Contains(err.Error(), "written by another version") {
		t.Errorf("err = %v", err)
	}
}

func BenchmarkSum(b *testing.B) {
	c, block := NewContents(), make([]byte, BlockSize)
	b.SetBytes(BlockSize)
	for b.Loop() {
		c.Sum(0, block)
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

// TestCheckIsStopped: whoever ends a check waits for one block, not for a file,
// and is not told that the file has changed.
func TestCheckIsStopped(t *testing.T) {
	const blocks = 5
	dir, record := t.TempDir(), filepath.Join(t.TempDir(), "record")
	file := filepath.Join(dir, "f")
	must(t, os.WriteFile(file, make([]byte, blocks*BlockSize), 0o644))
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	c := NewContents()
	sums, err := c.SumFile(t.Context(), bytes.NewReader(make([]byte, blocks*BlockSize)), make([]byte, BlockSize))
	must(t, err)
	var st unix.Stat_t
	must(t, unix.Lstat(file, &st))
	c.Add(&st, sums)
	must(t, Save(t.Context(), root, Recorded{Contents: c}, record))
	Settle(time.Now().UnixNano())
	must(t, os.Chmod(file, 0o644)) // so that it is read
	for asked := 0; ; asked++ {
		drifts, err := Check(&dying{t.Context(), asked}, record, root, func([]byte) (Skip, error) { return nil, nil })
		if err == nil {
			if drifts.Total > 0 || asked < blocks {
				t.Errorf("drifts %v, asked %d times", drifts.First, asked)
			}
			return
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
}

// TestAhead: what was read ahead is taken once, for the record and the file system
// that it was read for; all else is read when it is asked for.
func TestAhead(t *testing.T) {
	dir := t.TempDir()
	record := recordOf(t, dir, map[string]string{"f": "x"})
	root, st := open(t, dir), stat(t, filepath.Join(dir, "f"))
	var none *Ahead
	none.Plan(record, root)()
	a := &Ahead{}
	a.Plan(record, nil)()
	other, late, begun := &Ahead{}, &Ahead{}, &Ahead{}
	other.Plan(record+"-other", root)()
	late.Plan(record, root)
	begun.Plan(record, root)()
	var before *Contents
	for name, a := range map[string]*Ahead{
		"none": none, "not begun": a, "another": other, "late": late, "begun": begun, "again": begun,
	} {
		c, err := a.Take(record, root)
		must(t, err)
		if _, ok := c.Of(st); !ok || c == before {
			t.Errorf("%s: known: %v, taken before: %v", name, ok, c == before)
		}
		before = c
	}
	if _, err := other.Take(record+"-other", root); !errors.Is(err, ErrRecord) {
		t.Errorf("err = %v", err)
	}
	load := begun.Plan(record, root)
	load()
	must(t, os.Remove(record))
	begun.Plan(record, root)()
	load()
	if c, err := begun.Take(record, root); err != nil || !c.IsSame(st) {
		t.Errorf("planned twice, it was not loaded once: err = %v", err)
	}
}
