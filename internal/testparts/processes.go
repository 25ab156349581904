package testparts

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// ExitStatus is the status of an ended command, from the error of its Wait, as a
// shell shows it: 128 and the signal's number when a signal has ended it.
func ExitStatus(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &exit):
		return -1
	}
	ws := exit.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// ProcessesOf lists the live processes that were started with WORK=work in their
// environment: process id, a space, command line.
func ProcessesOf(work string) []string {
	var left []string
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, name := range environs {
		env, err := os.ReadFile(name)
		if err != nil || !bytes.Contains(append(append([]byte{0}, env...), 0), []byte("\x00WORK="+work+"\x00")) {
			continue
		}
		cmdline, _ := os.ReadFile(filepath.Join(filepath.Dir(name), "cmdline"))
		left = append(left, filepath.Base(filepath.Dir(name))+" "+string(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})))
	}
	return left
}
