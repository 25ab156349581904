package history

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// clocks are what the machine's clock may show while runs follow each other:
// the n-th run starts at clocks[...](n) and takes a minute of that time.
var clocks = map[string]func(n int) time.Time{
	"right":              at,
	"stands still":       func(int) time.Time { return at(0) },
	"runs backwards":     func(n int) time.Time { return at(-n) },
	"set back":           func(n int) time.Time { return at(n - 1e6*(n/4)) },
	"set forward":        func(n int) time.Time { return at(n + 1e6*(n/4)) },
	"forward, then back": func(n int) time.Time { return at(n + 1e7*(n%2)) },
	"before 1970":        func(n int) time.Time { return time.Unix(-1e6, 0).Add(time.Duration(n%3) * time.Hour) },
}

// addAt writes the n-th run by such a clock.
func addAt(t *testing.T, s *Store, clock func(int) time.Time, n int, id, dest string, result Result) {
	t.Helper()
	r := Run{ID: id, Deployment: Deployment{Dest: dest}, Started: clock(n), Finished: clock(n).Add(time.Minute),
		Result: result, Process: Process{Log: "log " + id}}
	write(t, s, Detail{Run: r}, false)
}

func TestOrderByAnyClock(t *testing.T) {
	for name, clock := range clocks {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "history.db")
			var want []string
			// Ids say nothing of the order either: UUIDv7 is made of the clock.
			for n, id := range []string{"m", "z", "a", "k", "y", "b", "c", "x"} {
				result := Good
				if n > 5 {
					result = Failed
				}
				s, err := Open(t.Context(), path, Options{}) // each by a process of its own
				must(t, err)
				addAt(t, s, clock, n, id, "/d", result)
				must(t, s.Close())
				want = append([]string{id}, want...)
			}
			s := mustOpen(t, path, Options{})
			for _, byEnd := range []bool{false, true} {
				runs, err := s.List(t.Context(), Filter{ByEnd: byEnd})
				if err != nil || fmt.Sprint(ids(runs)) != fmt.Sprint(want) {
					t.Errorf("listed %v, %v; want %v", ids(runs), err, want)
				}
			}
			good, err := s.LastGood(t.Context(), "/d")
			if good.ID != "b" || err != nil {
				t.Errorf("last good %q, %v; want b", good.ID, err)
			}
			if last, err := s.Last(t.Context(), "/d"); last.ID != "x" || err != nil {
				t.Errorf("last %q, %v; want x", last.ID, err)
			}
			later, err := s.After(t.Context(), good)
			if fmt.Sprint(ids(later)) != "[x c]" || err != nil {
				t.Errorf("after the last good: %v, %v; want x, c", ids(later), err)
			}
		})
	}
}

// Whatever the clock shows, what is deployed is not forgotten.
func TestPruneByAnyClock(t *testing.T) {
	for name, clock := range clocks {
		for _, before := range []time.Time{at(-1e9), at(0), at(1e9)} {
			t.Run(fmt.Sprint(name, before.Year()), func(t *testing.T) {
				s := newStore(t)
				results := []Result{Good, Failed, Good, Failed, Failed}
				for n, result := range results {
					addAt(t, s, clock, n, fmt.Sprintf("%c", 'e'-n), "/d", result)
				}
				addAt(t, s, clock, 5, "x", "/good", Good)
				addAt(t, s, clock, 6, "w", "/good", Good)
				addAt(t, s, clock, 7, "v", "/refused", Refused)
				begin(t, s, "u", "/d") // another run must not count as the last
				_, err := s.Prune(t.Context(), before, never)
				must(t, err)
				runs, err := s.List(t.Context(), Filter{})
				must(t, err)
				left := strings.Join(ids(runs), "")
				for _, id := range []string{"a", "c", "w", "v", "u"} {
					if !strings.Contains(left, id) {
						t.Errorf("%q is forgotten, left %q", id, left)
					}
				}
				if before.Equal(at(1e9)) && left != "uvwac" {
					t.Errorf("left %q, want no more than what must stay", left)
				}
			})
		}
	}
}

func TestAfter(t *testing.T) {
	s := newStore(t)
	addRun(t, s, "before", "/d", Failed, 0, 1)
	early := begin(t, s, "early", "/d") // waits for the lock of the next
	addRun(t, s, "good", "/d", Good, 2, 3)
	good, err := s.LastGood(t.Context(), "/d")
	must(t, err)
	check := func(want string) {
		t.Helper()
		if later, err := s.After(t.Context(), good); fmt.Sprint(ids(later)) != want || err != nil {
			t.Errorf("after: %v, %v; want %s", ids(later), err, want)
		}
	}
	check("[]")
	must(t, s.SetStep(t.Context(), early.ID, "sync"))
	check("[early]")
	addRun(t, s, "elsewhere", "/e", Failed, 4, 5)
	addRun(t, s, "skipped", "/d", Skipped, 4, 5)
	check("[early]")
	died, err := s.Died(t.Context(), func(int, string) bool { return false })
	if fmt.Sprint(ids(died)) != "[early]" || err != nil {
		t.Fatalf("died: %v, %v", ids(died), err)
	}
	check("[early]") // being found dead is no sign of life, and takes none away
	addRun(t, s, "failed", "/d", Failed, 6, 7)
	check("[failed early]")
	if _, err := s.After(t.Context(), Run{ID: "none", Deployment: Deployment{Dest: "/d"}}); !errors.Is(err, ErrNotFound) {
		t.Errorf("after no run: %v", err)
	}
}

// A run that gave up the lock, was found dead and comes back is the last.
func TestOrderOfTheLateEnd(t *testing.T) {
	s := newStore(t)
	slow := begin(t, s, "slow", "/d")
	quick := begin(t, s, "quick", "/d")
	_, err := s.Died(t.Context(), func(int, string) bool { return false })
	must(t, err)
	end(t, s, quick, Good)
	end(t, s, slow, Good)
	if good, err := s.LastGood(t.Context(), "/d"); good.ID != "slow" || err != nil {
		t.Errorf("last good %q, %v", good.ID, err)
	}
}

// oldRuns makes a database as the program wrote it before it counted, with
// runs whose rows are in no order.
func oldRuns(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "history.db")
	db := rawDB(t, path)
	for _, statement := range []string{"PRAGMA journal_mode = WAL", migrations[0], "PRAGMA user_version = 1"} {
		_, err := db.Exec(statement)
		must(t, err)
	}
	for _, r := range []struct {
		id, result      string
		from, to, touch int
	}{
		{"c", "good", 3, 9, 9}, {"a", "good", 1, 2, 2}, {"d", "failed", 4, 6, 6}, {"b", "failed", 2, 4, 4},
		{"f", "running", 6, 0, 7}, {"e", "skipped", 5, 5, 5},
	} {
		finished := int64(0)
		if r.to != 0 {
			finished = at(r.to).UnixMicro()
		}
		columns, _, _ := strings.Cut(runColumns, ", policy")
		_, err := db.Exec(`INSERT INTO runs (`+columns+`)
			VALUES (?, ?, ?, 'n', '', '/d', '', ?, '', 0, '', '', ?1, '', 'print', '', 1, '', '', '', ?)`,
			r.id, at(r.from).UnixMicro(), finished, r.result, at(r.touch).UnixMicro())
		must(t, err)
	}
	_, err := db.Exec(`INSERT INTO handled (key, run) VALUES ('a', 'a');
		INSERT INTO steps VALUES ('c', 1, 'pre', 'commands', 'x', 0, 0, 0, '', 0, 0)`)
	must(t, errors.Join(err, db.Close()))
	return path
}

// Runs of older programs keep the order that their times tell; what runs from
// now on is later, whatever the clock says.
func TestOldDatabase(t *testing.T) {
	for _, readOnly := range []bool{true, false} {
		path := oldRuns(t)
		s := mustOpen(t, path, Options{ReadOnly: readOnly})
		check := func(filter Filter, want string) {
			t.Helper()
			runs, err := s.List(t.Context(), filter)
			if err != nil || fmt.Sprint(ids(runs)) != want {
				t.Errorf("read only %v: %+v: %v, %v; want %s", readOnly, filter, ids(runs), err, want)
			}
		}
		check(Filter{}, "[f e d c b a]")
		check(Filter{ByEnd: true}, "[c f d e b a]")
		good, err := s.LastGood(t.Context(), "/d")
		if good.ID != "c" || good.Fingerprint != "print" || !good.Finished.Equal(at(9)) || err != nil {
			t.Errorf("last good %+v, %v", good, err)
		}
		if steps, err := s.Steps(t.Context(), "c"); len(steps) != 1 || err != nil {
			t.Errorf("steps: %v, %v", steps, err)
		}
		if run, ok, err := s.Handled(t.Context(), "a"); run != "a" || !ok || err != nil {
			t.Errorf("handled: %q, %v, %v", run, ok, err)
		}
		if readOnly {
			checkUntouched(t, s, path)
			continue
		}
		addAt(t, s, at, -1000, "0", "/d", Good)
		check(Filter{}, "[0 f e d c b a]")
		check(Filter{ByEnd: true}, "[0 c f d e b a]")
	}
}

// checkUntouched: a reader of an old database writes neither to it nor to its
// copy.
func checkUntouched(t *testing.T, s *Store, path string) {
	t.Helper()
	if err := s.Begin(t.Context(), Run{ID: "x"}); err == nil {
		t.Error("a reader has written")
	}
	v, err := userVersion(t.Context(), rawDB(t, path))
	if v != 1 || err != nil {
		t.Errorf("schema version %d, %v after a reader", v, err)
	}
}
