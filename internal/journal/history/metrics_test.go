package history

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

func dead(int, string) bool  { return false }
func lives(int, string) bool { return true }

// overview is the Overview of a store, and what is written of it, as series.
func overview(t *testing.T, s *Store) (Overview, map[string]string) {
	t.Helper()
	o, err := s.Overview(t.Context(), lives)
	must(t, err)
	return o, series(t, o)
}

// exposed are the lines of metrics: samples, and what is said of families.
var exposed = regexp.MustCompile(`^(?:# (?:HELP|TYPE|UNIT) (\w+) .+|` +
	`(\w+(?:\{\w+="(?:[^"\\\n]|\\["\\n])*"(?:,\w+="(?:[^"\\\n]|\\["\\n])*")*\})?) (-?\d+(?:\.\d+)?))$`)

// series reads metrics as strictly as any reader: each line, each series once, the
// samples of a family together and behind what is said of it.
func series(t *testing.T, o Overview) map[string]string {
	t.Helper()
	var b bytes.Buffer
	must(t, WriteMetrics(&b, Metrics{o, "/state", "2.0.0", at(0)}))
	text, ok := strings.CutSuffix(b.String(), "\n# EOF\n")
	if !ok || !utf8.ValidString(text) {
		t.Fatalf("metrics end with %q", text[max(0, len(text)-100):])
	}
	all, family, ended := map[string]string{}, "", map[string]bool{}
	for line := range strings.SplitSeq(text, "\n") {
		m := exposed.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("line %q", line)
		}
		name, _, _ := strings.Cut(m[1]+m[2], "{")
		if name != family {
			if ended[name] || m[1] == "" {
				t.Errorf("line %q is not with its family", line)
			}
			ended[family], family = true, name
		}
		if m[2] == "" {
			continue
		}
		if _, twice := all[m[2]]; twice {
			t.Errorf("%s is there twice", m[2])
		}
		all[m[2]] = m[3]
	}
	return all
}

// TestOverviewByAnyClock: the last run is the one that ended last, whatever the
// clock has shown, and nothing takes less than no time.
func TestOverviewByAnyClock(t *testing.T) {
	for name, clock := range clocks {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			for n, result := range []Result{Failed, Good, Refused, Good, Failed, Died} {
				addAt(t, s, clock, n, fmt.Sprintf("%c", 'z'-n), "/d", result)
			}
			addAt(t, s, clock, 6, "skipped", "/d", Skipped)
			o, all := overview(t, s)
			d := o.Dests[0]
			if len(o.Dests) != 1 || d.Last.ID != "u" || d.Good.ID != "w" || d.Bad.ID != "u" || d.Going != nil {
				t.Errorf("%+v", d)
			}
			if all[`stretcher_last_run_result{dest="/d",result="died"}`] != "1" ||
				all[`stretcher_runs_total{dest="/d",result="failed"}`] != "2" {
				t.Errorf("%v", all)
			}
		})
	}
}

// TestDurationByNoClock: what was measured counts, and not what the clock shows.
func TestDurationByNoClock(t *testing.T) {
	for _, c := range []struct{ elapsed, finished, want time.Duration }{
		{0, time.Minute, time.Minute}, {0, -time.Hour, 0}, {time.Second, -time.Hour, time.Second},
		{time.Second, 1000 * time.Hour, time.Second},
	} {
		r := Run{Started: at(0), Finished: at(0).Add(c.finished), Cost: Cost{Elapsed: c.elapsed}}
		if got := r.Duration(); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// TestOverviewOfRollbacks: one that found nothing says nothing of dest; it is
// counted all the same.
func TestOverviewOfRollbacks(t *testing.T) {
	s := newStore(t)
	addRun(t, s, "good", "/d", Good, 0, 1)
	for i, step := range []string{"lock", "manifest", ""} {
		r := Run{ID: fmt.Sprint("back", i), Deployment: Deployment{Dest: "/d"}, Started: at(2), Finished: at(3),
			Event: rollback, Step: step, Result: Failed}
		write(t, s, Detail{Run: r}, false)
	}
	o, all := overview(t, s)
	if d := o.Dests[0]; d.Last.ID != "good" || d.Bad != nil {
		t.Errorf("%+v", d)
	}
	if all[`stretcher_runs_total{dest="/d",result="failed"}`] != "3" {
		t.Errorf("%v", all)
	}
	write(t, s, Detail{Run: Run{ID: "late", Deployment: Deployment{Dest: "/d"}, Started: at(4), Finished: at(5),
		Event: rollback, Step: "fetch", Result: Failed}}, false)
	if o, _ := overview(t, s); o.Dests[0].Last.ID != "late" {
		t.Errorf("%+v", o.Dests[0])
	}
}

// TestEachEnding: a run counts, and is the last one, whatever it ended with; and it is
// counted still when it is forgotten.
func TestEachEnding(t *testing.T) {
	for _, result := range endings() {
		s := newStore(t)
		addRun(t, s, "first", "/d", Good, 0, 1)
		addRun(t, s, "last", "/d", result, 2, 3)
		_, all := overview(t, s)
		for _, one := range endings() {
			want := "0"
			if one == result {
				want = "1"
			}
			if got := all[fmt.Sprintf(`stretcher_last_run_result{dest="/d",result="%s"}`, one)]; got != want {
				t.Errorf("%s: last run: %s is %s", result, one, got)
			}
		}
		count := fmt.Sprintf(`stretcher_runs_total{dest="/d",result="%s"}`, result)
		addRun(t, s, "newer", "/d", Good, 4, 5) // of a dest the last runs are kept
		before := all[count]
		_, err := s.db.Exec("DELETE FROM runs WHERE id = 'last'")
		must(t, err)
		if _, all := overview(t, s); result != Good && all[count] != before || before == "0" {
			t.Errorf("%s: %s runs, and %s when one is forgotten", result, before, all[count])
		}
	}
}

// TestOverviewOfTheDead: a run whose process is gone has died, before anybody has
// written that down and after, and is counted once.
func TestOverviewOfTheDead(t *testing.T) {
	s := newStore(t)
	for _, dest := range []string{"/d", ""} {
		r := begin(t, s, "run"+dest, dest)
		r.Fetched = 7
		must(t, s.Update(t.Context(), r))
	}
	for _, written := range []bool{false, true} {
		if written {
			_, err := s.Died(t.Context(), dead)
			must(t, err)
		}
		o, err := s.Overview(t.Context(), dead)
		must(t, err)
		if d := o.Dests[0]; d.Last.Result != Died || d.Count.Runs[Died] != 1 || d.Count.Fetched != 7 ||
			d.Going != nil || o.Nowhere.Runs[Died] != 1 {
			t.Errorf("written %v: %+v, %+v", written, d, o.Nowhere)
		}
	}
}

// TestCountsNeverGoBack: what Prune forgets is counted still, but of a dest that is
// gone.
func TestCountsNeverGoBack(t *testing.T) {
	s := newStore(t)
	for i, dest := range []string{"/d", "/d", "/d", "/gone", ""} {
		r := Run{ID: fmt.Sprint(i), Deployment: Deployment{Dest: dest}, Started: at(i), Finished: at(i), Result: Good,
			Cost: Cost{Fetched: 10}}
		write(t, s, Detail{Run: r}, false)
	}
	must(t, s.Begin(t.Context(), Run{ID: "withdrawn", Deployment: Deployment{Dest: "/d"}, Started: at(0)}))
	must(t, s.Withdraw(t.Context(), "withdrawn"))
	for range 2 { // the second forgets no more
		_, err := s.Prune(t.Context(), at(100), func(dest string) bool { return dest == "/gone" })
		must(t, err)
		o, all := overview(t, s)
		if len(o.Dests) != 1 || all[`stretcher_runs_total{dest="/d",result="good"}`] != "3" ||
			all[`stretcher_fetched_bytes_total{dest="/d"}`] != "30" ||
			all[`stretcher_runs_without_dest_total{state_dir="/state",result="good"}`] != "1" {
			t.Errorf("%+v\n%v", o, all)
		}
	}
	var left int
	must(t, s.db.QueryRow("SELECT count(*) FROM forgotten WHERE dest = '/gone'").Scan(&left))
	if left != 0 {
		t.Errorf("%d counts of a dest that is gone", left)
	}
}

// TestOddLabels: whatever a dest, a name, a version or a step is, no line is
// broken, nothing reaches a terminal, and no two dests become one.
func TestOddLabels(t *testing.T) {
	s := newStore(t)
	odd := []string{
		"/a", `/a"`, `/a\`, "/a\n", `/a\n`, "/a\n# EOF\n", "/a\xff", `/a\xff`, "/a\xfe", "/a\x1b[2J", "/a\u202e", "/a\x00",
		"/a\r", "/a\u2028b", `/a",x="y`, "/a é 🙂", "/a}", "/a ", "\"/a\\xff\"",
	}
	for i, text := range odd {
		write(t, s, Detail{Run: Run{ID: fmt.Sprint(i), Started: at(i), Finished: at(i), Result: Good, Step: text,
			Deployment: Deployment{Dest: text, Name: text, Version: text}},
			Steps: []Step{{Run: fmt.Sprint(i), Point: text, Duration: time.Second}}}, false)
	}
	_, all := overview(t, s)
	found := 0
	for name := range all {
		if strings.ContainsFunc(name, func(r rune) bool { return !strconv.IsPrint(r) }) {
			t.Errorf("%q", name)
		}
		if strings.HasPrefix(name, "stretcher_last_run_timestamp_seconds{") {
			found++
		}
	}
	if found != len(odd) {
		t.Errorf("%d dests are told of, want %d", found, len(odd))
	}
	for _, label := range []string{`/a\"`, `/a\\`, `/a\n`, `/a\\n`, `/a é 🙂`, `\"/a\\x1b[2J\"`} {
		if all[`stretcher_deployed_info{dest="`+label+`",name="`+label+`",version="`+label+`"}`] != "1" {
			t.Errorf("no dest %s", label)
		}
	}
}

// TestBoundedMetrics: who sends events has no say in how much there is to collect.
func TestBoundedMetrics(t *testing.T) {
	s := newStore(t)
	long := strings.Repeat("é", 5000)
	steps := make([]Step, 200)
	for i := range steps {
		steps[i] = Step{Run: "good", Point: fmt.Sprint("p", i)}
	}
	write(t, s, Detail{Run: Run{ID: "good", Started: at(0), Finished: at(0), Result: Good, Step: long,
		Deployment: Deployment{Dest: "/good", Name: long, Version: "x" + long}}, Steps: steps}, false)
	must(t, inTx(t.Context(), s.db, func(tx *sql.Tx) error { return nothingGood(t.Context(), tx, maxDests+5) }))
	o, all := overview(t, s)
	if len(o.Dests) != maxDests || o.Left != 7 || all[`stretcher_dests_left_out{state_dir="/state"}`] != "7" {
		t.Errorf("%d dests, %d left out", len(o.Dests), o.Left)
	}
	if all[`stretcher_last_run_result{dest="/good",result="good"}`] != "1" {
		t.Error("the one that was deployed to is left out")
	}
	points := 0
	for name := range all {
		if len(name) > 1000 {
			t.Errorf("%d bytes: %.100s", len(name), name)
		}
		if strings.HasPrefix(name, `stretcher_last_run_step_duration_seconds{dest="/good"`) {
			points++
		}
	}
	if points != maxPoints {
		t.Errorf("%d steps", points)
	}
}

// nothingGood writes n runs, each on a dest of its own, and one on a dest with a
// long name.
func nothingGood(ctx context.Context, tx querier, n int) error {
	for i := range n + 1 {
		dest := fmt.Sprintf("/other/%05d", i)
		if i == n {
			dest = "/" + strings.Repeat("x", maxDestLength)
		}
		r := Run{ID: fmt.Sprintf("run%05d", i), Started: at(1), Finished: at(1), Result: Failed,
			Deployment: Deployment{Dest: dest}}
		if err := putRun(ctx, tx, r); err != nil {
			return err
		}
	}
	return nil
}

// TestMetricsOfOldDatabase: a reader tells of what older programs wrote.
func TestMetricsOfOldDatabase(t *testing.T) {
	s := mustOpen(t, oldRuns(t), Options{ReadOnly: true})
	_, all := overview(t, s)
	if all[`stretcher_last_run_result{dest="/d",result="good"}`] != "1" ||
		all[`stretcher_last_run_fetched_bytes{dest="/d"}`] != "0" ||
		all[`stretcher_last_run_duration_seconds{dest="/d"}`] != "360" {
		t.Errorf("%v", all)
	}
}

// TestExportInTurns: of those that export at once, the file is of one that knows of
// all runs that had ended before the last of them began.
func TestExportInTurns(t *testing.T) {
	dir := t.TempDir()
	path, file := filepath.Join(dir, "history.db"), filepath.Join(dir, "out.prom")
	mustOpen(t, path, Options{})
	var all sync.WaitGroup
	for i := range 8 {
		s := mustOpen(t, path, Options{})
		all.Go(func() {
			r := Run{ID: fmt.Sprint(i), Deployment: Deployment{Dest: "/d"}, Started: at(0), Result: Good}
			if err := s.Begin(t.Context(), r); err != nil {
				t.Error(err)
			}
			if err := s.Finish(t.Context(), r, false); err != nil {
				t.Error(err)
			}
			if err := s.Export(t.Context(), Export{File: file, Alive: lives, Turn: dir}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	text, err := os.ReadFile(file)
	must(t, err)
	if !strings.Contains(string(text), "\nstretcher_runs_total{dest=\"/d\",result=\"good\"} 8\n") {
		t.Errorf("%s", text)
	}
	names, _ := filepath.Glob(filepath.Join(dir, ".*"))
	if len(names) > 0 {
		t.Errorf("left behind: %q", names)
	}
}

// TestExportWithin: a disk that does not answer holds nobody up.
func TestExportWithin(t *testing.T) {
	stuck := make(chan struct{})
	defer close(stuck)
	if err := within(time.Millisecond, func() error { <-stuck; return nil }); err != errSlow {
		t.Errorf("%v", err)
	}
	if err := within(0, func() error { return errSlow }); err != errSlow {
		t.Errorf("%v", err)
	}
}
