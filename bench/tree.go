package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// shape says what a generated tree is like: as that of an application, many
// small files and few big ones. Sizes are in bytes.
type shape struct {
	files, size  int // how many small files, and their size on average
	big, bigSize int
}

// makeTree writes the same files each time it is called.
func makeTree(dir string, s shape) error {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range s.files {
		name := filepath.Join(dir, fmt.Sprintf("module%04d", i/100), fmt.Sprintf("file%02d.txt", i%100))
		if err := writeFile(name, text(random, 1+random.IntN(max(1, 2*s.size)))); err != nil {
			return err
		}
	}
	for i := range s.big {
		if err := writeFile(filepath.Join(dir, "assets", fmt.Sprintf("big%02d.bin", i)),
			mixed(random, s.bigSize)); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o644)
}

// text compresses about as well as source code does.
func text(random *rand.Rand, size int) []byte {
	words := strings.Fields("return error nil func string range package import const struct byte context")
	b := make([]byte, 0, size+16)
	for len(b) < size {
		b = append(b, words[random.IntN(len(words))]...)
		b = strconv.AppendInt(append(b, ' '), int64(random.IntN(1000)), 10)
		b = append(b, '\n')
	}
	return b[:size]
}

// mixed is half text and half what does not compress at all, in turn, as
// binaries and images are.
func mixed(random *rand.Rand, size int) []byte {
	const block = 64 << 10
	b := make([]byte, 0, size+block)
	for len(b) < size {
		b = append(b, text(random, block)...)
		for range block {
			b = append(b, byte(random.Uint32()))
		}
	}
	return b[:size]
}

// walkFiles calls f for each regular file below dir, in the order of names.
func walkFiles(dir string, f func(path string, info fs.FileInfo) error) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return f(path, info)
	})
}

// changeTree appends a line to percent of 100 regular files, to the first and others
// that are evenly apart, which also changes their times, and prints how many files it
// changed and their size in bytes.
func changeTree(dir string, percent int, out io.Writer) error {
	const line = "changed\n"
	seen, files, size := 0, 0, int64(0)
	err := walkFiles(dir, func(path string, info fs.FileInfo) error {
		is := seen * percent % 100
		if seen++; is >= percent {
			return nil
		}
		files, size = files+1, size+info.Size()+int64(len(line))
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteString(line)
		return errors.Join(err, f.Close())
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, files, size)
	return err
}

// mark prints a line for each regular file below dir that is another one when
// the file has been replaced or touched: its inode and the time of its last
// change, which nobody can set.
func mark(dir string, out io.Writer) error {
	w := bufio.NewWriter(out)
	err := walkFiles(dir, func(path string, info fs.FileInfo) error {
		_, err := fmt.Fprintln(w, markOf(path, info))
		return err
	})
	return errors.Join(err, w.Flush())
}

func markOf(path string, info fs.FileInfo) string {
	st := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d %d %q", st.Ino, changedAt(st), path)
}

// fresh prints how many regular files below dir have no mark in a file that
// mark wrote, and their size in bytes: what has been written since, or more,
// since a new mode or owner counts as well.
func fresh(dir, marks string, out io.Writer) error {
	data, err := os.ReadFile(marks)
	if err != nil {
		return err
	}
	known := make(map[string]bool)
	for line := range strings.Lines(string(data)) {
		known[strings.TrimSuffix(line, "\n")] = true
	}
	files, size := 0, int64(0)
	err = walkFiles(dir, func(path string, info fs.FileInfo) error {
		if !known[markOf(path, info)] {
			files, size = files+1, size+info.Size()
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, files, size)
	return err
}
