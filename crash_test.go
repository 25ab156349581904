package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"stretcher/internal/history"
)

// TestCrash is the crash table: every step of the process meets everything
// that can stop it there, once with each sync strategy. crashes lists the
// cases and says which pairs there are not.
//
// A case is one deployment that is handed over as a Consul event and goes
// wrong, and what comes after: the same event once more, and the next run.
func TestCrash(t *testing.T) {
	needs(t, "rsync")
	archives := crashArchives(t)
	for _, c := range crashes() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(newWorld(t, c.strategy, archives))
		})
	}
}

// crash is one case.
type crash struct {
	name     string // STEP/WHAT[/HOW]/STRATEGY
	strategy string
	args     []string     // flags
	set      func(*world) // puts the fault in place
	stop     stop
	mend     func(*world) // what mending takes beside the removal of faults
	want     want
}

// stop is a signal and when it is sent. The zero stop sends none: the run
// ends by itself.
type stop struct {
	at     func(*world) bool // the run is where it shall be stopped
	signal syscall.Signal
	frozen bool // it passes by there: it is halted until the signal is sent
	again  bool // the signal is sent until the run ends
}

// want is what is left of the run that went wrong.
type want struct {
	exit   int
	order  string         // the commands that ran
	tree   string         // dest, as describeDest has it
	result history.Result // "" = nothing is known of the run
	step   string
	says   string // is part of stderr
}

// died tells whether the run ended without a result.
func (w want) died() bool { return w.result == history.Died }

// again tells whether the same event runs once more.
func (w want) again() bool { return w.died() || w.exit == exitBusy || w.result == "" }

func (c crash) test(w *world) {
	if c.set != nil {
		c.set(w)
	}
	w.writeManifest()
	child := w.start("first", w.event(), c.args...)
	c.interrupt(w, child)
	if got := child.wait(); got != c.want.exit {
		w.t.Fatalf("exit status %d, want %d", got, c.want.exit)
	}
	if text := child.stderr(); !strings.Contains(text, c.want.says) {
		w.t.Errorf("stderr does not say %q", c.want.says)
	}
	w.checkOrder(c.want.order)
	w.checkTree(c.want.tree)
	first := w.checkRow(c.want)

	w.mend()
	if c.mend != nil {
		c.mend(w)
	}
	w.writeManifest()
	if !c.want.died() {
		w.checkClean() // what was killed can't clean up
	}
	c.replay(w, first)
}

// interrupt sends the signal when the run is where it shall be stopped.
func (c crash) interrupt(w *world, child *child) {
	if c.stop.at == nil {
		return
	}
	if !child.await(func() bool { return c.stop.at(w) }) {
		w.t.Fatalf("the run did not come to where it shall be stopped")
	}
	if c.stop.frozen {
		child.signal(syscall.SIGSTOP)
		w.checkUnfinished()
	}
	child.signal(c.stop.signal)
	if c.stop.frozen {
		child.signal(syscall.SIGCONT)
	}
	w.write("signalled", "")
	for c.stop.again && !child.ended() {
		child.signal(c.stop.signal)
	}
}

// replay hands the event over again. If it has been handled, nothing happens,
// and the next run is somebody's who names the manifest.
func (c crash) replay(w *world, first row) {
	w.forgetOrder()
	before := describeDest(w.path("srv/app"))
	child := w.start("replay", w.event())
	got := child.wait()
	if !c.want.again() {
		if said := "has been handled by run " + first.ID; got != exitGood || !strings.Contains(child.stderr(), said) {
			w.t.Errorf("the same event again: exit status %d, want 0 and %q", got, said)
		}
		w.checkOrder("")
		w.checkTree(before)
		child = w.start("next", "", w.manifestURL())
		got = child.wait()
	}
	if got != exitGood {
		w.t.Fatalf("the next run: exit status %d, want 0", got)
	}
	c.checkNext(w, child, first)
}

// checkNext checks what the next run, which went well, has left.
func (c crash) checkNext(w *world, next *child, first row) {
	w.checkOrder("pre pre2 post post2 verify verify2 success success2")
	w.checkTree(w.newTree())
	report := "run " + first.ID + " died in step \"" + c.want.step + "\""
	if says := strings.Contains(next.stderr(), report); says != c.want.died() {
		w.t.Errorf("the next run reports %q: %v, want %v", report, says, c.want.died())
	}
	if !c.want.died() && strings.Contains(next.stderr(), " died in step ") {
		w.t.Errorf("the next run reports a death that was none")
	}
	w.checkClean()
	w.checkLocks()
	rows := w.rows()
	if len(rows) == 0 || rows[0].Result != history.Good || *rows[0].Exit != exitGood {
		w.t.Fatalf("the newest run in the history is not good: %v", rows)
	}
	if first.ID != "" && !slices.ContainsFunc(rows, first.same) {
		w.t.Errorf("the history has forgotten or changed %v: %v", first, rows)
	}
}

// row is a run as stretcher history --json tells of it.
type row struct {
	ID, URL string
	Result  history.Result
	Step    string
	Exit    *int
}

func (r row) same(s row) bool { return r.ID == s.ID && r.Result == s.Result && r.Step == s.Step }

// String is for messages of tests.
func (r row) String() string {
	b, _ := json.Marshal(r)
	return string(b)
}

// rows are the runs of the case's manifest, newest first.
func (w *world) rows() []row {
	w.t.Helper()
	child := w.start("history", "", "history", "--json")
	if got := child.wait(); got != exitGood {
		w.t.Fatalf("stretcher history: exit status %d", got)
	}
	var rows []row
	for line := range strings.Lines(w.read("history.out")) {
		var r row
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			w.t.Fatalf("history: %v in %q", err, line)
		}
		if r.URL == w.manifestURL() {
			rows = append(rows, r)
		}
	}
	return rows
}

// checkRow checks the history of the run that went wrong.
func (w *world) checkRow(want want) row {
	w.t.Helper()
	if want.result == "" {
		return row{}
	}
	rows := w.rows()
	if len(rows) != 1 {
		w.t.Fatalf("the history has %d runs, want 1: %v", len(rows), rows)
	}
	r := rows[0]
	if r.Result != want.result || r.Step != want.step {
		w.t.Errorf("history: %v, want result %q in step %q", r, want.result, want.step)
	}
	if want.died() != (r.Exit == nil) || r.Exit != nil && *r.Exit != want.exit {
		w.t.Errorf("history: %v, want exit %d, and none of a run that died", r, want.exit)
	}
	return r
}

func (w *world) checkOrder(want string) {
	w.t.Helper()
	if got := strings.Join(strings.Fields(w.read("order")), " "); got != want {
		w.t.Errorf("commands ran: %q, want %q", got, want)
	}
}

func (w *world) forgetOrder() {
	if err := os.Remove(w.path("order")); err != nil && !errors.Is(err, os.ErrNotExist) {
		w.t.Fatal(err)
	}
}

// checkTree compares dest with what describeDest has of it, or with mixture.
func (w *world) checkTree(want string) {
	w.t.Helper()
	got := describeDest(w.path("srv/app"))
	if want == mixture {
		if !isMixture(got, oldTree, w.newTree()) {
			w.t.Errorf("dest is %q, want of each file the old or the new one", got)
		}
		return
	}
	if got != want {
		w.t.Errorf("dest is %q, want %q", got, want)
	}
}

// isMixture tells whether each entry of got is one of the trees', and each
// that both trees have is there.
func isMixture(got string, trees ...string) bool {
	all := strings.Fields(strings.Join(trees, " "))
	names := map[string]int{}
	for _, e := range all {
		names[entryName(e)]++
	}
	for _, e := range strings.Fields(got) {
		if !slices.Contains(all, e) {
			return false
		}
		delete(names, entryName(e))
	}
	for _, n := range names {
		if n == len(trees) {
			return false
		}
	}
	return true
}

func entryName(entry string) string {
	name, _, _ := strings.Cut(entry, "=")
	return name
}

// checkClean fails when files or processes of a run are left.
func (w *world) checkClean() {
	w.t.Helper()
	err := filepath.WalkDir(w.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && (strings.HasPrefix(d.Name(), ".stretcher-") || strings.HasPrefix(d.Name(), ".probe-")) {
			w.t.Errorf("left behind: %q", path)
		}
		return err
	})
	if err != nil {
		w.t.Error(err)
	}
	var left []string
	if !eventually(func() bool { left = processesOf(w.dir); return len(left) == 0 }) {
		w.t.Errorf("processes left behind: %q", left)
	}
}

// checkLocks fails when a lock or the note of a process group is left.
func (w *world) checkLocks() {
	w.t.Helper()
	for _, pattern := range []string{"state/locks/*", "state/running/*", "tmp/stretcher-locks-*/*"} {
		if left, _ := filepath.Glob(w.path(pattern)); len(left) > 0 {
			w.t.Errorf("left behind: %q", left)
		}
	}
}

// checkUnfinished makes sure that a run halted while it extracts has more to
// extract.
func (w *world) checkUnfinished() {
	w.t.Helper()
	found, _ := filepath.Glob(w.staged("many/*"))
	if len(found) >= manyFiles {
		w.t.Fatalf("all %d files were extracted before the run was halted: the archive is too small", len(found))
	}
}
