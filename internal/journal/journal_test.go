package journal

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"stretcher/internal/journal/history"
	"stretcher/internal/journal/runlog"
	"stretcher/internal/process"
	"stretcher/internal/text/runid"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// open opens a journal with a state directory of its own, or the one given.
func open(t *testing.T, dir string) *Journal {
	t.Helper()
	if dir == "" {
		dir = filepath.Join(t.TempDir(), "state")
	}
	j, err := Open(t.Context(), dir, runlog.New(runlog.Options{}))
	must(t, err)
	t.Cleanup(j.Close)
	return j
}

// aRun is a run of this process, or of one that is gone.
func aRun(alive bool) history.Run {
	start := process.Start(os.Getpid())
	if !alive {
		start = "another-boot:1"
	}
	return history.Run{ID: newID(), Started: time.Now(), Process: history.Process{PID: os.Getpid(), ProcStart: start}}
}

// row reads the row of a run.
func row(t *testing.T, j *Journal, id string) history.Run {
	t.Helper()
	r, err := j.db.Run(t.Context(), id)
	must(t, err)
	return r
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

func file(t *testing.T, name string) string {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(name), 0o700))
	must(t, os.WriteFile(name, []byte("text"), 0o600))
	return name
}

// A step within a step ends where it began: a run that fails in verify and
// runs its failure commands has failed in verify.
func TestStep(t *testing.T) {
	j := open(t, "")
	j.Begin(aRun(true), false)
	j.Enter("verify")
	j.Aside("failure", func() {
		if step := row(t, j, j.run.ID).Step; j.Step() != "failure" || step != "failure" {
			t.Errorf("inside: step %q, in the history %q", j.Step(), step)
		}
	})
	if j.Step() != "verify" {
		t.Errorf("afterwards: step %q", j.Step())
	}
	j.Finish(history.Failed, 1, "verify: exit status 1", true)
	if r := row(t, j, j.run.ID); r.Step != "verify" || r.Result != history.Failed || r.Exit != 1 {
		t.Errorf("in the history: %+v", r)
	}
}

// A run that failed in its sync makes dest doubtful, one that failed before
// does not, and neither does one that goes on.
func TestIsLast(t *testing.T) {
	for _, tc := range []struct {
		step   string
		result history.Result
		want   bool
	}{
		{"pre", history.Failed, true},
		{"sync", history.Failed, false},
		{"sync", history.Died, false},
		{"sync", history.Running, true}, // waits for the lock that the caller has, whatever it says
	} {
		j := open(t, "")
		good := aRun(true)
		good.Dest = "/srv/app"
		j.Begin(good, false)
		j.Finish(history.Good, 0, "", false)
		later := aRun(tc.result != history.Died)
		later.Dest = good.Dest
		j.Begin(later, false)
		j.Enter(tc.step)
		switch tc.result {
		case history.Failed:
			j.Finish(history.Failed, 1, "no", false)
		case history.Died:
			j.ClearDied(Hooks{})
		}
		found, ok := j.LastGood(good.Dest)
		if got := j.IsLast(found); !ok || found.ID != good.ID || got != tc.want {
			t.Errorf("%s in %q: last is %v, want %v", tc.result, tc.step, got, tc.want)
		}
		third, want := aRun(true), good.ID
		j.Begin(third, false)
		if !tc.want {
			want = later.ID
		}
		if got := Touched(j, good.Dest); got != want {
			t.Errorf("%s in %q: touched by %s, want %s", tc.result, tc.step, got, want)
		}
	}
}

// Without a state directory, or with one that is only looked at, all calls do
// nothing.
func TestNothingIsRemembered(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	log := runlog.New(runlog.Options{})
	for name, j := range map[string]*Journal{"new": New(log), "reading": Reading(dir, log)} {
		if taken := j.Begin(history.Run{ID: newID(), EventKey: "k"}, false).Taken; taken != "" {
			t.Errorf("%s: %q", name, taken)
		}
		j.Enter("pre")
		j.Add(history.Step{Point: "pre"})
		j.Leave("/nowhere")
		j.Started(1)
		j.Started(0)
		j.ClearDied(Hooks{})
		j.DropTree()
		if _, ok := j.LastGood("/"); ok || j.IsLast(history.Run{}) || !j.Skip(history.Run{}) || j.KeepTree("", "") != nil {
			t.Errorf("%s: it remembers something", name)
		}
		j.Prune(0, func(string) bool { return false })
		j.Finish(history.Good, 0, "", true)
		j.Close()
	}
	if exists(dir) {
		t.Error("the state directory was made")
	}
}

// An event is handled once, and one that the run could not try is not.
func TestBeginAndSkip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	first := open(t, dir)
	run := aRun(true)
	run.EventKey, run.Event = "consul:1", "consul deploy 1"
	if taken := first.Begin(run, false).Taken; taken != "" {
		t.Fatalf("the first: %q", taken)
	}
	again := run
	again.ID = newID()
	second := open(t, dir)
	if taken := second.Begin(again, false).Taken; taken == "" || second.Skip(again) {
		t.Errorf("while it runs: %q", taken)
	}
	first.Finish(history.Failed, 75, "held", false)
	again.ID = newID()
	if taken := second.Begin(again, false).Taken; taken != "" {
		t.Errorf("one that could not be tried: %q", taken)
	}
	second.Finish(history.Good, 0, "", true)
	again.ID = newID()
	if taken := first.Begin(again, false).Taken; taken == "" || first.Skip(again) {
		t.Errorf("one that was handled: %q", taken)
	}
	if taken := first.Begin(again, true).Taken; taken != "" {
		t.Errorf("forced: %q", taken)
	}
}

// TestDropped: only a run that ended, by itself, before its manifest was
// accepted makes way for an older event.
func TestDropped(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "state"))
	for _, tc := range []struct {
		result history.Result
		step   string
		exit   int
		want   bool
	}{
		{history.Refused, "manifest", 4, true}, {history.Failed, "manifest", 3, true}, {history.Failed, "manifest", 1, true},
		{history.Failed, "delay", 1, true}, {history.Failed, "manifest", 143, false}, {history.Failed, "delay", 130, false},
		{history.Refused, "lock", 4, false}, {history.Failed, "pre", 1, false}, {history.Refused, "fetch", 4, false},
		{history.Refused, "freshness", 4, true}, {history.Failed, "freshness", 1, false},
		{history.Good, "success", 0, false}, {history.Failed, "failure", 1, false}, {history.Failed, "new", 1, false},
	} {
		run := aRun(true)
		run.ID, run.EventKey, run.Step = newID(), "consul:"+newID(), tc.step
		j.Begin(run, false)
		if c := j.Begin(run, false); c.Taken == "" || c.Dropped || c.Heard || !j.IsTaken(run.EventKey) {
			t.Errorf("%+v: while it runs: %+v", tc, c)
		}
		j.Finish(tc.result, tc.exit, "", true)
		run.ID = newID()
		heard := tc.step != "delay" && tc.step != "manifest" && tc.step != "lock" && tc.step != "freshness"
		if c := j.Begin(run, false); c.Taken == "" || c.Dropped != tc.want || c.Heard != heard || !j.IsTaken(run.EventKey) {
			t.Errorf("%+v: %+v", tc, c)
		}
		if j.IsTaken(run.EventKey + ".") {
			t.Errorf("%+v: an event that nobody knows has been handled", tc)
		}
	}
}

// Paths are made from ids: those in the database are not believed.
func TestForeignPathsStay(t *testing.T) {
	j := open(t, "")
	victim := file(t, filepath.Join(t.TempDir(), "victim"))
	for _, id := range []string{newID(), newID(), "../../" + filepath.Base(filepath.Dir(victim)) + "/victim"} {
		old := aRun(true)
		old.ID, old.Dest, old.Log, old.Tree, old.Result = id, "/srv/app", victim, victim, history.Good
		old.Started = time.Now().Add(-time.Hour)
		j.try(func(ctx context.Context, db *history.Store) error { return db.Begin(ctx, old) })
		j.try(func(ctx context.Context, db *history.Store) error { return db.Finish(ctx, old, false) })
	}
	run := aRun(true)
	run.Dest = "/srv/app"
	j.Begin(run, false)
	must(t, j.KeepTree(file(t, j.Tree()), "fp"))
	j.Finish(history.Good, 0, "", false)
	j.Prune(time.Minute, func(string) bool { return false })
	if !exists(victim) {
		t.Error("a path of the database was removed")
	}
	if rows, err := j.db.List(t.Context(), history.Filter{}); err != nil || len(rows) != 1 {
		t.Errorf("%d rows are left, %v", len(rows), err)
	}
}

// Of each dest the newest record is kept, under the name of the newest good
// run; that of a run that failed goes.
func TestKeepTree(t *testing.T) {
	j := open(t, "")
	begin := func() history.Run {
		run := aRun(true)
		run.Dest = "/srv/app"
		j.Begin(run, false)
		return run
	}
	var good []string
	for i := range 3 {
		begin()
		recorded := j.Tree()
		if i == 2 { // nothing was to be done: the record is the one before's
			recorded = good[1]
		} else {
			file(t, recorded)
		}
		must(t, j.KeepTree(recorded, "fp"))
		j.Finish(history.Good, 0, "", false)
		good = append(good, j.Tree())
	}
	begin()
	failed := file(t, j.Tree())
	j.DropTree()
	if exists(good[0]) || exists(good[1]) || !exists(good[2]) || exists(failed) {
		t.Errorf("there are %v %v %v %v, want the third alone",
			exists(good[0]), exists(good[1]), exists(good[2]), exists(failed))
	}
	if last, ok := j.LastGood("/srv/app"); !ok || last.Fingerprint != "fp" || j.TreeOf(last.ID) != good[2] {
		t.Errorf("last good: %+v", last)
	}
}

// From before a command starts until it has ended there is always something
// noted by which the next run finds it.
func TestStarting(t *testing.T) {
	j := open(t, "")
	j.Begin(aRun(true), false)
	dir, id := j.dir, j.run.ID
	env := j.Starting([]string{"PATH=" + os.Getenv("PATH")})
	mark := env[len(env)-1]
	if commandMark+dir.Starting(id) != mark || len(dir.Groups(id)) != 0 {
		t.Errorf("before the start %q and groups %d are noted, want %q", dir.Starting(id), dir.Groups(id), mark)
	}
	_, err := process.Run(t.Context(), process.Command{Path: "true", Env: env, Started: func(pid int) {
		j.Started(pid)
		if dir.Starting(id) != "" || !slices.Equal(dir.Groups(id), []int{pid}) {
			t.Errorf("after the start %q and groups %d are noted, want %d", dir.Starting(id), dir.Groups(id), pid)
		}
	}})
	must(t, err)
	j.Started(0)
	if dir.Starting(id) != "" || dir.Groups(id) != nil {
		t.Errorf("at the end %q and groups %d are noted", dir.Starting(id), dir.Groups(id))
	}
	if again := j.Starting(nil); slices.Equal(again, []string{mark}) {
		t.Error("two commands have the same mark")
	}
}

// What is described and the steps of the process itself are written with what
// comes next, a command's at once: it may have changed something.
func TestWrittenTogether(t *testing.T) {
	j := open(t, "")
	j.Begin(aRun(true), false)
	id := j.run.ID
	steps := func() int {
		all, err := j.db.Steps(t.Context(), id)
		must(t, err)
		return len(all)
	}
	if log := row(t, j, id).Log; log != j.dir.Log(id) || !exists(log) {
		t.Errorf("the log is %q", log)
	}
	j.Describe(func(run *history.Run) { run.Dest = "/srv/app" })
	j.Add(history.Step{Point: "manifest", Dialect: DialectSelf})
	if n := steps(); n != 0 {
		t.Errorf("%d steps are written before anything else is", n)
	}
	j.Enter("pre")
	if r := row(t, j, id); r.Dest != "/srv/app" || r.Step != "pre" || steps() != 1 {
		t.Errorf("on entering the next step: %+v, %d steps", r, steps())
	}
	j.Add(history.Step{Point: "pre", Dialect: DialectCommand})
	if n := steps(); n != 2 {
		t.Errorf("after a command: %d steps", n)
	}
	j.Add(history.Step{Point: "pre", Dialect: DialectSelf})
	j.Leave("/tmp/" + runid.TempPrefix(id) + "0")
	if r := row(t, j, id); len(r.Staging) != 1 || steps() != 3 {
		t.Errorf("before a directory is made: %+v, %d steps", r, steps())
	}
	j.Add(history.Step{Point: "sync", Dialect: DialectSelf})
	j.Finish(history.Failed, 1, "sync: no", true)
	if n := steps(); n != 4 {
		t.Errorf("at the end: %d steps", n)
	}
}

// A run whose history is lost, at its start or later, notes what it may leave
// as a command does that has no row.
func TestLostHistory(t *testing.T) {
	for _, later := range []bool{false, true} {
		j := open(t, "")
		if !later {
			must(t, j.db.Close())
		}
		j.Begin(aRun(true), false)
		id := j.run.ID
		first, second := "/tmp/"+runid.TempPrefix(id)+"0", "/tmp/"+runid.TempPrefix(id)+"1"
		j.Leave(first)
		if later {
			must(t, j.db.Close())
		}
		j.Leave(second)
		owner, ok := j.dir.Owners()[id]
		if !ok || owner.PID != os.Getpid() || !slices.Equal(owner.Dirs, []string{first, second}) {
			t.Errorf("lost later: %v: noted %v, %+v", later, ok, owner)
		}
		j.Finish(history.Good, 0, "", true)
		if all := j.dir.Owners(); len(all) > 0 {
			t.Errorf("lost later: %v: noted still: %v", later, all)
		}
	}
}
