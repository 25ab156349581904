package history

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func ids(runs []Run) (all []string) {
	for _, r := range runs {
		all = append(all, r.ID)
	}
	return all
}

// at is a time n minutes into the tests' day.
func at(n int) time.Time { return time.Date(2026, 11, 22, 0, n, 0, 0, time.UTC) }

// addRun writes a run that went from one minute to another.
func addRun(t *testing.T, s *Store, id, dest string, result Result, from, to int) {
	t.Helper()
	r := Run{ID: id, Deployment: Deployment{Dest: dest}, Result: result, Started: at(from), Finished: at(to),
		EventKey: "key " + id, Process: Process{Log: "log " + id}}
	switch result {
	case Skipped:
		must(t, s.Skip(t.Context(), r))
	case Running:
		must(t, s.Begin(t.Context(), r))
	default:
		write(t, s, Detail{Run: r}, true)
	}
}

// begin writes a run that goes on.
func begin(t *testing.T, s *Store, id, dest string) Run {
	t.Helper()
	r := Run{ID: id, Deployment: Deployment{Dest: dest}, Started: time.Now()}
	must(t, s.Begin(t.Context(), r))
	return r
}

// end writes how a run that was begun ended.
func end(t *testing.T, s *Store, r Run, result Result) {
	t.Helper()
	r.Result = result
	must(t, s.Finish(t.Context(), r, false))
}

func TestLifeOfARun(t *testing.T) {
	s := newStore(t)
	run := Run{ID: "a", Started: at(0), Result: "ignored", EventKey: "k"}
	check := func(wantStep string, wantResult Result, wantDest string) {
		t.Helper()
		got, err := s.Run(t.Context(), "a")
		if err != nil || got.Step != wantStep || got.Result != wantResult || got.Dest != wantDest {
			t.Errorf("step %q, result %q, dest %q, %v; want %q, %q, %q",
				got.Step, got.Result, got.Dest, err, wantStep, wantResult, wantDest)
		}
	}
	must(t, s.Begin(t.Context(), run))
	check("", Running, "")
	must(t, s.SetStep(t.Context(), "a", "fetch"))
	check("fetch", Running, "")
	run.Dest = "/d"
	must(t, s.Update(t.Context(), run)) // does not unset the step
	check("fetch", Running, "/d")
	must(t, s.AddStep(t.Context(), Step{Run: "a", Seq: 99, Name: "x"}))
	must(t, s.SetStep(t.Context(), "a", "post")) // does not drop the steps
	if steps, err := s.Steps(t.Context(), "a"); err != nil || len(steps) != 1 || steps[0].Seq != 1 {
		t.Errorf("steps %+v, %v", steps, err)
	}
	if _, ok, err := s.Handled(t.Context(), "k"); ok || err != nil {
		t.Errorf("handled before its end: %v, %v", ok, err)
	}
	run.Result = Failed
	must(t, s.Finish(t.Context(), run, true))
	check("post", Failed, "/d")
	if got, _ := s.Run(t.Context(), "a"); got.Finished.Before(run.Started) {
		t.Errorf("finished %v", got.Finished)
	}
	for what, err := range map[string]error{
		"SetStep": s.SetStep(t.Context(), "a", "late"),
		"Update":  s.Update(t.Context(), run),
		"AddStep": s.AddStep(t.Context(), Step{Run: "a"}),
	} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s after Finish: %v", what, err)
		}
	}
	check("post", Failed, "/d")
}

func TestHandled(t *testing.T) {
	s := newStore(t)
	key := func(id string) string { return "key " + id }
	write(t, s, Detail{Run: Run{ID: "a", Started: at(0), Result: Good, EventKey: key("a")}}, true)
	write(t, s, Detail{Run: Run{ID: "b", Started: at(1), Result: Failed, EventKey: key("b")}}, false)
	write(t, s, Detail{Run: Run{ID: "c", Started: at(2), Result: Good}}, true)
	for range 2 { // handed over again: written once
		must(t, s.Skip(t.Context(), Run{ID: "d", Started: at(3), EventKey: key("d")}))
		must(t, s.Skip(t.Context(), Run{ID: "e", Started: at(3), EventKey: key("d")}))
	}
	must(t, s.Skip(t.Context(), Run{ID: "f", Started: at(4), EventKey: key("a")}))
	for _, c := range []struct{ key, run string }{
		{key("a"), "a"}, {key("b"), ""}, {"", ""}, {key("d"), "d"}, {"none", ""},
	} {
		run, ok, err := s.Handled(t.Context(), c.key)
		if run != c.run || ok != (c.run != "") || err != nil {
			t.Errorf("%q: %q, %v, %v; want %q", c.key, run, ok, err, c.run)
		}
	}
	runs, err := s.List(t.Context(), Filter{Results: []Result{Skipped}})
	if err != nil || !reflect.DeepEqual(ids(runs), []string{"d"}) {
		t.Errorf("skipped %q, %v", ids(runs), err)
	}
	// A forced run takes the key over.
	write(t, s, Detail{Run: Run{ID: "g", Started: at(5), Result: Good, EventKey: key("a")}}, true)
	if run, _, _ := s.Handled(t.Context(), key("a")); run != "g" {
		t.Errorf("handled by %q after the forced run g", run)
	}
}

func TestLastAndList(t *testing.T) {
	s := newStore(t)
	addRun(t, s, "a", "/d", Good, 0, 1)
	// Their ends are not in the order of their starts: they wait for the lock.
	waited := begin(t, s, "b", "/d")
	dropped := begin(t, s, "c", "/d")
	addRun(t, s, "d", "/d", Good, 4, 4)
	end(t, s, dropped, Good)
	end(t, s, waited, Failed)
	addRun(t, s, "e", "/other", Good, 10, 11)
	addRun(t, s, "f", "/d", Skipped, 12, 12)
	addRun(t, s, "g", "/never", Refused, 13, 13)
	addRun(t, s, "h", "/now", Good, 14, 15)
	addRun(t, s, "i", "/now", Running, 14, 0)

	for _, c := range []struct{ dest, last, good string }{
		{"/d", "b", "c"}, {"/other", "e", "e"}, {"/never", "g", ""}, {"/now", "i", "h"}, {"/none", "", ""}, {"", "", ""},
	} {
		last, err := s.Last(t.Context(), c.dest)
		if last.ID != c.last || errors.Is(err, ErrNotFound) != (c.last == "") {
			t.Errorf("Last(%q) = %q, %v; want %q", c.dest, last.ID, err, c.last)
		}
		good, err := s.LastGood(t.Context(), c.dest)
		if good.ID != c.good || errors.Is(err, ErrNotFound) != (c.good == "") {
			t.Errorf("LastGood(%q) = %q, %v; want %q", c.dest, good.ID, err, c.good)
		}
	}
	for _, c := range []struct {
		filter Filter
		want   string
	}{
		{Filter{}, "[i h g f e d c b a]"},
		{Filter{Limit: 2}, "[i h]"},
		{Filter{Dest: "/d"}, "[f d c b a]"},
		{Filter{Dest: "/d", Limit: 1}, "[f]"},
		{Filter{Dest: "/d", ByEnd: true}, "[f b c d a]"},
		{Filter{Dest: "/now", ByEnd: true, Limit: 1}, "[i]"},
		{Filter{Dest: "/d", Results: []Result{Failed, Good}}, "[d c b a]"},
		{Filter{Results: []Result{Running}}, "[i]"},
		{Filter{Dest: "' OR 1"}, "[]"},
	} {
		runs, err := s.List(t.Context(), c.filter)
		if err != nil || fmt.Sprint(ids(runs)) != c.want {
			t.Errorf("%+v: %v, %v; want %s", c.filter, ids(runs), err, c.want)
		}
	}
}

func TestRunByPrefix(t *testing.T) {
	s := newStore(t)
	for i, id := range []string{"0193aa-1", "0193aa-12", "0193ab-1"} {
		addRun(t, s, id, "/d", Good, i, i)
	}
	for _, c := range []struct {
		id, want string
		err      error
	}{
		{"0193ab", "0193ab-1", nil},
		{" 0193AB\n", "0193ab-1", nil},
		{"0193ab-1", "0193ab-1", nil},
		{"0193aa-12", "0193aa-12", nil},
		{"0193aa", "", ErrAmbiguous},
		{"0", "", ErrAmbiguous},
		{"", "", ErrNotFound},
		{"%", "", ErrNotFound},
		{"0193a_", "", ErrNotFound},
		{"93", "", ErrNotFound},
		{"0193ab-12", "", ErrNotFound},
	} {
		run, err := s.Run(t.Context(), c.id)
		if run.ID != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q: %q, %v; want %q, %v", c.id, run.ID, err, c.want, c.err)
		}
	}
}

func TestDied(t *testing.T) {
	s := newStore(t)
	for i, id := range []string{"alive", "dead", "gone"} {
		r := Run{ID: id, Started: at(i),
			Process: Process{PID: i, ProcStart: "boot " + id, Staging: []string{"/s/" + id}}, EventKey: id}
		must(t, s.Begin(t.Context(), r))
		must(t, s.SetStep(t.Context(), id, "sync"))
	}
	addRun(t, s, "good", "/d", Good, 5, 6)
	alive := func(pid int, start string) bool { return pid == 0 && start == "boot alive" }

	runs, err := s.List(t.Context(), Filter{})
	must(t, err)
	Judge(runs, alive)
	var judged []Result
	for _, r := range runs {
		judged = append(judged, r.Result)
	}
	if want := []Result{Good, Died, Died, Running}; !slices.Equal(judged, want) {
		t.Errorf("judged %v, want %v", judged, want)
	}

	died, err := s.Died(t.Context(), alive)
	if err != nil || fmt.Sprint(ids(died)) != "[dead gone]" {
		t.Fatalf("died %v, %v", ids(died), err)
	}
	for _, r := range died {
		if r.Result != Died || r.Step != "sync" || r.Staging[0] != "/s/"+r.ID ||
			!r.Finished.Equal(r.Touched) || r.Touched.IsZero() {
			t.Errorf("died %+v", r)
		}
		got, err := s.Run(t.Context(), r.ID)
		must(t, err)
		same(t, got, r)
		if _, ok, _ := s.Handled(t.Context(), r.ID); ok {
			t.Errorf("the event of %q counts as handled", r.ID)
		}
	}
	if died, err := s.Died(t.Context(), alive); err != nil || len(died) != 0 {
		t.Errorf("reported again: %v, %v", ids(died), err)
	}
	// Of two processes that find it dead at once, one reports it.
	if mine, err := markDied(t.Context(), s.db, "dead"); mine || err != nil {
		t.Errorf("marked again: %v, %v", mine, err)
	}
	// Who was thought dead and comes back tells the truth.
	must(t, s.Finish(t.Context(), Run{ID: "gone", Started: at(2), Result: Good}, false))
	if got, _ := s.Run(t.Context(), "gone"); got.Result != Good {
		t.Errorf("result %q after it finished", got.Result)
	}
}

func TestPrune(t *testing.T) {
	s := newStore(t)
	addRun(t, s, "old", "/d", Good, 0, 1)
	addRun(t, s, "old-good", "/d", Good, 2, 3)
	addRun(t, s, "old-failed", "/d", Failed, 4, 5)
	addRun(t, s, "last", "/d", Failed, 6, 7)
	addRun(t, s, "skipped", "/d", Skipped, 8, 8)
	addRun(t, s, "only", "/other", Good, 9, 9)
	addRun(t, s, "nowhere", "", Failed, 10, 10)
	addRun(t, s, "running", "/d", Running, 11, 0)
	must(t, s.AddStep(t.Context(), Step{Run: "running"}))
	addRun(t, s, "new-1", "/new", Good, 60, 61)
	addRun(t, s, "new-2", "/new", Good, 62, 63)

	gone, err := s.Prune(t.Context(), at(60), never)
	slices.Sort(gone)
	if want := "[nowhere old old-failed skipped]"; err != nil || fmt.Sprint(gone) != want {
		t.Errorf("pruned %v, %v; want %s", gone, err, want)
	}
	runs, err := s.List(t.Context(), Filter{})
	if want := "[new-2 new-1 running only last old-good]"; err != nil || fmt.Sprint(ids(runs)) != want {
		t.Errorf("left %v, %v; want %s", ids(runs), err, want)
	}
	if steps, err := s.Steps(t.Context(), "running"); len(steps) != 1 || err != nil {
		t.Errorf("steps of the running run: %v, %v", steps, err)
	}
	if run, ok, err := s.Handled(t.Context(), "key old"); run != "old" || !ok || err != nil {
		t.Errorf("a pruned run's event would run again: %q, %v, %v", run, ok, err)
	}
	if gone, err := s.Prune(t.Context(), at(60), never); err != nil || len(gone) != 0 {
		t.Errorf("pruned again: %v, %v", gone, err)
	}
}

// never says of each dest that it is there.
func never(string) bool { return false }

func TestPruneOfDestsThatAreGone(t *testing.T) {
	s := newStore(t)
	addRun(t, s, "gone-old", "/gone", Good, 0, 1)
	addRun(t, s, "gone-last", "/gone", Failed, 2, 3)
	addRun(t, s, "gone-new", "/gone/new", Good, 60, 61)
	addRun(t, s, "gone-running", "/gone", Running, 4, 0)
	addRun(t, s, "there", "/there", Good, 5, 6)
	addRun(t, s, "there-new", "/there/new", Good, 60, 61)
	var asked []string
	pruned, err := s.Prune(t.Context(), at(60), func(dest string) bool {
		asked = append(asked, dest)
		return strings.HasPrefix(dest, "/gone")
	})
	slices.Sort(pruned)
	slices.Sort(asked)
	if want := "[gone-last gone-old]"; err != nil || fmt.Sprint(pruned) != want {
		t.Errorf("pruned %v, %v; want %s", pruned, err, want)
	}
	if want := "[/gone /there]"; fmt.Sprint(asked) != want {
		t.Errorf("asked of %v, want %s: others have nothing that is old", asked, want)
	}
}

func TestPruneSteps(t *testing.T) {
	s := newStore(t)
	write(t, s, sample()[3], true)
	addRun(t, s, "later", sample()[3].Dest, Good, 1e6, 1e6)
	_, err := s.Prune(t.Context(), at(1e6), never)
	must(t, err)
	if steps, err := s.Steps(t.Context(), sample()[3].ID); err != nil || len(steps) != 0 {
		t.Errorf("steps without a run: %v, %v", steps, err)
	}
}

func TestPruneForgetsTheOldestKeys(t *testing.T) {
	s := newStore(t)
	_, err := s.db.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		INSERT INTO handled (key, run) SELECT 'k' || i, 'r' FROM n`, maxHandled+5)
	must(t, err)
	_, err = s.Prune(t.Context(), at(0), never)
	must(t, err)
	for key, want := range map[string]bool{"k1": false, "k5": false, "k6": true, "k10005": true} {
		if _, ok, err := s.Handled(t.Context(), key); ok != want || err != nil {
			t.Errorf("%s handled: %v, %v; want %v", key, ok, err, want)
		}
	}
}

func FuzzPaths(f *testing.F) {
	seeds := []string{"/a", "/a b", "\"\x00\xff\n\\", ""}
	for _, s := range seeds {
		f.Add(s, "/x")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		got, err := splitPaths(joinPaths([]string{a, b}))
		if err != nil || !reflect.DeepEqual(got, []string{a, b}) {
			t.Errorf("%q, %q come back as %q, %v", a, b, got, err)
		}
	})
}

func TestSplitPathsErrors(t *testing.T) {
	for _, s := range []string{"/bare", `"open`, `"a" x`, `"a""`} {
		if paths, err := splitPaths(s); err == nil || paths != nil {
			t.Errorf("%q: %q, %v", s, paths, err)
		}
	}
}
