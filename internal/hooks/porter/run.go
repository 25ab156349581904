package porter

import (
	"context"
	"fmt"

	"stretcher/internal/hooks"
	"stretcher/internal/process"
)

// Around runs the hooks before a step, the step, and the hooks after it. at
// runs the hooks of one point; stepFailed is what their conditions speak of.
// before is "" for a step whose hooks have run at the point before it.
//
// When a hook before the step fails, the step has never run, and no hook
// after it runs, whatever its condition. Of two errors the step's stands first.
func Around(before, after hooks.Point, at func(p hooks.Point, stepFailed bool) error, step func() error) error {
	if before != "" {
		if err := at(before, false); err != nil {
			return err
		}
	}
	err := step()
	hook := at(after, err != nil)
	switch {
	case err == nil:
		return hook
	case hook == nil:
		return err
	default:
		return fmt.Errorf("%w; then %w", err, hook)
	}
}

// Exit statuses of RunNamed that no hook gave.
const (
	exitFailed = 1   // the hook could not be started, or took too long
	exitSignal = 128 // plus the number of the signal that ended the hook, as a shell says it
)

// RunNamed runs hooks that were asked for by name and returns the exit status
// of the first that failed, or 0, beside the Runner's error. Set the Runner's
// Stdout to have what they print passed through.
func RunNamed(ctx context.Context, r *hooks.Runner, list []hooks.Hook) (exit int, err error) {
	runner := *r
	runner.Record = func(o hooks.Outcome) {
		if o.Err != nil && exit == 0 {
			exit = status(o.Result)
		}
		if r.Record != nil {
			r.Record(o)
		}
	}
	err = runner.Run(ctx, "", list, false)
	if err != nil && exit == 0 {
		exit = exitFailed
	}
	return exit, err
}

func status(res process.Result) int {
	switch {
	case res.TimedOut:
		return exitFailed
	case res.Signal != 0:
		return exitSignal + int(res.Signal)
	case res.Exit > 0:
		return res.Exit
	default:
		return exitFailed
	}
}
