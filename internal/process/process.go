// Package process runs one child process in a process group of its own and
// always comes back: a child that hangs, ignores signals or leaves others
// behind with its output open cannot hold its caller.
//
// Its words: the leader is the process started; its group is the leader and
// whatever it started that has not moved elsewhere; grace is the time between
// TERM and KILL; the drain is the time output is still read after the leader
// has exited. A child may run as another user, who gains nothing from this
// process by it (User).
//
// It imports no other package of this module and knows nothing of manifests,
// hooks or logs: output goes to the caller's writers.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// DefaultGrace is the time between TERM and KILL when Command.Grace is 0.
const DefaultGrace = 10 * time.Second

// NoGrace, as a Command's Grace, means KILL without TERM.
const NoGrace time.Duration = -1

const (
	// drain bounds how long output is read after the leader's exit. A child
	// left in the background may hold the pipe for ever; what the leader
	// wrote itself is in the pipe already and needs a moment at most.
	drain = time.Second
	// afterKill bounds the wait for a killed group: one in an
	// uninterruptible system call does not go away.
	afterKill = 10 * time.Second
	// groupPoll is how often a group that was told to end is looked at.
	groupPoll = 20 * time.Millisecond
)

// Variable is the value of a variable in env, the last where it stands several
// times; nil = it is not there.
func Variable(env []string, name string) *string {
	for _, kv := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return &value
		}
	}
	return nil
}

// Command says what to run and how long it may take.
type Command struct {
	Path   string    // program, looked up in PATH when it has no slash
	Argv0  string    // argv[0]; "" = Path
	Args   []string  // arguments, without the program's name
	Dir    string    // working directory; "" = the caller's
	Env    []string  // NAME=value; nil = the caller's environment
	Stdin  io.Reader // nil = /dev/null
	Stdout io.Writer // nil = /dev/null; calls to Write are not concurrent when Stdout == Stderr
	Stderr io.Writer

	// User is whom the child runs as; nil = the caller. Its variables
	// (User.Environ) are the caller's to put into Env.
	User *User

	// ExtraFiles are open files that the child inherits, the first of them as
	// descriptor 3.
	ExtraFiles []*os.File

	Timeout time.Duration // 0 = none
	Grace   time.Duration // between TERM and KILL; 0 = DefaultGrace; NoGrace = KILL at once

	// Started, when set, is called once with the leader's process id, which
	// is also its process group's.
	Started func(pid int)
}

// Result tells how a child ended.
type Result struct {
	Exit     int            // exit status; -1 when a signal ended the leader or it never started
	Signal   syscall.Signal // the signal that ended the leader, or 0
	TimedOut bool           // Timeout was over
	Limit    time.Duration  // the Timeout that was over, or 0
	Held     bool           // a process in the background still held the output
	Duration time.Duration
}

// ExitError reports a child that ran and did not succeed.
type ExitError struct{ Result }

// Error says how the child ended.
func (e *ExitError) Error() string {
	switch {
	case e.TimedOut:
		return fmt.Sprintf("timed out after %s", e.Limit)
	case e.Signal != 0:
		return fmt.Sprintf("killed by signal %d (%s)", int(e.Signal), e.Signal)
	default:
		return fmt.Sprintf("exit status %d", e.Exit)
	}
}

// Run starts the command and waits for its end.
//
// When ctx ends or the timeout is over, the whole group gets TERM and, after
// the grace, KILL; Run then returns ctx's cause (wrapped) or an *ExitError
// with TimedOut set. A leader that exits by itself leaves its group alone:
// what it started in the background is the user's, and Held says when it
// still has the output. Any end but exit status 0 is an *ExitError.
func Run(ctx context.Context, c Command) (Result, error) {
	if err := context.Cause(ctx); err != nil {
		return Result{Exit: -1}, fmt.Errorf("not started: %w", err)
	}
	if c.User != nil {
		return runApart(ctx, c)
	}
	// The parent-death signal is bound to the thread that forks: keep it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := c.plain()
	return run(ctx, c, cmd, cmd.Start)
}

// plain is the child as package exec has it.
func (c Command) plain() *exec.Cmd {
	cmd := exec.Command(c.Path, c.Args...)
	if c.Argv0 != "" {
		cmd.Args[0] = c.Argv0
	}
	cmd.Dir, cmd.Env = c.Dir, c.Env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, c.Stdout, c.Stderr
	cmd.ExtraFiles = c.ExtraFiles
	cmd.SysProcAttr = attributes()
	cmd.WaitDelay = drain
	return cmd
}

// run is Run on a thread that stays until the child has ended.
func run(ctx context.Context, c Command, cmd *exec.Cmd, start func() error) (Result, error) {
	began := time.Now()
	if err := start(); err != nil {
		return Result{Exit: -1}, startError(c, err)
	}
	if c.Started != nil {
		c.Started(cmd.Process.Pid)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	timedOut, stopped, err := wait(ctx, c, cmd.Process.Pid, ended)

	res := result(cmd, err)
	res.Duration, res.TimedOut = time.Since(began), timedOut
	if timedOut {
		res.Limit = c.Timeout
	}
	return res, verdict(ctx, res, stopped, err)
}

// startError names the working directory when that is what is wrong: exec
// blames the program.
func startError(c Command, err error) error {
	if c.Dir != "" {
		if info, statErr := os.Stat(c.Dir); statErr != nil {
			return fmt.Errorf("working directory: %w", statErr)
		} else if !info.IsDir() {
			return fmt.Errorf("working directory %q is not a directory", c.Dir)
		}
	}
	var path *fs.PathError // which names the program again
	if errors.As(err, &path) {
		err = path.Err
	}
	return &StartError{c.Path, err}
}

// StartError says that a program could not be started: it has done nothing.
type StartError struct {
	Path string
	Err  error
}

// Error names the program.
func (e *StartError) Error() string { return fmt.Sprintf("start %q: %v", e.Path, e.Err) }

// Unwrap gives the cause.
func (e *StartError) Unwrap() error { return e.Err }

// wait returns when the leader has ended, stopping its group first when the
// timeout or ctx says so.
func wait(ctx context.Context, c Command, pid int, ended chan error) (timedOut, stopped bool, err error) {
	var timeout <-chan time.Time
	if c.Timeout > 0 {
		t := time.NewTimer(c.Timeout)
		defer t.Stop()
		timeout = t.C
	}
	select {
	case err = <-ended:
		return false, false, err
	case <-timeout:
		timedOut = true
	case <-ctx.Done():
		stopped = true
	}
	return timedOut, stopped, stop(pid, grace(c), ended)
}

func grace(c Command) time.Duration {
	if c.Grace == 0 {
		return DefaultGrace
	}
	return c.Grace
}

var errUnkillable = errors.New("still running after KILL")

// stop ends the group: TERM, the grace, KILL. Members that outlive their
// leader get the rest of the grace too. It returns when none is left: what
// comes next must not meet one that still works.
func stop(pid int, grace time.Duration, ended chan error) error {
	if grace != NoGrace {
		_ = syscall.Kill(-pid, syscall.SIGTERM)
	}
	over := time.NewTimer(max(grace, 0))
	defer over.Stop()
	tick := time.NewTicker(groupPoll)
	defer tick.Stop()
	var err error
	leader, killed := ended, false
	for {
		select {
		case err = <-leader:
			leader = nil
		case <-tick.C:
			if leader == nil && groupGone(pid) {
				return err
			}
		case <-over.C:
			if killed && leader != nil {
				return errUnkillable
			}
			if killed { // members in an uninterruptible sleep: they do nothing any more
				return err
			}
			_ = syscall.Kill(-pid, syscall.SIGKILL)
			killed = true
			over.Reset(afterKill + drain)
		}
	}
}

func result(cmd *exec.Cmd, err error) Result {
	res := Result{Exit: -1, Held: errors.Is(err, exec.ErrWaitDelay)}
	if errors.Is(err, errUnkillable) || cmd.ProcessState == nil {
		return res
	}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		res.Signal = ws.Signal()
		return res
	}
	res.Exit = cmd.ProcessState.ExitCode()
	return res
}

// verdict turns the end of a child into Run's error.
func verdict(ctx context.Context, res Result, stopped bool, err error) error {
	var exit *exec.ExitError
	switch {
	case stopped:
		return fmt.Errorf("stopped: %w", context.Cause(ctx))
	case errors.Is(err, errUnkillable):
		return err
	case res.TimedOut || res.Signal != 0 || res.Exit != 0:
		return &ExitError{res}
	case err == nil, errors.Is(err, exec.ErrWaitDelay), errors.As(err, &exit):
		return nil
	case errors.Is(err, syscall.EPIPE):
		return nil // the child did not read all of its stdin
	default:
		return fmt.Errorf("copy output: %w", err)
	}
}
