package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Filter chooses runs for List. The zero value chooses all.
type Filter struct {
	Dest    string   // "" for any
	Results []Result // empty for any
	Limit   int      // 0 or less for no limit
	ByEnd   bool     // order by end or last sign of life, not by start
}

// List returns runs, those that started last first. With ByEnd, those that
// ended last are first, which is the order in which they had dest's lock: one
// that waited for it started before and ended after the one that it waited
// for. One that goes on or is dead stands where it gave its last sign of life.
func (s *Store) List(ctx context.Context, f Filter) (runs []Run, err error) {
	where, args := []string{"true"}, []any{}
	if f.Dest != "" {
		where, args = append(where, "dest = ?"), append(args, f.Dest)
	}
	if len(f.Results) > 0 {
		where = append(where, "result IN (?"+strings.Repeat(", ?", len(f.Results)-1)+")")
		for _, r := range f.Results {
			args = append(args, r)
		}
	}
	if f.Limit <= 0 {
		f.Limit = -1 // SQLite's word for no limit
	}
	order := "begun"
	if f.ByEnd {
		order = "moved"
	}
	query := "WHERE " + strings.Join(where, " AND ") + " ORDER BY " + order + " DESC LIMIT ?"
	err = s.do(ctx, "list runs", func(db *sql.DB) (err error) {
		runs, err = queryRuns(ctx, db, query, append(args, f.Limit)...)
		return err
	})
	return runs, err
}

// Last returns the run on dest that ended last or goes on; events that were
// skipped don't count. ErrNotFound when there is none.
func (s *Store) Last(ctx context.Context, dest string) (Run, error) {
	return s.one(ctx, "find last run", "WHERE dest = ? AND result <> 'skipped' "+
		"ORDER BY result = 'running' DESC, moved DESC LIMIT 1", dest)
}

// LastGood returns the good run on dest that ended last: the lock orders runs
// by their ends, not their starts. ErrNotFound when there is none.
func (s *Store) LastGood(ctx context.Context, dest string) (Run, error) {
	return s.one(ctx, "find last good run", "WHERE dest = ? AND result = 'good' "+
		"ORDER BY moved DESC LIMIT 1", dest)
}

// After returns the runs on run's dest that ended, or gave a sign of life,
// after run's own last one; the last first. Those that go on are among them,
// for the caller to Judge; events that were skipped are not. ErrNotFound when
// the history does not hold run.
func (s *Store) After(ctx context.Context, run Run) (later []Run, err error) {
	err = s.do(ctx, "find later runs", func(db *sql.DB) (err error) {
		var moved int64
		err = db.QueryRowContext(ctx, "SELECT moved FROM runs WHERE id = ?", run.ID).Scan(&moved)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("%w: %q", ErrNotFound, run.ID)
		}
		if err != nil {
			return fmt.Errorf("read run: %w", err)
		}
		later, err = queryRuns(ctx, db, "WHERE dest = ? AND moved > ? AND result <> 'skipped' ORDER BY moved DESC",
			run.Dest, moved)
		return err
	})
	return later, err
}

func (s *Store) one(ctx context.Context, what, query string, args ...any) (run Run, err error) {
	err = s.do(ctx, what, func(db *sql.DB) error {
		runs, err := queryRuns(ctx, db, query, args...)
		if err == nil && len(runs) == 0 {
			err = fmt.Errorf("%w: %q", ErrNotFound, args)
		}
		if err == nil {
			run = runs[0]
		}
		return err
	})
	return run, err
}

// Run returns the run with the id, of which a beginning that no other run
// has is enough. ErrNotFound or ErrAmbiguous when that is not one run.
func (s *Store) Run(ctx context.Context, id string) (run Run, err error) {
	prefix := strings.ToLower(strings.TrimSpace(id))
	err = s.do(ctx, "find run", func(db *sql.DB) error {
		runs, err := queryRuns(ctx, db, "WHERE substr(id, 1, length(?1)) = ?1 ORDER BY id LIMIT 2", prefix)
		switch {
		case err != nil:
			return err
		case len(runs) == 0 || prefix == "":
			return fmt.Errorf("%w: %q", ErrNotFound, id)
		case len(runs) > 1:
			return fmt.Errorf("%w: %q: %s and %s", ErrAmbiguous, id, runs[0].ID, runs[1].ID)
		}
		run = runs[0]
		return nil
	})
	return run, err
}

// Steps returns the steps of the run with this full id, in order.
func (s *Store) Steps(ctx context.Context, id string) (steps []Step, err error) {
	err = s.do(ctx, "list steps", func(db *sql.DB) (err error) {
		steps, err = querySteps(ctx, db, id)
		return err
	})
	return steps, err
}

// Details returns the runs with their steps.
func (s *Store) Details(ctx context.Context, runs []Run) ([]Detail, error) {
	all := make([]Detail, 0, len(runs))
	for _, r := range runs {
		steps, err := s.Steps(ctx, r.ID)
		if err != nil {
			return nil, err
		}
		all = append(all, Detail{r, steps})
	}
	return all, nil
}

// Handled reports whether the event key was handled, and by which run, whose
// row may have been pruned since. The empty key never is.
func (s *Store) Handled(ctx context.Context, key string) (run string, ok bool, err error) {
	err = s.do(ctx, "look up event", func(db *sql.DB) (err error) {
		run, ok, err = handledBy(ctx, db, key)
		return err
	})
	return run, ok, err
}

func handledBy(ctx context.Context, db querier, key string) (run string, ok bool, err error) {
	if key == "" {
		return "", false, nil
	}
	err = db.QueryRowContext(ctx, "SELECT run FROM handled WHERE key = ?", key).Scan(&run)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	return run, err == nil, err
}

const runColumns = "id, started, finished, name, version, dest, url, result, step, exit, " +
	"error, event, event_key, user, fingerprint, tree, pid, proc_start, log, staging, touched, " +
	"policy, signers, serial, back, elapsed, fetched"

// queryRuns reads the runs that tail (WHERE, ORDER BY, LIMIT) chooses.
func queryRuns(ctx context.Context, db querier, tail string, args ...any) ([]Run, error) {
	rows, err := db.QueryContext(ctx, "SELECT "+runColumns+" FROM runs "+tail, args...)
	if err != nil {
		return nil, fmt.Errorf("read runs: %w", err)
	}
	defer rows.Close()
	var runs []Run
	for rows.Next() {
		r, err := scanRun(rows)
		if err != nil {
			return nil, fmt.Errorf("read runs: %w", err)
		}
		runs = append(runs, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read runs: %w", err)
	}
	return runs, nil
}

func scanRun(rows *sql.Rows) (r Run, err error) {
	var started, finished, touched, elapsed int64
	var staging string
	err = rows.Scan(&r.ID, &started, &finished, &r.Name, &r.Version, &r.Dest, &r.URL, &r.Result, &r.Step, &r.Exit,
		&r.Error, &r.Event, &r.EventKey, &r.User, &r.Fingerprint, &r.Tree, &r.PID, &r.ProcStart, &r.Log, &staging,
		&touched, &r.Policy, &r.Signers, &r.Serial, &r.Back, &elapsed, &r.Fetched)
	if err != nil {
		return Run{}, err
	}
	r.Started, r.Finished, r.Touched = fromMicros(started), fromMicros(finished), fromMicros(touched)
	r.Elapsed = time.Duration(elapsed) * time.Microsecond
	r.Staging, err = splitPaths(staging)
	return r, err
}

func querySteps(ctx context.Context, db querier, id string) ([]Step, error) {
	rows, err := db.QueryContext(ctx, "SELECT run, seq, point, dialect, name, started, duration, exit, signal, "+
		"timed_out, offset, stage, source, why FROM steps WHERE run = ? ORDER BY seq", id)
	if err != nil {
		return nil, fmt.Errorf("read steps: %w", err)
	}
	defer rows.Close()
	var steps []Step
	for rows.Next() {
		var s Step
		var started, duration int64
		err := rows.Scan(&s.Run, &s.Seq, &s.Point, &s.Dialect, &s.Name, &started, &duration, &s.Exit, &s.Signal,
			&s.TimedOut, &s.Offset, &s.Stage, &s.Source, &s.Why)
		if err != nil {
			return nil, fmt.Errorf("read steps: %w", err)
		}
		s.Started, s.Duration = fromMicros(started), time.Duration(duration)*time.Microsecond
		steps = append(steps, s)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read steps: %w", err)
	}
	return steps, nil
}
