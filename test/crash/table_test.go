package crash

import (
	"slices"
	"strings"
	"syscall"
	"testing"

	"stretcher/internal/journal/history"
	"stretcher/internal/testparts"
)

// TestCrash is the crash table: every step of the process meets everything
// that can stop it there, once with each sync strategy, and so does a
// rollback. crashes lists the cases and says which pairs there are not.
//
// A case is one deployment that is handed over as a Consul event and goes
// wrong, and what comes after: the same event once more, and the next run.
func TestCrash(t *testing.T) {
	testparts.Need(t, "rsync")
	archives := crashArchives(t)
	for _, c := range crashes() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(newWorld(t, c, archives))
		})
	}
}

// crash is one case.
type crash struct {
	name     string // STEP/WHAT[/HOW]/STRATEGY[/rollback]
	strategy string
	back     bool         // the run is a rollback
	quiet    bool         // no commands run
	hangs    string       // the command that has a timeout, also in earlier runs; "" = none
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
	again  bool // the signal is sent until the run ends
	// The run passes by there: it is halted until the signal is sent, and this
	// tells that there it had more to do. nil = it stays there.
	passing func(*world) bool
}

// want is what is left of the run that went wrong.
type want struct {
	exit   int
	order  string         // the commands that ran
	tree   string         // dest, as describeDest has it
	result history.Result // "" = nothing is known of the run
	step   string
	says   string // is part of stderr
	back   bool   // it switches back when it ends by itself

	unmarked bool // its release, good as it is, could not be marked
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
	child := w.begin("first", c.args...)
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
	w.checkRelease(first, c.want)

	w.mend()
	if c.mend != nil {
		c.mend(w)
	}
	w.writeManifest()
	if c.want.died() {
		w.age()
	} else {
		w.checkClean() // what was killed can't clean up
	}
	if w.back {
		c.repeat(w, first)
	} else {
		c.replay(w, first)
	}
}

// interrupt sends the signal when the run is where it shall be stopped.
func (c crash) interrupt(w *world, child *child) {
	if c.stop.at == nil {
		return
	}
	if !child.await(func() bool { return c.stop.at(w) }) {
		w.t.Fatalf("the run did not come to where it shall be stopped")
	}
	if c.stop.passing != nil {
		child.signal(syscall.SIGSTOP)
		if !c.stop.passing(w) {
			w.t.Fatalf("all was done before the run was halted: there is too little to do")
		}
	}
	child.signal(c.stop.signal)
	if c.stop.passing != nil {
		child.signal(syscall.SIGCONT)
	}
	w.write("signalled", "")
	if c.stop.again { // one that comes before the failure commands would take their time from them
		child.await(func() bool { return strings.Contains(w.read("order"), "failure") })
	}
	for c.stop.again && !child.ended() {
		child.signal(c.stop.signal)
	}
}

// replay hands the event over again. If it has been handled, nothing happens,
// and the next run is somebody's who names the manifest.
func (c crash) replay(w *world, first row) {
	w.forgetOrder()
	before := w.describe()
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

// repeat asks for the rollback once more.
func (c crash) repeat(w *world, first row) {
	w.forgetOrder()
	child := w.begin("next")
	if got := child.wait(); got != exitGood {
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
	w.checkState()
	w.checkLayout()
	rows := w.rows()
	if len(rows) == 0 || rows[0].Result != history.Good || *rows[0].Exit != exitGood {
		w.t.Fatalf("the newest run in the history is not good: %v", rows)
	}
	if first.ID != "" && !slices.ContainsFunc(rows, first.same) {
		w.t.Errorf("the history has forgotten or changed %v: %v", first, rows)
	}
}
