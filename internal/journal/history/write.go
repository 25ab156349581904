package history

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"
)

// maxHandled is how many event keys are remembered. Consul hands over at most
// its last 256 events again, so this is ample.
const maxHandled = 10_000

// Begin writes that the run goes on; its Result becomes Running. When Begin
// fails, the later calls for the run write what it could not.
func (s *Store) Begin(ctx context.Context, run Run) error {
	run.Result = Running
	return s.do(ctx, "begin run", func(db *sql.DB) error {
		s.current[run.ID] = run
		return putRun(ctx, db, run)
	})
}

// Update writes all fields of a run that has begun here, as more of them are
// known, and the steps of it that have ended since, each of which gets the
// next Seq: all or nothing. An empty Step leaves the one that is written.
func (s *Store) Update(ctx context.Context, run Run, steps ...Step) error {
	return s.do(ctx, "update run", func(db *sql.DB) error {
		r, ok := s.current[run.ID]
		if !ok {
			return fmt.Errorf("%w: %q has not begun here", ErrNotFound, run.ID)
		}
		if run.Step == "" {
			run.Step = r.Step
		}
		run.Result = Running
		s.current[run.ID] = run
		if len(steps) == 0 {
			return putRun(ctx, db, run)
		}
		return inTx(ctx, db, func(tx *sql.Tx) error { return putWith(ctx, tx, run, steps) })
	})
}

// putWith writes a run and steps of it.
func putWith(ctx context.Context, tx querier, run Run, steps []Step) error {
	if err := putRun(ctx, tx, run); err != nil {
		return err
	}
	for _, step := range steps {
		step.Run = run.ID
		if err := insertStep(ctx, tx, step); err != nil {
			return err
		}
	}
	return nil
}

// Finish writes the end of the run: all fields, of which the caller has set
// Result, Exit and Error, and its last steps; a zero Finished becomes now. With
// handled, its EventKey is remembered as one that need not run again.
//
// It is on disk when Finish returns, even if the machine loses power then:
// a forgotten key would deploy the event once more after the reboot, and a
// forgotten end would be reported as a death.
func (s *Store) Finish(ctx context.Context, run Run, handled bool, steps ...Step) error {
	if run.Finished.IsZero() {
		run.Finished = time.Now()
	}
	return s.do(ctx, "finish run", func(db *sql.DB) error {
		if cur, ok := s.current[run.ID]; ok && run.Step == "" {
			run.Step = cur.Step
		}
		err := durably(ctx, db, func(tx *sql.Tx) error {
			if err := putWith(ctx, tx, run, steps); err != nil || !handled {
				return err
			}
			return putHandled(ctx, tx, run.EventKey, run.ID)
		})
		if err == nil {
			delete(s.current, run.ID)
		}
		return err
	})
}

// Withdraw removes a run that has begun here, with its steps.
func (s *Store) Withdraw(ctx context.Context, id string) error {
	return s.do(ctx, "withdraw run", func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, "DELETE FROM runs WHERE id = ?", id)
		if err == nil {
			delete(s.current, id)
		}
		return err
	})
}

// Skip writes a run that never was: its event gave way to a newer one. Its
// EventKey counts as handled, and one that is handled already is not written
// again.
func (s *Store) Skip(ctx context.Context, run Run) error {
	run.Result, run.Finished = Skipped, run.Started
	return s.do(ctx, "skip event", func(db *sql.DB) error {
		return inTx(ctx, db, func(tx *sql.Tx) error {
			if _, done, err := handledBy(ctx, tx, run.EventKey); done || err != nil {
				return err
			}
			if err := putRun(ctx, tx, run); err != nil {
				return err
			}
			return putHandled(ctx, tx, run.EventKey, run.ID)
		})
	})
}

// Reported returns the runs that Died has returned to somebody, those that
// started last first.
func (s *Store) Reported(ctx context.Context) (runs []Run, err error) {
	err = s.do(ctx, "list died runs", func(db *sql.DB) (err error) {
		runs, err = queryRuns(ctx, db, "WHERE result = 'died' ORDER BY begun DESC") // as its index has it
		return err
	})
	return runs, err
}

// Died finds the running runs whose process is gone, writes that they died at
// their last sign of life, and returns them, so that each is reported and
// cleaned up after by one caller only. alive must not call the Store.
func (s *Store) Died(ctx context.Context, alive Alive) (died []Run, err error) {
	err = s.do(ctx, "find died runs", func(db *sql.DB) error {
		died = nil
		running, err := queryRuns(ctx, db, "WHERE result = 'running' ORDER BY begun")
		if err != nil {
			return err
		}
		for _, r := range running {
			if alive(r.PID, r.ProcStart) {
				continue
			}
			mine, err := markDied(ctx, db, r.ID)
			if err != nil {
				return err
			}
			if mine {
				r.Result, r.Finished = Died, r.Touched
				died = append(died, r)
			}
		}
		return nil
	})
	return died, err
}

// markDied reports whether it was this call that did it.
func markDied(ctx context.Context, db querier, id string) (bool, error) {
	res, err := db.ExecContext(ctx,
		"UPDATE runs SET result = 'died', finished = touched WHERE id = ? AND result = 'running'", id)
	if err != nil {
		return false, fmt.Errorf("mark run as died: %w", err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// Prune forgets the runs that started before the given time, with their
// steps, and returns their ids. Of each dest it keeps the last run that ended
// and the last good one, however old they are or, after a jump of the clock,
// seem: they say what is deployed. A dest that is gone, which it asks gone of
// those that have such runs, has nothing deployed, and keeps none. gone must not
// call the Store. Runs that go on stay, and so do the last 10 000 handled event
// keys, whatever their age: on a quiet cluster a restarted watch may hand over an
// event of last year.
func (s *Store) Prune(ctx context.Context, before time.Time, gone func(dest string) bool) (ids []string, err error) {
	err = s.do(ctx, "prune", func(db *sql.DB) error {
		// Asked before the transaction: a file system that does not answer keeps
		// nobody else from the history.
		left, err := goneDests(ctx, db, before, gone)
		if err != nil {
			return err
		}
		return inTx(ctx, db, func(tx *sql.Tx) (err error) {
			if ids, err = pruneRuns(ctx, tx, before); err != nil {
				return err
			}
			for _, dest := range left {
				last, err := queryStrings(ctx, tx, "DELETE FROM runs WHERE dest = ? AND started < ? AND result <> 'running'"+
					" RETURNING id", dest, before.UnixMicro())
				if ids = append(ids, last...); err != nil {
					return err
				}
			}
			_, err = tx.ExecContext(ctx, "DELETE FROM handled WHERE seq <= (SELECT max(seq) FROM handled) - ?", maxHandled)
			if err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, "DELETE FROM forgotten WHERE dest <> '' AND dest NOT IN (SELECT dest FROM runs)")
			return err
		})
	})
	return ids, err
}

// goneDests are the dests of runs from before that are gone.
func goneDests(ctx context.Context, db querier, before time.Time, gone func(string) bool) ([]string, error) {
	dests, err := queryStrings(ctx, db,
		"SELECT DISTINCT dest FROM runs WHERE started < ? AND dest <> '' AND result <> 'running'", before.UnixMicro())
	return slices.DeleteFunc(dests, func(dest string) bool { return !gone(dest) }), err
}

func pruneRuns(ctx context.Context, tx *sql.Tx, before time.Time) (ids []string, err error) {
	return queryStrings(ctx, tx, `
		WITH ranked AS (
			SELECT id, result = 'good' AS good,
				row_number() OVER (PARTITION BY dest ORDER BY moved DESC) AS nth,
				row_number() OVER (PARTITION BY dest, result = 'good' ORDER BY moved DESC) AS nth_alike
			FROM runs WHERE dest <> '' AND result NOT IN ('skipped', 'running'))
		DELETE FROM runs
		WHERE started < ? AND result <> 'running'
			AND id NOT IN (SELECT id FROM ranked WHERE nth = 1 OR (good AND nth_alike = 1))
		RETURNING id`, before.UnixMicro())
}

// queryStrings returns the one column of what a statement returns.
func queryStrings(ctx context.Context, db querier, statement string, args ...any) (all []string, err error) {
	rows, err := db.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// inTx runs fn in a transaction.
func inTx(ctx context.Context, db *sql.DB, fn func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	defer tx.Rollback() // to no effect once committed
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// durably is inTx with a commit that is synced to disk; otherwise a commit is
// only written, and synced by a later checkpoint. The pragma belongs to the
// store's one connection.
func durably(ctx context.Context, db *sql.DB, fn func(*sql.Tx) error) (err error) {
	if _, err := db.ExecContext(ctx, "PRAGMA synchronous = FULL"); err != nil {
		return fmt.Errorf("make commit durable: %w", err)
	}
	defer db.ExecContext(context.WithoutCancel(ctx), "PRAGMA synchronous = NORMAL")
	return inTx(ctx, db, fn)
}

// putRun writes the row of a run, whether it is there or not. (INSERT OR
// REPLACE would delete an old row first, and its steps with it.)
func putRun(ctx context.Context, db querier, r Run) error {
	_, err := db.ExecContext(ctx, `
		WITH counter AS (SELECT coalesce(max(moved), 0) + 1 AS next FROM runs)
		INSERT INTO runs (`+runColumns+`, begun, moved)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
			(SELECT next FROM counter), (SELECT next FROM counter))
		ON CONFLICT (id) DO UPDATE SET
			started = excluded.started, finished = excluded.finished, name = excluded.name,
			version = excluded.version, dest = excluded.dest, url = excluded.url, result = excluded.result,
			step = excluded.step, exit = excluded.exit, error = excluded.error, event = excluded.event,
			event_key = excluded.event_key, user = excluded.user, fingerprint = excluded.fingerprint,
			tree = excluded.tree, pid = excluded.pid, proc_start = excluded.proc_start, log = excluded.log,
			staging = excluded.staging, touched = excluded.touched, policy = excluded.policy,
			signers = excluded.signers, serial = excluded.serial, back = excluded.back,
			elapsed = excluded.elapsed, fetched = excluded.fetched, moved = excluded.moved`,
		r.ID, micros(r.Started), micros(r.Finished), r.Name, r.Version, r.Dest, r.URL, r.Result, r.Step, r.Exit,
		r.Error, r.Event, r.EventKey, r.User, r.Fingerprint, r.Tree, r.PID, r.ProcStart, r.Log,
		joinPaths(r.Staging), time.Now().UnixMicro(), r.Policy, r.Signers, r.Serial, r.Back,
		r.Elapsed.Microseconds(), r.Fetched)
	if err != nil {
		return fmt.Errorf("write run %q: %w", r.ID, err)
	}
	return nil
}

func insertStep(ctx context.Context, db querier, s Step) error {
	_, err := db.ExecContext(ctx, `
		INSERT INTO steps (run, seq, point, dialect, name, started, duration, exit, signal, timed_out, offset,
			stage, source, why)
		SELECT ?, coalesce(max(seq), 0) + 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM steps WHERE run = ?`,
		s.Run, s.Point, s.Dialect, s.Name, micros(s.Started), s.Duration.Microseconds(), s.Exit, s.Signal,
		s.TimedOut, s.Offset, s.Stage, s.Source, s.Why, s.Run)
	if err != nil {
		return fmt.Errorf("write step %q: %w", s.Name, err)
	}
	return nil
}

// putHandled gives the key a new seq also when it was handled before.
func putHandled(ctx context.Context, db querier, key, run string) error {
	if key == "" {
		return nil
	}
	if _, err := db.ExecContext(ctx, "INSERT OR REPLACE INTO handled (key, run) VALUES (?, ?)", key, run); err != nil {
		return fmt.Errorf("write handled event: %w", err)
	}
	return nil
}
