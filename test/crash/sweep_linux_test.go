package crash

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stretcher/internal/fetch/cache"
	"stretcher/internal/journal/serial"
	"stretcher/internal/testparts"
)

// TestCrashSweep stops runs at every point: before each system call that
// changes names, one run after the other. Each leaves dest whole, and the next
// run deploys and leaves nothing behind.
func TestCrashSweep(t *testing.T) {
	archives := crashArchives(t)
	for _, s := range []sweep{
		{strategy: strategyNative, first: true},
		{strategy: strategyNative},
		{strategy: strategyNative, back: true},
		{strategy: strategyReleases, first: true},
		{strategy: strategyReleases},
		{strategy: strategyReleases, back: true},
	} {
		for name, signal := range map[string]syscall.Signal{"KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM} {
			t.Run(s.String()+"/"+name, func(t *testing.T) {
				t.Parallel()
				s := s // each test's own
				s.signal = signal
				s.test(newWorld(t, crash{strategy: s.strategy, back: s.back, quiet: true}, archives))
			})
		}
	}
}

// sweep is one kind of run.
type sweep struct {
	strategy string
	first    bool // nothing is at dest
	back     bool // the runs are rollbacks
	signal   syscall.Signal
}

// String is a test's name.
func (s sweep) String() string {
	switch {
	case s.first:
		return s.strategy + "/first"
	case s.back:
		return s.strategy + "/rollback"
	}
	return s.strategy + "/changed"
}

// step is the distance of the calls before which runs are stopped. What a
// first deployment and a rollback do beside others, they do with few calls, and
// a run that is told to end mostly does the same. CI stops at all of these, a
// developer's machine at some.
func (s sweep) step() int {
	if os.Getenv("CI") != "true" {
		return 4*s.density() + 1 // other calls than those of a kind that comes each fourth time
	}
	return s.density()
}

// density is the step in CI.
func (s sweep) density() int {
	switch {
	case s.signal != syscall.SIGKILL:
		return 8
	case s.first:
		return 3
	case s.back && s.strategy == strategyNative:
		return 2
	}
	return 1
}

func (s sweep) test(w *world) {
	// Runs are many here, and what is killed tells of no race: the table is for that.
	w.bin = testparts.Shipped(w.t)
	stop := w.watch(s.first)
	defer stop()
	n, sent := 1, true
	for ; sent; n += s.step() {
		if s.first {
			w.removeAll("srv/app")
		} else if w.archive = "old"; w.describe() == oldTree {
			w.archive = "small"
		}
		if !s.back {
			w.extra = fmt.Sprintf("serial: %d\n", n)
		}
		w.writeManifest()
		if sent = s.stopped(w, n); w.t.Failed() {
			w.t.Fatalf("the run was stopped before call %d", n)
		}
	}
	if n < 10 {
		w.t.Errorf("the runs make only %d calls", n)
	}
}

// stopped stops a run before its nth call, and lets the next one finish.
func (s sweep) stopped(w *world, n int) bool {
	w.t.Helper()
	child := w.prepare("first", "", s.args(w)...)
	status, sent := (&tracer{n: n, signal: s.signal}).run(w.t, child.cmd)
	child.closeOut()
	switch {
	case sent && status == exitGood && s.signal != syscall.SIGKILL && w.describe() == trees[w.archive]: // it came too late
	case !sent && status != exitGood, sent && status != exitSignal+int(s.signal):
		w.t.Errorf("exit status %d of a run that got the signal: %v", status, sent)
	}
	s.checkWhole(w)
	if status == exitSignal+int(syscall.SIGKILL) {
		w.age()
	} else {
		w.checkClean()
	}
	if got := w.start("next", "", s.args(w)...).wait(); got != exitGood {
		w.t.Errorf("the next run: exit status %d, want 0", got)
	}
	if got, want := w.describe(), trees[w.archive]; got != want {
		w.t.Errorf("dest is %q after the next run, want %q", got, want)
	}
	if floor, err := serial.At(w.path("state")).Floor("app", nil); !s.back && (floor != int64(n) || err != nil) {
		w.t.Errorf("the highest serial is %d, %v, want %d", floor, err, n)
	}
	w.checkClean()
	w.checkState()
	w.checkLayout()
	return sent
}

// trees are what two archives make of dest.
var trees = map[string]string{"small": newTree, "old": oldTree}

// args ask for the archive that is served: its deployment, or a rollback to
// it.
func (s sweep) args(w *world) []string {
	if !s.back {
		return []string{w.manifestURL()}
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(w.archives[w.archive]))
	var newest cache.Entry
	found, _ := filepath.Glob(w.path("state/cache/[^.]*/meta.json"))
	for _, name := range found {
		var e cache.Entry
		data, err := os.ReadFile(name)
		if err == nil {
			err = json.Unmarshal(data, &e)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		if strings.HasSuffix(e.Checksum, sum) && e.Seq > newest.Seq {
			newest = e
		}
	}
	w.to = newest.Run
	return w.rollback()
}

// checkWhole checks dest after a run that was stopped.
func (s sweep) checkWhole(w *world) {
	w.t.Helper()
	got := w.describe()
	switch {
	case got == oldTree && !s.first, got == newTree, got == absent && s.first:
	case s.strategy == strategyNative && !s.first && isMixture(got, oldTree, newTree):
	default:
		w.t.Errorf("dest is %q", got)
	}
}

// watch looks at what is live all the time, until stop: with releases it is
// always a whole tree.
func (w *world) watch(first bool) (stop func()) {
	if w.strategy != strategyReleases || first {
		return func() {}
	}
	end := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for {
			select {
			case <-end:
				return
			case <-time.After(time.Millisecond):
			}
			live := w.live()
			got := strings.Replace(describeDest(live), " log=0", "", 1)
			if got != oldTree && got != newTree && w.live() == live { // or it has been pruned meanwhile
				w.t.Errorf("current is %q: %q", live, got)
				return
			}
		}
	})
	return func() { close(end); group.Wait() }
}
