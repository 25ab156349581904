package history

import (
	"context"
	"database/sql"
)

// Claim begins the run unless its event has been handled or is being handled
// by another run that is alive; then nothing is written, and by is that run
// (with only its ID when its row has been pruned). Of several processes that
// are handed the same event at once, one gets it. With force only events that
// have been handled already are run again. A run without an event key always
// begins. alive must not call the Store.
func (s *Store) Claim(ctx context.Context, run Run, force bool, alive Alive) (by Run, begun bool, err error) {
	run.Result = Running
	err = s.do(ctx, "claim event", func(db *sql.DB) error {
		by, begun = Run{}, false
		return inTx(ctx, db, func(tx *sql.Tx) error {
			if by, err = claimant(ctx, tx, run.EventKey, force, alive); err != nil || by.ID != "" {
				return err
			}
			begun = true
			s.current[run.ID] = run
			return putRun(ctx, tx, run)
		})
	})
	return by, begun && err == nil, err
}

// Taken tells whether the event has been handled or is being handled by a run
// that is alive, and which run that is. The empty key never is.
func (s *Store) Taken(ctx context.Context, key string, alive Alive) (by Run, taken bool, err error) {
	err = s.do(ctx, "look up event", func(db *sql.DB) error {
		return inTx(ctx, db, func(tx *sql.Tx) error {
			by, err = claimant(ctx, tx, key, false, alive)
			return err
		})
	})
	return by, by.ID != "" && err == nil, err
}

// claimant is the run that has the event already, or the zero Run.
func claimant(ctx context.Context, tx querier, key string, force bool, alive Alive) (Run, error) {
	if key == "" {
		return Run{}, nil
	}
	id, done, err := handledBy(ctx, tx, key)
	if err != nil {
		return Run{}, err
	}
	if done && !force {
		runs, err := queryRuns(ctx, tx, "WHERE id = ?", id)
		if err != nil || len(runs) == 0 {
			return Run{ID: id}, err
		}
		return runs[0], nil
	}
	running, err := queryRuns(ctx, tx, "WHERE result = 'running' AND event_key = ?", key)
	for _, r := range running {
		if alive(r.PID, r.ProcStart) {
			return r, err
		}
	}
	return Run{}, err
}
