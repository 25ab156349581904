package history

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// maxDests bounds the dests of an Overview: whoever may send events can name
// others.
const maxDests = 1000

// maxDestLength bounds the name of a dest, in bytes: each is in some twenty lines
// of metrics.
const maxDestLength = 1024

// Standing is how things stand with a dest.
type Standing struct {
	Dest  string
	Last  *Run     // that has ended or died, and says something of dest; nil = none
	Good  *Run     // the last of them that was good; nil = none
	Bad   *Run     // the last of them that was not; nil = none
	Going *Run     // that goes on, the last to have begun; nil = none
	Steps []Step   // of Last
	Count Counters // of all runs on dest that have ended or died

	Unrecorded bool // a run since is in no history
}

// Counters count runs. They never go back while anything is known of a dest.
type Counters struct {
	Runs    map[Result]int64
	Fetched int64 // bytes
}

// Overview is how things stand with all dests of a history.
type Overview struct {
	Dests   []Standing // by name
	Left    int        // how many dests are not among them
	Nowhere Counters   // of the runs that came to no dest
}

// Judge takes a run into account that ended, or gave its last sign of life,
// before those that the Standing was given already.
func (s *Standing) Judge(r *Run) {
	first := func(to **Run) {
		if *to == nil {
			*to = r
		}
	}
	switch {
	case r.Result == Running:
		first(&s.Going)
	case r.Result == Skipped || r.FoundNothing():
	case r.Result == Good:
		first(&s.Last)
		first(&s.Good)
	default:
		first(&s.Last)
		first(&s.Bad)
	}
}

// Overview tells how things stand with all dests, the most of them that there
// may be: those that were deployed to go first, then those that were heard of
// last. Runs whose process is gone have died.
func (s *Store) Overview(ctx context.Context, alive Alive) (o Overview, err error) {
	all := map[string]*Standing{}
	err = s.do(ctx, "survey", func(db *sql.DB) error {
		o, all = Overview{}, map[string]*Standing{}
		if o.Left, err = chooseDests(ctx, db, all); err != nil {
			return err
		}
		if o.Nowhere, err = countRuns(ctx, db, all); err != nil {
			return err
		}
		if err := judgeRuns(ctx, db, alive, all, &o.Nowhere); err != nil {
			return err
		}
		for _, st := range all {
			if st.Last == nil {
				continue
			}
			if st.Steps, err = querySteps(ctx, db, st.Last.ID); err != nil {
				return err
			}
		}
		return nil
	})
	for _, st := range all {
		o.Dests = append(o.Dests, *st)
	}
	slices.SortFunc(o.Dests, func(a, b Standing) int { return strings.Compare(a.Dest, b.Dest) })
	return o, err
}

// chooseDests puts the dests that are told of into all, and tells how many are
// not.
func chooseDests(ctx context.Context, db querier, all map[string]*Standing) (left int, err error) {
	names, err := queryStrings(ctx, db, `SELECT dest FROM runs WHERE dest <> '' AND length(CAST(dest AS BLOB)) <= ?
		GROUP BY dest ORDER BY max(result = 'good') DESC, max(moved) DESC LIMIT ?`, maxDestLength, maxDests)
	if err != nil {
		return 0, fmt.Errorf("read dests: %w", err)
	}
	for _, dest := range names {
		all[dest] = &Standing{Dest: dest, Count: newCounters()}
	}
	err = db.QueryRowContext(ctx, "SELECT count(DISTINCT dest) FROM runs WHERE dest <> ''").Scan(&left)
	return left - len(names), err
}

func newCounters() Counters {
	return Counters{Runs: map[Result]int64{Good: 0, Failed: 0, Refused: 0, Stopped: 0, Died: 0}}
}

// countRuns counts the runs that have ended, those that are forgotten too.
func countRuns(ctx context.Context, db querier, all map[string]*Standing) (nowhere Counters, err error) {
	nowhere = newCounters()
	rows, err := db.QueryContext(ctx, `
		SELECT dest, result, count(*), sum(fetched) FROM runs
			WHERE result IN ('good', 'failed', 'refused', 'stopped', 'died') GROUP BY dest, result
		UNION ALL SELECT dest, result, runs, fetched FROM forgotten`)
	if err != nil {
		return nowhere, fmt.Errorf("count runs: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var dest string
		var result Result
		var n, fetched int64
		if err := rows.Scan(&dest, &result, &n, &fetched); err != nil {
			return nowhere, fmt.Errorf("count runs: %w", err)
		}
		c := &nowhere
		if dest != "" {
			st, ok := all[dest]
			if !ok {
				continue
			}
			c = &st.Count
		}
		c.Runs[result] += n
		c.Fetched += fetched
	}
	return nowhere, rows.Err()
}

// judgeRuns gives each dest the runs that say how things stand: the last of each
// result, and those that go on.
func judgeRuns(
	ctx context.Context, db querier, alive Alive, all map[string]*Standing, nowhere *Counters,
) error {
	runs, err := queryRuns(ctx, db, `WHERE result = 'running' OR moved IN (
		SELECT max(moved) FROM runs
			WHERE dest <> '' AND result IN ('good', 'failed', 'refused', 'stopped', 'died')
				AND NOT (event = ? AND step IN ('', 'lock', 'manifest') AND result <> 'died')
			GROUP BY dest, result)
		ORDER BY moved DESC`, rollback)
	if err != nil {
		return err
	}
	running := map[string]bool{}
	for _, r := range runs {
		running[r.ID] = r.Result == Running
	}
	Judge(runs, alive)
	for i := range runs {
		r := &runs[i]
		st, ok := all[r.Dest]
		if ok {
			st.Judge(r)
		}
		if !running[r.ID] || r.Result != Died {
			continue
		}
		c := nowhere
		if r.Dest != "" {
			if !ok {
				continue
			}
			c = &st.Count
		}
		c.Runs[Died]++
		c.Fetched += r.Fetched
	}
	return nil
}
