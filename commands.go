package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/cli"
	"stretcher/internal/disk"
	"stretcher/internal/fleet"
	"stretcher/internal/hooks/all"
	"stretcher/internal/hooks/p2"
	"stretcher/internal/journal"
	"stretcher/internal/journal/history"
	"stretcher/internal/manifest"
	"stretcher/internal/policy"
	"stretcher/internal/policy/verdict"
	"stretcher/internal/process"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/units"
)

// executor runs the user's commands and hooks, and records them.
type executor struct{ *tools }

// choose finds the user whom the commands and hooks of manifests run as. Who
// only looks runs none.
func (t *tools) choose(name string, m journal.Mode) (err error) {
	if name == "" || t.settings.Elsewhere {
		return nil
	}
	if t.user, err = process.LookupUser(name); err == nil && m != journal.Unnoted {
		err = t.user.Allowed(os.Geteuid())
	}
	if err != nil {
		return failure.Refused("host policy: run_as: %w", err)
	}
	for _, group := range t.user.Powers() {
		t.log.Warn(fmt.Sprintf("host policy: run_as: user %q is in group %q, by which programs can gain what is root's",
			t.user.Name, group))
	}
	return nil
}

// runCommands runs the commands of a point in order and stops at the first
// that fails. What they print becomes log lines.
func (x executor) runCommands(ctx context.Context, r run, point string) error {
	for i, c := range r.spec.Commands.At(point) {
		c.Timeout = x.limitOf(c)
		out := x.log.Output("")
		err := x.runCommand(ctx, r, point, c, pipes{nil, out, out})
		_ = out.Close()
		if err != nil {
			return fmt.Errorf("%s command %d %s: %w", point, i+1, quoteCommand(c.Run), err)
		}
	}
	return nil
}

// limitOf is how long a command may take; 0 = as long as it likes.
func (x executor) limitOf(c manifest.Command) units.Duration {
	if x.user == nil {
		return c.Timeout
	}
	return cmp.Or(c.Timeout, units.Duration(process.UserTimeout))
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

// cut returns the beginning of a text, of whole characters.
func cut(text string, length int) string {
	if len(text) <= length {
		return text
	}
	return strings.ToValidUTF8(text[:length], "")
}

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
// limit ends those that name no timeout of their own.
func (x executor) notify(ctx context.Context, r run, point string, limit time.Duration) {
	for i, c := range r.spec.Commands.At(point) {
		c.Timeout = cmp.Or(c.Timeout, units.Duration(limit))
		said := &whole{Writer: unread{x.screen}}
		err := x.runCommand(ctx, r, point, c, pipes{x.log.SoFar(), unread{x.settings.Stdout}, said})
		said.end()
		if err != nil {
			x.log.Error(failure.Sayf("%s command %d %s: %v", point, i+1, quoteCommand(c.Run), err))
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

// whole is a writer to what has lines of others too: one without an end gets it.
type whole struct {
	io.Writer
	open atomic.Bool // a line has no end yet
}

// Write writes p.
func (w *whole) Write(p []byte) (int, error) {
	if len(p) > 0 {
		w.open.Store(p[len(p)-1] != '\n')
	}
	return w.Writer.Write(p)
}

// end ends the line that is open.
func (w *whole) end() {
	if w.open.Swap(false) {
		_, _ = w.Writer.Write([]byte("\n"))
	}
}

// pipes are what a command reads and writes.
type pipes struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

// runCommand runs one command line by sh -c in a process group of its own and
// notes it in the history.
func (x executor) runCommand(ctx context.Context, r run, point string, c manifest.Command, p pipes) error {
	x.log.Info(fmt.Sprintf("%s: %s", point, c.Run), "step", point)
	began, offset := time.Now(), x.log.Offset()
	res, err := process.Run(ctx, process.Command{
		Path: "sh", Args: []string{"-c", c.Run}, User: x.user,
		Dir: c.Cwd, Env: x.journal.Starting(x.commandEnv(r, point)),
		Stdin: p.stdin, Stdout: p.stdout, Stderr: p.stderr,
		Timeout: time.Duration(c.Timeout),
		Started: x.journal.Started,
	})
	x.journal.Started(0)
	if res.Held {
		x.log.Warn(fmt.Sprintf("%s: a process left in the background still holds the output of %s; "+
			"what it prints from now on is lost", point, quoteCommand(c.Run)))
	}
	row := history.Step{
		Point: point, Dialect: journal.DialectCommand, Name: x.log.Masked(c.Run), Started: began, Duration: time.Since(began),
		Exit: res.Exit, TimedOut: res.TimedOut, Offset: offset,
	}
	if res.Signal != 0 {
		row.Signal = unix.SignalName(res.Signal)
	}
	x.journal.Add(row)
	return err
}

// runChild runs a child process of a strategy as a command of step sync. What
// it prints becomes log lines.
func (x executor) runChild(ctx context.Context, r run, c process.Command) error {
	out := x.log.Output("")
	defer out.Close()
	all := x.screen.Lines(out)
	env := slices.Concat(x.environ, x.hostEnv(r.spec.Manifest), x.runEnv(r, "sync"))
	c.Env, c.Stdout, c.Stderr = x.journal.Starting(env), all, all
	c.Started = x.journal.Started
	_, err := process.Run(ctx, c)
	x.journal.Started(0)
	return err
}

// commandEnv is the environment of commands: the caller's, the manifest's
// env, and what this run is about.
func (x executor) commandEnv(r run, point string) []string {
	return slices.Concat(x.baseEnv(), x.manifestEnv(r.spec.Manifest), x.asSeen(r, x.runEnv(r, point)))
}

// isForAll tells whether every user gets a variable of the caller's. Others may
// be secrets of the caller's, or say who that is.
func isForAll(name string) bool {
	return slices.Contains([]string{"PATH", "LANG", "TZ", "TERM"}, name) || strings.HasPrefix(name, "LC_")
}

// baseEnv is what commands and hooks of the manifest get of the caller's
// environment. Where they run as another user, that is what the host policy
// lets manifests read, and little more.
func (x executor) baseEnv() []string {
	if x.user == nil {
		return x.environ
	}
	names, all := x.policy.Variables()
	env := slices.DeleteFunc(slices.Clone(x.environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		listed := !all && slices.Contains(names, name)
		return !listed && !isForAll(name)
	})
	return append(env, x.user.Environ()...)
}

// readable is what the manifest may pass on of the caller's environment.
func (x executor) readable() []string {
	names, all := x.policy.Variables()
	if all {
		return x.environ
	}
	return slices.DeleteFunc(slices.Clone(x.environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return !slices.Contains(names, name)
	})
}

// hostEnv is what programs of the host, which run as the caller, get of the
// manifest's env: all of it, unless the manifest may not run what it likes as
// the caller. A variable may make of any program another.
func (x executor) hostEnv(m *manifest.Manifest) []string {
	if x.user != nil || x.policy.Commands() != nil {
		return nil
	}
	return x.manifestEnv(m)
}

// asSeen is what a run is about as commands and hooks of the manifest see it:
// another user can't enter the staged tree, and has a copy of it, or nothing.
func (x executor) asSeen(r run, env []string) []string {
	if x.user == nil {
		return env
	}
	return append(env, "STRETCHER_STAGING="+cmp.Or(r.copiedPath(), nothingStaged))
}

// manifestEnv is the manifest's env, by name. What it only passes on has the
// value that the process was started with, or is not there.
func (x executor) manifestEnv(m *manifest.Manifest) (env []string) {
	readable := x.readable()
	for _, name := range slices.Sorted(maps.Keys(m.Env)) {
		if value := cmp.Or(m.Env[name], process.Variable(readable, name)); value != nil {
			env = append(env, name+"="+*value)
		}
	}
	return env
}

// runEnv tells commands and hooks what this run is about.
func (x executor) runEnv(r run, point string) []string {
	s := r.spec
	status, failed := "running", ""
	switch {
	case r.failed != nil:
		status, failed = "failed", x.log.Masked(failure.Text(r.failed))
		failed = cut(failed, maxErrorEnv)
	case r.done:
		status = "good"
	}
	sum := ""
	if s.Checksum.Algorithm != "" {
		sum = s.Checksum.String()
	}
	return append([]string{
		journal.Mark(x.id),
		"STRETCHER_NAME=" + s.Name,
		"STRETCHER_VERSION=" + s.Version,
		"STRETCHER_MANIFEST_URL=" + s.URL,
		"STRETCHER_SRC=" + r.archive.Source,
		"STRETCHER_CHECKSUM=" + sum,
		"STRETCHER_DEST=" + s.Manifest.Dest,
		"STRETCHER_STAGING=" + cmp.Or(r.stagedPath(), nothingStaged),
		"STRETCHER_POINT=" + point,
		"STRETCHER_STATUS=" + status,
		"STRETCHER_ERROR=" + failed,
		"STRETCHER_RUN_SUMMARY=" + x.summary(r, failed),
	}, x.journal.TraceContext(point)...)
}

// stagedPath is the directory of the staged tree, for messages and for
// programs; "" before there is one.
func (r run) stagedPath() string {
	if r.staged.Dir == nil {
		return ""
	}
	return r.staged.Dir.Path()
}

// copiedPath is the directory of the archive's copy; "" where there is none.
func (r run) copiedPath() string {
	if r.copied == nil {
		return ""
	}
	return r.copied.Dir.Path()
}

// summary tells of a run that is decided; it is "" before that.
func (x executor) summary(r run, failed string) string {
	if r.failed == nil && !r.done {
		return ""
	}
	return x.journal.Summary(resultOf(r.done, r.failed), cli.Status(r.failed), failed)
}

// resultOf is what is remembered of a run that is decided.
func resultOf(done bool, err error) history.Result {
	switch {
	case done:
		return history.Good
	case cli.Status(err) == cli.ExitRefused:
		return history.Refused
	case errors.Is(err, fleet.ErrStopped), errors.Is(err, fleet.ErrSuperseded), errors.Is(err, fleet.ErrOvertaken):
		return history.Stopped
	}
	return history.Failed
}

// afterSignal bounds what failure commands may take once the run has been
// interrupted.
const afterSignal = 60 * time.Second

var errTooLate = errors.New("no time left after the interruption")

// extend returns a context like base, which goes on when ctx is interrupted: for
// limit, or until a second signal.
func extend(
	ctx, base context.Context, limit time.Duration, second <-chan struct{},
) (context.Context, context.CancelFunc) {
	fresh, cancel := context.WithCancelCause(base)
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
		case <-second:
			cancel(errTooLate)
		case <-fresh.Done():
		}
	}()
	return fresh, func() { cancel(nil) }
}

// apart are the questions whether a dest is the host's own: a directory of the
// system, or one of reserved.
func (t *tools) apart(name string, way disk.Way) (list []verdict.Question) {
	ask := func(f func() error) { list = append(list, verdict.Question{Rule: "dest", Subject: name, Ask: f}) }
	ask(func() error { return t.policy.System(name, way) })
	var mounts disk.Mounts
	for _, own := range t.reserved() {
		ask(func() error { return own.Apart(name, way, &mounts) })
	}
	return list
}

// reserved are the paths that nothing is deployed to: the state directory, whose
// locks and history a sync would delete; and what the policy reserves, the more
// where a manifest may not run what it likes as the caller.
func (t *tools) reserved() []policy.Own {
	bound := t.policy.RunAs() != "" || t.policy.Commands() != nil
	list := t.policy.Reserved(bound, p2.DefaultDir, p2.ExecDir(p2.DefaultDir))
	if bound {
		list = append(list, all.Programs(t.policy.Hooks)...)
	}
	if t.settings.StateError == nil {
		list = append(list, policy.Own{What: "the state directory", Path: t.settings.StateDir})
	}
	return list
}
