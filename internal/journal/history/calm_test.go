package history

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func synchronous(t *testing.T, s *Store) (level string) {
	t.Helper()
	must(t, s.db.QueryRow("PRAGMA synchronous").Scan(&level))
	return level
}

// TestFirstWriteIsCalm: a first write that begins a WAL does not wait for the
// disk; all others are as SQLite has them, and so is the first one of a new
// database and of one that somebody else has open.
func TestFirstWriteIsCalm(t *testing.T) {
	const off, normal = "0", "1"
	path := filepath.Join(t.TempDir(), "history.db")
	first := mustOpen(t, path, Options{})
	if level := synchronous(t, first); level != normal {
		t.Errorf("a new database: synchronous = %s", level)
	}
	must(t, first.Begin(t.Context(), Run{ID: "a"}))
	if _, err := os.Stat(path + "-wal"); err != nil {
		t.Fatal(err)
	}
	beside := mustOpen(t, path, Options{})
	if level := synchronous(t, beside); level != normal {
		t.Errorf("beside another: synchronous = %s", level)
	}
	must(t, beside.Close())
	must(t, first.Close())

	s := mustOpen(t, path, Options{})
	if level := synchronous(t, s); level != off {
		t.Errorf("before the first write: synchronous = %s", level)
	}
	_, begun, err := s.Claim(t.Context(), Run{ID: "b"}, false, nil)
	if level := synchronous(t, s); err != nil || !begun || level != normal {
		t.Errorf("after the first write: synchronous = %s, %v", level, err)
	}
	must(t, s.Finish(t.Context(), Run{ID: "b", Result: Good}, true))
	if level := synchronous(t, s); level != normal {
		t.Errorf("after the last write: synchronous = %s", level)
	}
}

// The runs that died are found without reading all others.
func TestReportedHasAnIndex(t *testing.T) {
	s := newStore(t)
	addRun(t, s, "good", "/d", Good, 0, 1)
	addRun(t, s, "gone", "/d", Running, 2, 0)
	if _, err := s.Died(t.Context(), func(int, string) bool { return false }); err != nil {
		t.Fatal(err)
	}
	runs, err := s.Reported(t.Context())
	if err != nil || len(runs) != 1 || runs[0].ID != "gone" {
		t.Errorf("reported %v, %v", ids(runs), err)
	}
	var id, parent, unused int
	var detail string
	must(t, s.db.QueryRow("EXPLAIN QUERY PLAN SELECT id FROM runs WHERE result = 'died' ORDER BY begun DESC").
		Scan(&id, &parent, &unused, &detail))
	if !strings.Contains(detail, "runs_died") {
		t.Errorf("it is found by: %s", detail)
	}
}

// Steps are written with their run or not at all.
func TestUpdateWithSteps(t *testing.T) {
	s := newStore(t)
	must(t, s.Begin(t.Context(), Run{ID: "a"}))
	must(t, s.Update(t.Context(), Run{ID: "a", Step: "pre", Deployment: Deployment{Name: "app"}},
		Step{Name: "manifest"}, Step{Name: "lock"}))
	must(t, s.Finish(t.Context(), Run{ID: "a", Step: "pre", Result: Failed}, false, Step{Name: "last"}))
	run, err := s.Run(t.Context(), "a")
	must(t, err)
	steps, err := s.Steps(t.Context(), "a")
	must(t, err)
	var names []string
	for i, step := range steps {
		names = append(names, step.Name)
		if step.Seq != i+1 {
			t.Errorf("%q has number %d", step.Name, step.Seq)
		}
	}
	if run.Step != "pre" || strings.Join(names, " ") != "manifest lock last" {
		t.Errorf("step %q, steps %q", run.Step, names)
	}
}
