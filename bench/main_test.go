package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestMedians(t *testing.T) {
	for in, want := range map[string]string{
		"3 30\n1 10\n2 20\n":     "2.00 20.00\n",
		"4\n1\n3\n2\n":           "2.50\n",
		"0.125 7\n":              "0.12 7.00\n",
		"1 100\n1 200\n9 9000\n": "1.00 200.00\n",
	} {
		var out bytes.Buffer
		if err := medians(strings.NewReader(in), &out); err != nil || out.String() != want {
			t.Errorf("medians of %q: %q, %v; want %q", in, out.String(), err, want)
		}
	}
	for _, in := range []string{"", "1\nx\n"} {
		if err := medians(strings.NewReader(in), new(bytes.Buffer)); err == nil {
			t.Errorf("medians of %q: no error", in)
		}
	}
}

func TestChangeTree(t *testing.T) {
	dir := t.TempDir()
	for i := range 250 {
		if err := writeFile(filepath.Join(dir, strconv.Itoa(i%7), strconv.Itoa(i)), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := changeTree(dir); err != nil {
		t.Fatal(err)
	}
	changed := 0
	files, _ := filepath.Glob(filepath.Join(dir, "*", "*"))
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if string(b) != "x" {
			changed++
		}
	}
	if len(files) != 250 || changed != 2 {
		t.Errorf("%d of %d files changed, want 2 of 250", changed, len(files))
	}
}

func TestRunRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, args := range [][]string{nil, {"make"}, {"measure", "x"}, {"frobnicate"}} {
		if err := run(args); err != errUsage {
			t.Errorf("%q: %v", args, err)
		}
	}
}
