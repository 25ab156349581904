package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// measure runs a command with a file as its standard input and prints, in
// this order:
//
//   - how long it took, in seconds;
//   - the processor time of it and its descendants, in seconds;
//   - the largest resident set among them, in KiB, as getrusage(2) has it: of
//     one process, not the sum;
//   - its own largest resident set, in KiB, as it was at most 10 ms before
//     its end;
//   - the bytes that it and its descendants handed to write(2) and the like,
//     to files and pipes alike.
//
// The last two are 0 where there is no proc(5).
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
	if err := cmd.Start(); err != nil {
		return err
	}
	own := watchPeak(cmd.Process.Pid)
	written := awaitEnd(cmd.Process.Pid)
	peakOwn := own()
	err = cmd.Wait()
	took := time.Since(began)
	if err != nil {
		return fmt.Errorf("%q: %w\n%s", command, err, output.String())
	}
	state := cmd.ProcessState
	peak := state.SysUsage().(*syscall.Rusage).Maxrss // KiB on Linux
	fmt.Printf("%.3f %.3f %d %d %d\n", took.Seconds(), (state.UserTime() + state.SystemTime()).Seconds(), peak,
		peakOwn, written)
	return nil
}

// watchPeak follows a process's own largest resident set, in KiB. The
// function that it returns ends that and tells it.
func watchPeak(pid int) (end func() int) {
	stop, result := make(chan struct{}), make(chan int)
	go func() {
		peak := 0
		for {
			peak = max(peak, peakOf(pid))
			select {
			case <-stop:
				result <- peak
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	return func() int {
		close(stop)
		return <-result
	}
}

// peakOf is VmHWM of a process in proc(5), 0 when it can't be read: a process
// that has ended has no memory.
func peakOf(pid int) int {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return procValue(string(status), "VmHWM")
}

// procValue returns the number in the line "key: number" of text, else 0.
func procValue(text, key string) int {
	for line := range strings.Lines(text) {
		var n int
		if _, err := fmt.Sscanf(line, key+": %d", &n); err == nil {
			return n
		}
	}
	return 0
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
