package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"stretcher/internal/disk"
)

// do runs fn, which does what, on the database. When fn meets damage the
// database is replaced and fn runs once more. fn must not depend on what it
// did the first time.
func (s *Store) do(ctx context.Context, what string, fn func(*sql.DB) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := fn(s.db)
	if err == nil {
		err = s.settle(ctx)
	}
	if isCorrupt(err) && !s.opts.ReadOnly {
		if err = s.replace(ctx, err); err == nil {
			err = fn(s.db)
		}
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("history: %s: %w", what, classify(because(ctx, err)))
}

// because tells why the context has ended, if it has, in the place of what the driver
// says then.
func because(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case cause == nil || errors.Is(err, cause):
		return err
	case errors.Is(err, ctx.Err()):
		return cause
	default: // it says "interrupted"
		return fmt.Errorf("%w: %w", cause, err)
	}
}

// replace moves a damaged database aside and opens a new one, in which the
// runs of this store that go on are written again: their past is lost, they
// are not.
func (s *Store) replace(ctx context.Context, cause error) error {
	_ = s.db.Close() // nothing is left to save
	if err := s.moveAside(ctx, cause); err != nil {
		return fmt.Errorf("%w; %w", err, cause)
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	for _, r := range s.current {
		if err := putRun(ctx, s.db, r); err != nil {
			return err
		}
	}
	return nil
}

// lockDir locks the directory, which nobody does for long. It waits for that
// no longer than for the database.
func (s *Store) lockDir(ctx context.Context, dir *os.File) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.opts.BusyTimeout, ErrBusy)
	defer cancel()
	return disk.Lock(ctx, dir)
}

// moveAside moves the database this store has open, unless another process
// has done so already and there is a new one in its place. The lock on the
// directory makes look and move one act.
func (s *Store) moveAside(ctx context.Context, cause error) error {
	dir, err := os.Open(filepath.Dir(s.path))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := s.lockDir(ctx, dir); err != nil {
		return err
	}
	now, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && !os.SameFile(now, s.file)) {
		return nil
	}
	if err != nil {
		return err
	}
	aside := s.path + ".corrupt-" + time.Now().UTC().Format("20060102T150405.000Z")
	// The database last: while it is there, another process that finds it
	// damaged comes here too. A new one never meets the old WAL.
	for _, suffix := range []string{"-wal", "-shm", ""} {
		err := os.Rename(s.path+suffix, aside+suffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("move the damaged history aside: %w", err)
		}
	}
	if s.opts.Warn != nil {
		s.opts.Warn(fmt.Errorf("%w: moved to %q: %w", ErrCorrupt, aside, cause))
	}
	return nil
}
