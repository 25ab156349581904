package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stretcher/internal/archive/index"
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

func indexOf(t *testing.T, dir string) *index.Index {
	t.Helper()
	x, err := packInto(dir, filepath.Join(t.TempDir(), "archive"))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestMissing(t *testing.T) {
	tree := map[string]int{"a": 100_000, "bb": 200_000, "ccc": 1_500_000}
	older := indexOf(t, plant(t, tree, 1))
	if got := missing(older, indexOf(t, plant(t, tree, 1))); got != (lack{}) {
		t.Errorf("of the same: %+v", got)
	}
	newer := plant(t, tree, 1)
	if err := os.WriteFile(filepath.Join(newer, "a"), make([]byte, 100_000), 0o644); err != nil {
		t.Fatal(err)
	}
	one := missing(older, indexOf(t, newer))
	if one.changed != 1 || one.byFiles < 100 || one.byFiles > 10_000 || one.byMembers > one.byFiles {
		t.Errorf("of a file of zeros: %+v", one)
	}
	x := indexOf(t, newer)
	if all := missing(indexOf(t, t.TempDir()), x); all.changed != 3 || all.byFiles > x.Size || all.byFiles < x.Size*9/10 {
		t.Errorf("of all: %+v", all)
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
	grown := missing(older, indexOf(t, newer))
	if grown.changed != 2 || grown.byFiles < 1_500_000 || grown.byMembers > grown.byFiles/2 {
		t.Errorf("of a file that has grown: %+v", grown)
	}
}

func TestRun(t *testing.T) {
	const program = "true" // which fetches nothing
	dir := plant(t, map[string]int{"a": 1000}, 1)
	var b strings.Builder
	err := run([]string{program, "one", dir, dir, "two", dir, dir}, &b)
	row := " | 1 | 0 | 0.00 MB | 0.00 MB | 0.0 % | 0.0 % | 0.0 % |\n"
	if want := header + "| one" + row + "| two" + row; err != nil || b.String() != want {
		t.Errorf("%v\n%s", err, b.String())
	}
	for _, args := range [][]string{nil, {program, "one", dir}, {program, "one", dir, filepath.Join(dir, "none")},
		{"false", "one", dir, dir}} {
		if err := run(args, &b); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "pairs-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestTable holds that the document has a table as the program prints it.
func TestTable(t *testing.T) {
	doc, err := os.ReadFile("../../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rows, ok := strings.Cut(string(doc), "\n"+header)
	rows, _, _ = strings.Cut(rows, "\n\n")
	if !ok || strings.Count(rows, "\n| ") < 8 {
		t.Errorf("docs/performance.md lacks the table of bench/pairs.sh, which begins with\n%s", header)
	}
}
