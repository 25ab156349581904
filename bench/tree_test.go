package main

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestMakeTreeMakesTheSameEachTime(t *testing.T) {
	s := shape{files: 230, size: 100, big: 2, bigSize: 150_000}
	one, two := t.TempDir(), t.TempDir()
	for _, dir := range []string{one, two} {
		if err := makeTree(dir, s); err != nil {
			t.Fatal(err)
		}
	}
	files, small := 0, int64(0)
	err := walkFiles(one, func(path string, info fs.FileInfo) error {
		files++
		name, _ := filepath.Rel(one, path)
		a, _ := os.ReadFile(path)
		b, err := os.ReadFile(filepath.Join(two, name))
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs", name)
		}
		if !strings.HasPrefix(name, "assets") {
			small += info.Size()
		} else if info.Size() != int64(s.bigSize) {
			t.Errorf("%s has %d bytes, want %d", name, info.Size(), s.bigSize)
		}
		return err
	})
	if err != nil || files != s.files+s.big {
		t.Errorf("%d files, %v; want %d", files, err, s.files+s.big)
	}
	if average := small / int64(s.files); average < 80 || average > 120 {
		t.Errorf("small files have %d bytes on average, want about %d", average, s.size)
	}
}

func TestMixedIsHalfText(t *testing.T) {
	dir := t.TempDir()
	if err := makeTree(dir, shape{big: 1, bigSize: 128 << 10}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "assets", "big00.bin"))
	if err != nil {
		t.Fatal(err)
	}
	high := 0 // bytes that are no ASCII
	for _, c := range b {
		if c >= 0x80 {
			high++
		}
	}
	if part := float64(high) / float64(len(b)); part < 0.2 || part > 0.3 {
		t.Errorf("%.2f of the bytes are no ASCII, want a quarter", part)
	}
}

// fill writes n files of one byte, in seven directories.
func fill(t *testing.T, dir string, n int) {
	t.Helper()
	for i := range n {
		if err := writeFile(filepath.Join(dir, strconv.Itoa(i%7), strconv.Itoa(i)), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestChangeTree(t *testing.T) {
	for _, c := range []struct {
		files, percent int
		want           string
	}{
		{0, 1, "0 0\n"}, {1, 1, "1 9\n"}, {100, 1, "1 9\n"}, {101, 1, "2 18\n"}, {250, 1, "3 27\n"},
		{100, 30, "30 270\n"}, {10, 30, "3 27\n"}, {7, 100, "7 63\n"}, {100, 0, "0 0\n"},
	} {
		dir := t.TempDir()
		fill(t, dir, c.files)
		var out bytes.Buffer
		if err := changeTree(dir, c.percent, &out); err != nil || out.String() != c.want {
			t.Errorf("%d %% of %d files: %q, %v; want %q", c.percent, c.files, out.String(), err, c.want)
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
		if said, _, _ := strings.Cut(c.want, " "); len(files) != c.files || strconv.Itoa(changed) != said {
			t.Errorf("%d of %d files changed, want %s of %d", changed, len(files), said, c.files)
		}
	}
}

func TestFreshFindsWhatHasBeenWritten(t *testing.T) {
	for name, c := range map[string]struct {
		act  func(dir string) error
		want string
	}{
		"nothing": {func(string) error { return nil }, "0 0\n"},
		"read": {func(dir string) error {
			_, err := os.ReadFile(filepath.Join(dir, "0/0"))
			return err
		}, "0 0\n"},
		"replaced by a rename": {func(dir string) error {
			if err := os.WriteFile(filepath.Join(dir, "new"), []byte("y"), 0o644); err != nil {
				return err
			}
			return os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "0/0"))
		}, "1 1\n"},
		"written in place, with its old time": {func(dir string) error {
			name := filepath.Join(dir, "0/0")
			info, err := os.Stat(name)
			if err != nil {
				return err
			}
			if err := os.WriteFile(name, []byte("y"), 0o644); err != nil {
				return err
			}
			return os.Chtimes(name, info.ModTime(), info.ModTime())
		}, "1 1\n"},
		"added": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "new"), []byte("long"),
				0o644)
		}, "1 4\n"},
		"removed": {func(dir string) error { return os.Remove(filepath.Join(dir, "0/0")) }, "0 0\n"},
		"a directory's time": {func(dir string) error {
			return os.Chtimes(filepath.Join(dir, "0"), time.Now(),
				time.Unix(1, 0))
		}, "0 0\n"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, marks := t.TempDir(), filepath.Join(t.TempDir(), "marks")
			fill(t, dir, 20)
			var before, out bytes.Buffer
			if err := mark(dir, &before); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(marks, before.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Millisecond) // the clock of file systems is coarse
			if err := c.act(dir); err != nil {
				t.Fatal(err)
			}
			if err := fresh(dir, marks, &out); err != nil || out.String() != c.want {
				t.Errorf("%q, %v; want %q", out.String(), err, c.want)
			}
		})
	}
	if err := fresh(t.TempDir(), filepath.Join(t.TempDir(), "none"), io.Discard); err == nil {
		t.Error("no error without marks")
	}
}
