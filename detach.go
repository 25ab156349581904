package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"stretcher/internal/event"
)

// detach starts this program again with the same event, in a session of its
// own and without our output, and does not wait: a Serf agent waits for its
// handlers, and for whoever holds their output.
//
// args is the whole command line, positional what of it is no flag.
func detach(args, positional []string, stdin io.Reader, stderr io.Writer) (outcome string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("--detach: %w", err)
	}
	env := os.Environ()
	if len(positional) > 0 {
		// By stdin from here on: everybody may read a process's arguments, and
		// the URL may hold a password.
		stdin = strings.NewReader(strings.Join(positional, "\n") + "\n")
		env = slices.DeleteFunc(env, func(kv string) bool {
			return strings.HasPrefix(kv, "CONSUL_INDEX=") || strings.HasPrefix(kv, "SERF_EVENT=")
		})
	}
	payload, err := io.ReadAll(io.LimitReader(stdin, event.MaxSize+1))
	if err != nil {
		return "", fmt.Errorf("--detach: read event: %w", err)
	}
	in, err := unnamedFile(payload)
	if err != nil {
		return "", fmt.Errorf("--detach: %w", err)
	}
	defer in.Close()
	cmd := exec.Command(self, withoutDetach(args, positional)...)
	cmd.Args[0], cmd.Env = os.Args[0], env
	cmd.Stdin = in // a file: nobody has to stay and feed a pipe
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("--detach: %w", err)
	}
	outcome = fmt.Sprintf("deploying in the background, process %d", cmd.Process.Pid)
	fmt.Fprintf(stderr, "stretcher: %s\n", outcome)
	return outcome, cmd.Process.Release()
}

// unnamedFile returns an open file with the data that nobody else can open.
func unnamedFile(data []byte) (*os.File, error) {
	f, err := os.CreateTemp("", ".stretcher-event-*")
	if err != nil {
		return nil, err
	}
	_ = os.Remove(f.Name())
	if _, err := io.Copy(f, bytes.NewReader(data)); err != nil {
		_ = f.Close()
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// withoutDetach leaves the flag out, in each of its spellings, and what is no
// flag.
func withoutDetach(args, positional []string) []string {
	var out []string
	for _, a := range args {
		if a == "--" {
			break
		}
		if slices.Contains(positional, a) {
			continue
		}
		if name, _, _ := strings.Cut(strings.TrimLeft(a, "-"), "="); name != "detach" || !strings.HasPrefix(a, "-") {
			out = append(out, a)
		}
	}
	return out
}
