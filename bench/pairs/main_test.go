package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// plant makes files of that many random bytes, which are those of the seed.
func plant(t *testing.T, files map[string]int, seed uint64) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, size := range files {
		r := rand.New(rand.NewPCG(seed, uint64(len(name)+size)))
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCompare(t *testing.T) {
	tree := map[string]int{"a": 100_000, "bb": 200_000, "ccc": 1_500_000}
	older := plant(t, tree, 1)
	same, err := compare(older, plant(t, tree, 1))
	if err != nil || same.files != 3 || same.changed != 0 || same.needed != 0 || same.unkept != 0 {
		t.Errorf("the same: %+v, %v", same, err)
	}
	newer := plant(t, tree, 1)
	if err := os.WriteFile(filepath.Join(newer, "a"), make([]byte, 100_000), 0o644); err != nil {
		t.Fatal(err)
	}
	one, err := compare(older, newer)
	if err != nil || one.changed != 1 || one.needed < 100 || one.needed > 10_000 || one.unkept > one.needed {
		t.Errorf("a file of zeros: %+v, %v", one, err)
	}
	all, err := compare(t.TempDir(), newer)
	if err != nil || all.changed != 3 || all.needed > all.archive || all.needed < all.archive*9/10 {
		t.Errorf("all: %+v, %v", all, err)
	}
	// Of a large file with other bytes at its end, the rest is kept.
	f, err := os.OpenFile(filepath.Join(newer, "ccc"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(bytes.Repeat([]byte("x"), 100)); err != nil {
		t.Fatal(err)
	}
	grown, err := compare(older, newer)
	if err != nil || grown.changed != 2 || grown.needed < 1_500_000 || grown.unkept > grown.needed*4/5 {
		t.Errorf("a file that has grown: %+v, %v", grown, err)
	}
}

func TestRun(t *testing.T) {
	dir := plant(t, map[string]int{"a": 1000}, 1)
	var b strings.Builder
	if err := run([]string{"one", dir, dir, "two", dir, dir}, &b); err != nil || strings.Count(b.String(), "\n| ") != 2 {
		t.Errorf("%v\n%s", err, b.String())
	}
	for _, args := range [][]string{nil, {"one", dir}, {"one", dir, filepath.Join(dir, "none")}} {
		if err := run(args, &b); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}
