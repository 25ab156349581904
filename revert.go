package main

import (
	"context"
	"fmt"

	"stretcher/internal/strategy"
	"stretcher/internal/text/failure"
)

// reverter is the run's strategy, if its deployments stand beside one another
// and this run has made one live, or found it live and deployed nothing over
// it.
func (r *run) reverter() (strategy.Reverter, bool) {
	s, ok := r.strategy.(strategy.Reverter)
	return s, ok && (r.synced || r.current)
}

func (r *run) hasReverter() bool {
	_, ok := r.reverter()
	return ok
}

// acceptLive notes that what is live has passed all that judges it. It is live
// and well, noted or not.
func (r *run) acceptLive(ctx context.Context) error {
	s, _ := r.reverter()
	r.accepted = true
	if err := s.Accept(ctx); err != nil {
		r.log.Warn(failure.Sayf("what is live can't be gone back to later: %v", err))
	}
	return nil
}

// hasOld tells whether there is something to prune.
func (r *run) hasOld() bool {
	s, ok := r.reverter()
	if !ok {
		return false
	}
	old, err := s.Old()
	if err != nil {
		r.log.Warn(failure.Sayf("old releases stay: %v", err))
	}
	return len(old) > 0
}

// prune removes old deployments. Failing at that fails nothing: what was to be
// deployed is live and good.
func (r *run) prune(ctx context.Context) error {
	s, _ := r.reverter()
	removed, err := s.Prune(ctx)
	for _, id := range removed {
		r.log.Info(fmt.Sprintf("removed release %s", id))
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		r.log.Warn(failure.Sayf("old releases stay: %v", err))
	}
	return nil
}

// revert makes live again what was good before a run that has failed, where
// the strategy can, and runs what the manifest wants to run again. The error
// says what has become of it.
func (r *run) revert(ctx, late context.Context, why error) error {
	s, ok := r.strategy.(strategy.Reverter)
	if !ok || r.accepted || !r.begun {
		return why
	}
	failedIn := r.rec.Step()
	r.rec.Aside("rollback", func() {
		to, err := s.Revert(late, r.log.Masked(failure.Text(why)))
		switch {
		case to != "":
			if err != nil {
				r.log.Warn(failure.Text(err))
			}
			r.log.Warn(fmt.Sprintf("step %q has failed: going back to release %s", failedIn, to))
			why = r.rerun(ctx, late, fmt.Errorf("%w; switched back to release %s", why, to))
		case err != nil:
			why = fmt.Errorf("%w; %w", why, err)
		}
		if _, err := s.Prune(late); err != nil {
			r.log.Warn(failure.Sayf("releases that failed stay: %v", err))
		}
	})
	return why
}

// rerun runs commands again for what is live again: they make the application
// start from it. After an interruption of ctx they have half of late's time:
// what hangs again must leave some to the failure commands.
func (r *run) rerun(ctx, late context.Context, why error) error {
	half, cancel := outlive(ctx, late, afterSignal/2, nil)
	defer cancel()
	for _, point := range r.manifest.Rollback.Points() {
		if err := r.runCommands(half, point, r.manifest.Commands.At(point)); err != nil {
			return fmt.Errorf("%w, where %w", why, err)
		}
	}
	return why
}
