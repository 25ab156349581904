package hooks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/google/uuid"

	"stretcher/internal/journal/runlog"
	"stretcher/internal/process"
	"stretcher/internal/text/failure"
)

// MarkName is the variable in the environment of every process that a hook
// starts. Its value is unique to the hook's run: by it those are found that
// have left the hook's process group.
const MarkName = "STRETCHER_HOOK_ID"

// Runner runs hooks, one point at a time.
type Runner struct {
	Log    *runlog.Log
	Env    []string      // NAME=value, of hooks that have none of their own
	Mark   string        // NAME=value in the environment of every hook of the run; "" = none
	Stdout io.Writer     // gets what hooks write to stdout, as it is; nil = the log, line by line
	Record func(Outcome) // called once per hook, in order, never concurrently; nil = nothing
	// Started is called with the leader of each process group, 0 when it has
	// ended, concurrently in a group; nil = nothing
	Started func(pid int)

	// Adopt makes this process the parent of whatever the hooks leave behind
	// (PR_SET_CHILD_SUBREAPER), so that a daemon is found that has erased its
	// environment too. It is for a program that starts no other process while
	// Run runs: every new child that is there when a group of hooks has ended
	// is killed. Groups with a hook that has a Run of its own are exempt,
	// since container engines leave helpers behind that they still need.
	Adopt bool
}

// Run runs the hooks of a point in the order given. Those whose condition is not
// met, given how the step they follow ended, are skipped; of the others adjacent
// concurrent ones form a group that runs together.
//
// When a required hook fails, or one that is refused, the rest of the point does
// not run and the error names the hook; the other members of its group run to
// their end. Failures of other hooks are logged and recorded only. When ctx ends,
// so does Run, with ctx's cause. When Run returns, no process of a hook is left.
func (r *Runner) Run(ctx context.Context, p Point, hooks []Hook, stepFailed bool) error {
	for _, g := range groups(hooks, stepFailed) {
		for _, h := range g.skipped {
			r.record(Outcome{Hook: h, Skipped: true, Started: time.Now(), Offset: r.Log.Offset()})
		}
		if err := r.runGroup(ctx, p, g.due); err != nil {
			return err
		}
		if err := context.Cause(ctx); err != nil {
			return fmt.Errorf("hooks: stopped: %w", err)
		}
	}
	return nil
}

// group is hooks that run at the same time, and those that are skipped on the
// way to them or between them.
type group struct{ due, skipped []Hook }

// groups cuts hooks into runs of adjacent concurrent hooks and single ones.
// Those that are skipped part nobody. Hooks of two lists, such as
// post_provision and pre_promote, are no neighbours though they run at one
// point.
func groups(hooks []Hook, stepFailed bool) (out []group) {
	var skipped []Hook // since the last that is due
	for _, h := range hooks {
		if !h.Condition.Met(stepFailed) {
			skipped = append(skipped, h)
			continue
		}
		if n := len(out); n > 0 && h.joins(out[n-1].due[0]) {
			last := &out[n-1]
			last.due, last.skipped = append(last.due, h), append(last.skipped, skipped...)
		} else {
			out = append(out, group{due: []Hook{h}, skipped: skipped})
		}
		skipped = nil
	}
	if len(skipped) > 0 {
		out = append(out, group{skipped: skipped})
	}
	return out
}

// joins tells whether h runs at the same time as its neighbour.
func (h Hook) joins(other Hook) bool {
	return h.Concurrent && other.Concurrent && h.Stage == other.Stage
}

// runGroup runs all hooks of a group at once and returns the failure of the
// first required one, in order.
func (r *Runner) runGroup(ctx context.Context, p Point, group []Hook) error {
	release := func() int { return 0 }
	if r.Adopt && onlyProcesses(group) {
		release = adopt()
	}
	outcomes := make([]Outcome, len(group))
	var wg sync.WaitGroup
	stdout := r.sharedStdout()
	for i, h := range group {
		wg.Go(func() { outcomes[i] = r.runHook(ctx, p, h, stdout) })
	}
	wg.Wait()
	if n := release(); n > 0 {
		r.Log.Warn(fmt.Sprintf("hooks at %s left %d processes behind; they were ended", p, n))
	}
	var failed error
	for _, o := range outcomes {
		if err := r.judge(o); failed == nil {
			failed = err
		}
	}
	return failed
}

func onlyProcesses(group []Hook) bool {
	for _, h := range group {
		if h.Detached {
			return false
		}
	}
	return true
}

// judge records an outcome and returns the error that stops the deployment.
func (r *Runner) judge(o Outcome) error {
	r.record(o)
	if o.Err == nil {
		return nil
	}
	err := fmt.Errorf("%s hook %q: %w", o.Hook.Dialect, o.Hook.Name, o.Err)
	if o.Hook.Required || errors.Is(o.Err, failure.ErrRefused) {
		return err
	}
	r.Log.Warn(err.Error() + " (not required: going on)")
	return nil
}

func (r *Runner) record(o Outcome) {
	if r.Record != nil {
		r.Record(o)
	}
}

// runHook runs one hook to its end, and to that of all it has started.
func (r *Runner) runHook(ctx context.Context, p Point, h Hook, stdout io.Writer) Outcome {
	o := Outcome{Hook: h, Result: process.Result{Exit: -1}, Started: time.Now(), Offset: r.Log.Offset(), Err: h.Problem}
	if h.Problem != nil {
		return o
	}
	r.Log.Info(fmt.Sprintf("%s: %s hook %q from %q", pointName(p), h.Dialect, h.Name, h.Source), "step", string(p))
	out := r.Log.Output(h.Name + ": ")
	s := Streams{Stdout: out, Stderr: out, Mark: []string{MarkName + "=" + uuid.NewString()}, Started: func(int) {}}
	leftovers := s.Mark[0]
	if r.Mark != "" {
		s.Mark = append(s.Mark, r.Mark)
	}
	if stdout != nil {
		s.Stdout = stdout
	}
	if r.Started != nil {
		s.Started = r.Started
	}
	var leader int
	o.Result, leader, o.Err = r.start(ctx, h, s)
	if n := endAll(leftovers, leader); n > 0 {
		r.Log.Warn(fmt.Sprintf("%s hook %q left %d processes behind; they were ended", h.Dialect, h.Name, n))
	}
	_ = out.Close()
	o.Duration = time.Since(o.Started)
	return o
}

func pointName(p Point) string {
	if p == "" {
		return "hook"
	}
	return string(p)
}

// start runs the hook's process or function. leader is the process group of
// the former.
func (r *Runner) start(ctx context.Context, h Hook, s Streams) (res process.Result, leader int, err error) {
	if h.Run != nil {
		res, err = runFunc(ctx, h, s)
		return res, 0, err
	}
	env := h.Env
	if env == nil {
		env = r.Env
	}
	defer s.Started(0)
	res, err = process.Run(ctx, process.Command{
		Path: h.Path, Argv0: h.Argv0, Args: h.Args, Dir: h.Dir, User: h.User,
		Env:   append(append(make([]string, 0, len(env)+len(s.Mark)), env...), s.Mark...),
		Stdin: stdin(h.Stdin), Stdout: s.Stdout, Stderr: s.Stderr,
		Timeout: h.Timeout, Grace: h.Grace,
		Started: func(pid int) {
			leader = pid
			s.Started(pid)
		},
	})
	return res, leader, err
}
