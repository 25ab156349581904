package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"stretcher/internal/journal/lock"
	"stretcher/internal/journal/state"
	"stretcher/internal/text/failure"
)

// Lock takes the lock on dest, in the state directory or, when that can't be
// used, in the system's temporary directory. Where neither can hold a lock
// the run goes on without: the state of a machine must not stop it.
func (j *Journal) Lock(ctx context.Context, dest string, wait time.Duration) (unlock func() error, err error) {
	if j.dir != nil {
		unlock, err = j.lockIn(ctx, j.dir.Locks(), dest, wait)
		if isSettled(ctx, err) {
			return unlock, err
		}
		j.log.Warn(failure.Sayf("%v; the lock is taken elsewhere", err))
	}
	dir, err := state.FallbackLocks(os.TempDir(), os.Getuid())
	if err == nil {
		unlock, err = j.lockIn(ctx, dir, dest, wait)
		if isSettled(ctx, err) {
			return unlock, err
		}
	}
	j.log.Warn(failure.Sayf("no lock on %q, another run may work on it too: %v", dest, err))
	return func() error { return nil }, nil
}

// isSettled tells whether another directory for the lock would change nothing.
func isSettled(ctx context.Context, err error) bool {
	return err == nil || errors.Is(err, lock.ErrHeld) || ctx.Err() != nil || errors.Is(err, lock.ErrDest)
}

func (j *Journal) lockIn(ctx context.Context, dir, dest string, wait time.Duration) (unlock func() error, err error) {
	return lock.Acquire(ctx, dir, dest, lock.Info{PID: os.Getpid(), Run: j.run.ID}, lock.Wait{
		Max: wait,
		Notify: func(holder lock.Info) {
			j.log.Info(fmt.Sprintf("waiting for the lock on %q: process %d, run %s has it", dest, holder.PID, holder.Run))
		},
	})
}
