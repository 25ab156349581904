// Command bench helps bench/run.sh: it makes and changes trees of files, and
// measures other programs. Usage:
//
//	bench make DIR                        fill DIR with generated files
//	bench change DIR                      change every 100th file below DIR
//	bench measure STDIN COMMAND [ARG...]  run it; print seconds, CPU seconds, peak KiB
//	bench first PROGRAM DIR               print milliseconds from start to first command
//	bench median                          print the medians of the columns on standard input
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: bench make|change DIR | measure STDIN COMMAND... | first PROGRAM DIR | median")

func run(args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	switch name, rest := args[0], args[1:]; {
	case name == "make" && len(rest) == 1:
		return makeTree(rest[0])
	case name == "change" && len(rest) == 1:
		return changeTree(rest[0])
	case name == "measure" && len(rest) > 1:
		return measure(rest[0], rest[1:])
	case name == "first" && len(rest) == 2:
		return first(rest[0], rest[1])
	case name == "median" && len(rest) == 0:
		return medians(os.Stdin, os.Stdout)
	default:
		return errUsage
	}
}

// The generated tree: like the tree of an application, many small files and
// few large ones, together about 400 MiB.
const (
	smallFiles = 16_000
	smallSize  = 15 << 10 // on average
	largeFiles = 40
	largeSize  = 4 << 20
)

// makeTree writes the same files each time it is called.
func makeTree(dir string) error {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range smallFiles {
		name := filepath.Join(dir, fmt.Sprintf("module%03d", i/100), fmt.Sprintf("file%02d.txt", i%100))
		if err := writeFile(name, text(random, 1+random.IntN(2*smallSize))); err != nil {
			return err
		}
	}
	for i := range largeFiles {
		if err := writeFile(filepath.Join(dir, "assets", fmt.Sprintf("image%02d.bin", i)), noise(random, largeSize)); err != nil {
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

// noise does not compress at all.
func noise(random *rand.Rand, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// changeTree appends a line to every 100th regular file, in the order of
// names, which also changes its time.
func changeTree(dir string) error {
	n := 0
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if n++; n%100 != 0 {
			return nil
		}
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteString("changed\n")
		return errors.Join(err, f.Close())
	})
}

// measure runs a command with a file as its standard input and prints how
// long it took, the processor time that it and its descendants used, and the
// largest resident set among them, as getrusage(2) has it: of one process,
// not the sum.
func measure(stdin string, command []string) error {
	in, err := os.Open(stdin)
	if err != nil {
		return err
	}
	defer in.Close()
	cmd := exec.Command(command[0], command[1:]...)
	var output strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &output, &output
	began := time.Now()
	err = cmd.Run()
	took := time.Since(began)
	if err != nil {
		return fmt.Errorf("%q: %w\n%s", command, err, output.String())
	}
	state := cmd.ProcessState
	peak := state.SysUsage().(*syscall.Rusage).Maxrss // KiB on Linux
	fmt.Printf("%.3f %.3f %d\n", took.Seconds(), (state.UserTime() + state.SystemTime()).Seconds(), peak)
	return nil
}

// first prints how long it takes from the start of program to the first act
// of the first command: its shell opens a FIFO. Files go to dir.
func first(program, dir string) error {
	fifo, manifest := filepath.Join(dir, "fifo"), filepath.Join(dir, "first.yml")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		return err
	}
	defer os.Remove(fifo)
	if err := os.WriteFile(manifest, []byte("commands: {pre: [\": > "+fifo+"\"]}\n"), 0o600); err != nil {
		return err
	}
	opened := make(chan error, 1)
	go func() {
		f, err := os.Open(fifo) // returns once there is a writer
		if err == nil {
			err = f.Close()
		}
		opened <- err
	}()
	cmd := exec.Command(program)
	cmd.Stdin = strings.NewReader("file://" + manifest + "\n")
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	err := <-opened
	fmt.Printf("%.2f\n", float64(time.Since(began).Microseconds())/1000)
	return errors.Join(err, cmd.Wait())
}

// medians reads lines of numbers and writes one line with the median of each
// column.
func medians(in io.Reader, out io.Writer) error {
	var columns [][]float64
	for lines := bufio.NewScanner(in); lines.Scan(); {
		for i, field := range strings.Fields(lines.Text()) {
			v, err := strconv.ParseFloat(field, 64)
			if err != nil {
				return err
			}
			if i == len(columns) {
				columns = append(columns, nil)
			}
			columns[i] = append(columns[i], v)
		}
	}
	if len(columns) == 0 {
		return errors.New("median of nothing")
	}
	row := make([]string, len(columns))
	for i, c := range columns {
		slices.Sort(c)
		row[i] = strconv.FormatFloat((c[(len(c)-1)/2]+c[len(c)/2])/2, 'f', 2, 64)
	}
	_, err := fmt.Fprintln(out, strings.Join(row, " "))
	return err
}
