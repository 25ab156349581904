package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"stretcher/internal/journal/lock"
	"stretcher/internal/journal/serial"
	"stretcher/internal/journal/state"
	"stretcher/internal/text/failure"
)

// Lock takes the lock on dest, in the state directory or, when that can't be
// used, in the system's temporary directory. Where neither can hold a lock
// the run goes on without: the state of a machine must not stop it.
func (j *Journal) Lock(ctx context.Context, dest string, wait time.Duration) (unlock func() error, err error) {
	if j.dir != nil {
		unlock, err = j.lockIn(ctx, j.dir.Locks(), dest, onDest(dest), wait)
		if isSettled(ctx, err) {
			return unlock, err
		}
		j.log.Warn(failure.Sayf("%v; the lock is taken elsewhere", err))
	}
	dir, err := state.FallbackLocks(os.TempDir(), os.Getuid())
	if err == nil {
		unlock, err = j.lockIn(ctx, dir, dest, onDest(dest), wait)
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

// LockHere is Lock for a run that must not go on while another works on dest:
// the lock is in the state directory, where the others look for it. The error is
// failure.ErrRefused where that can't hold one.
func (j *Journal) LockHere(ctx context.Context, dest string, wait time.Duration) (unlock func() error, err error) {
	if j.dir == nil {
		return nil, failure.Refused("no state directory for the lock on %q", dest)
	}
	unlock, err = j.lockIn(ctx, j.dir.Locks(), dest, onDest(dest), wait)
	if !isSettled(ctx, err) {
		err = failure.Refused("%w", err)
	}
	return unlock, err
}

// LockFor is LockBoth for a run that must have the lock, LockHere where it knows
// no name yet, and else Lock.
func (j *Journal) LockFor(
	ctx context.Context, name, dest string, wait time.Duration, must bool,
) (unlock func() error, err error) {
	switch {
	case !must:
		return j.Lock(ctx, dest, wait)
	case name == "":
		return j.LockHere(ctx, dest, wait)
	}
	return j.LockBoth(ctx, name, dest, wait)
}

// LockName is LockHere for a deployment that has a name and no dest.
func (j *Journal) LockName(ctx context.Context, name string, wait time.Duration) (unlock func() error, err error) {
	what := fmt.Sprintf("the name %q", name)
	if j.dir == nil {
		return nil, failure.Refused("no state directory for the lock on %s", what)
	}
	unlock, err = j.lockIn(ctx, j.dir.Locks(), serial.At(j.dir.Path()).Path(name), what, wait)
	switch {
	case err == nil:
		return unlock, nil
	case isSettled(ctx, err):
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return nil, failure.Refused("%s: %w", what, err)
}

// LockBoth is LockName and then LockHere: a name may be deployed by two paths that
// lead to one directory, and a directory by two names. All take the name first, so
// that none waits for another who waits for it. A path that is not absolute is no
// dest. The wait is for both together.
func (j *Journal) LockBoth(ctx context.Context, name, dest string, wait time.Duration) (func() error, error) {
	over := time.Now().Add(wait)
	named, err := j.LockName(ctx, name, wait)
	if err != nil || !filepath.IsAbs(dest) {
		return named, err
	}
	here, err := j.LockHere(ctx, dest, max(0, time.Until(over).Round(time.Millisecond)))
	if err != nil {
		return nil, errors.Join(err, named())
	}
	return func() error { return errors.Join(here(), named()) }, nil
}

// onDest is what people are told that a lock is on.
func onDest(dest string) string { return fmt.Sprintf("%q", dest) }

// lockIn takes a lock in a directory. It is on a path; on what is for people.
func (j *Journal) lockIn(ctx context.Context, dir, path, on string, wait time.Duration) (func() error, error) {
	return lock.Acquire(ctx, dir, path, lock.Info{PID: os.Getpid(), Run: j.run.ID}, lock.Wait{
		Max: wait,
		Notify: func(holder lock.Info) {
			j.log.Info(fmt.Sprintf("waiting for the lock on %s: process %d, run %s has it", on, holder.PID, holder.Run))
		},
	})
}
