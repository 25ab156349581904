package main

import (
	"context"
	"errors"
	"fmt"

	"stretcher/internal/cli"
	"stretcher/internal/journal/history"
	"stretcher/internal/text/failure"
)

// finish ends every run, whatever happened: it says how it went, runs the
// success or failure commands and the hooks after them, leaves nothing behind
// and records the result. late goes on for a while when ctx is interrupted.
func (r *run) finish(ctx, late context.Context, err error) error {
	if err != nil {
		err = r.revert(ctx, late, err)
		r.fail(late, err)
		if s, ok := failure.Interrupted(ctx); ok && !errors.As(err, new(failure.Signal)) {
			err = fmt.Errorf("failure: %w (%w)", s, err)
		}
	} else {
		err = r.succeed(ctx)
	}
	r.runLastHooks(late)
	r.keep(late)
	r.closeDest()
	r.cleanUp()
	r.record(err)
	if r.unlock != nil {
		if err := r.unlock(); err != nil {
			r.log.Warn(failure.Text(err))
		}
	}
	return err
}

// succeed runs the success commands. Their failure changes nothing: what was
// to be deployed is.
func (r *run) succeed(ctx context.Context) error {
	r.done = true
	r.outcome = r.log.Masked(r.summary())
	r.log.Info(r.outcome)
	r.rec.Enter("success")
	r.notify(ctx, "success", r.manifest.Commands.Success)
	if s, ok := failure.Interrupted(ctx); ok {
		return fmt.Errorf("success: %w", s)
	}
	return nil
}

func (r *run) fail(ctx context.Context, err error) {
	r.failed, r.outcome = err, r.log.Masked(failure.Text(err))
	r.log.Error(failure.Text(err))
	if hint := cli.Hint(err); hint != "" {
		r.log.Info("hint: " + hint)
	}
	if r.manifest == nil {
		return
	}
	r.rec.Aside("failure", func() { r.notify(ctx, "failure", r.manifest.Commands.Failure) })
}

// record writes the result into the history. An event that could not be
// tried, since another run held the lock, may be handed over again.
func (r *run) record(err error) {
	exit := cli.Status(err)
	text := ""
	if err != nil {
		text = r.log.Masked(failure.Text(err))
	}
	result := history.Failed
	switch {
	case r.done:
		result = history.Good
		if err := r.rec.KeepTree(r.recorded, r.manifest.Fingerprint()); err != nil {
			r.log.Warn(failure.Sayf("the next run will deploy in full: %v", err))
		}
	case exit == cli.ExitRefused:
		result = history.Refused
	}
	if !r.done {
		r.rec.DropTree()
	}
	r.rec.Finish(result, exit, text, exit != cli.ExitBusy)
	r.rec.Prune(r.policy.History.KeepFor())
}

// summary is the line of a run that went well.
func (r *run) summary() string {
	m := r.manifest
	if !r.hasSrc() {
		return fmt.Sprintf("commands of %q done", r.manifestURL)
	}
	return fmt.Sprintf("deployed %s to %q", m.Title(), m.Dest)
}
