package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/journal"
	"stretcher/internal/journal/history"
	"stretcher/internal/manifest"
	"stretcher/internal/process"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/units"
)

// runCommands runs the commands of a point in order and stops at the first
// that fails. What they print becomes log lines.
func (r *run) runCommands(ctx context.Context, point string, lines []manifest.Command) error {
	for i, c := range lines {
		out := r.log.Output("")
		err := r.runCommand(ctx, point, c, nil, out, out)
		_ = out.Close()
		if err != nil {
			return fmt.Errorf("%s command %d %s: %w", point, i+1, quoteCommand(c.Run), err)
		}
	}
	return nil
}

const (
	// notifyTimeout ends a success or failure command that names no timeout of
	// its own: it holds the lock, and a watch waits for it.
	notifyTimeout = 10 * time.Minute
	// maxQuoted is how much of a command an error repeats, in characters.
	maxQuoted = 200
	// maxErrorEnv bounds STRETCHER_ERROR, in bytes: the kernel refuses to start
	// a program with a variable of more than 128 KiB.
	maxErrorEnv = 4 << 10
)

// quoteCommand quotes a command for an error.
func quoteCommand(s string) string {
	if r := []rune(s); len(r) > maxQuoted {
		s = string(r[:maxQuoted]) + "…"
	}
	return strconv.Quote(s)
}

// notify runs the success or failure commands. Each gets the log so far on
// its stdin and writes to our stdout and stderr. One that fails is logged and
// does not keep the next from running: the deployment is decided already.
func (r *run) notify(ctx context.Context, point string, lines []manifest.Command) {
	r.notifyWithin(ctx, point, lines, notifyTimeout)
}

// notifyWithin is notify with another limit for commands that have none.
func (r *run) notifyWithin(ctx context.Context, point string, lines []manifest.Command, limit time.Duration) {
	for i, c := range lines {
		c.Timeout = cmp.Or(c.Timeout, units.Duration(limit))
		err := r.runCommand(ctx, point, c, r.log.SoFar(), unread{r.stdout}, unread{r.stderr})
		if err != nil {
			r.log.Error(failure.Sayf("%s command %d %s: %v", point, i+1, quoteCommand(c.Run), err))
		}
	}
}

// unread is a writer whose reader may go away, as that of a lost ssh session
// does. What can't be written is dropped, and the command that prints it goes
// on: it may have others to tell.
type unread struct{ io.Writer }

// Write drops p, without an error, when nobody reads.
func (u unread) Write(p []byte) (int, error) {
	_, _ = u.Writer.Write(p)
	return len(p), nil
}

// runCommand runs one command line by sh -c in a process group of its own and
// notes it in the history.
func (r *run) runCommand(ctx context.Context, point string, c manifest.Command, stdin io.Reader, stdout, stderr io.Writer) error {
	r.log.Info(fmt.Sprintf("%s: %s", point, c.Run), "step", point)
	began, offset := time.Now(), r.log.Offset()
	res, err := process.Run(ctx, process.Command{
		Path: "sh", Args: []string{"-c", c.Run},
		Dir: c.Cwd, Env: r.rec.Starting(r.commandEnv(point)),
		Stdin: stdin, Stdout: stdout, Stderr: stderr,
		Timeout: time.Duration(c.Timeout),
		Started: r.rec.Started,
	})
	r.rec.Started(0)
	if res.Held {
		r.log.Warn(fmt.Sprintf("%s: a process left in the background still holds the output of %s; what it prints from now on is lost", point, quoteCommand(c.Run)))
	}
	row := history.Step{Point: point, Dialect: journal.DialectCommand, Name: r.log.Masked(c.Run), Started: began, Duration: time.Since(began),
		Exit: res.Exit, TimedOut: res.TimedOut, Offset: offset}
	if res.Signal != 0 {
		row.Signal = unix.SignalName(res.Signal)
	}
	r.rec.Add(row)
	return err
}

// commandEnv is the environment of commands: the caller's, the manifest's
// env, and what this run is about.
func (r *run) commandEnv(point string) []string {
	return slices.Concat(r.environ, r.manifestEnv(), r.runEnv(point))
}

// manifestEnv is the manifest's env, less what it only passes on.
func (r *run) manifestEnv() (env []string) {
	for name, value := range r.manifest.Env {
		if value != nil {
			env = append(env, name+"="+*value)
		}
	}
	return env
}

// runEnv tells commands and hooks what this run is about.
func (r *run) runEnv(point string) []string {
	m := r.manifest
	status, failed := "running", ""
	switch {
	case r.failed != nil:
		status, failed = "failed", r.log.Masked(failure.Text(r.failed))
		failed = strings.ToValidUTF8(failed[:min(len(failed), maxErrorEnv)], "")
	case r.done:
		status = "good"
	}
	return []string{
		journal.Mark(r.id),
		"STRETCHER_NAME=" + m.Name,
		"STRETCHER_VERSION=" + m.Version,
		"STRETCHER_MANIFEST_URL=" + r.manifestURL,
		"STRETCHER_SRC=" + r.src,
		"STRETCHER_CHECKSUM=" + r.checksum(),
		"STRETCHER_DEST=" + m.Dest,
		"STRETCHER_STAGING=" + r.stagedPath(),
		"STRETCHER_POINT=" + point,
		"STRETCHER_STATUS=" + status,
		"STRETCHER_ERROR=" + failed,
	}
}

func (r *run) checksum() string {
	if r.manifest.Checksum.Algorithm == "" {
		return ""
	}
	return r.manifest.Checksum.String()
}

// afterSignal bounds what failure commands may take once the run has been
// interrupted.
const afterSignal = 60 * time.Second

var errTooLate = errors.New("no time left after the interruption")

// outlive returns a context like late, which goes on when ctx is interrupted:
// for limit, or until a second signal.
func outlive(ctx, late context.Context, limit time.Duration, again <-chan struct{}) (context.Context, context.CancelFunc) {
	fresh, cancel := context.WithCancelCause(late)
	go func() {
		select {
		case <-ctx.Done():
		case <-fresh.Done():
			return
		}
		timer := time.NewTimer(limit)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel(errTooLate)
		case <-again:
			cancel(errTooLate)
		case <-fresh.Done():
		}
	}()
	return fresh, func() { cancel(nil) }
}
