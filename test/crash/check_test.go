package crash

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"stretcher/internal/event"
	"stretcher/internal/journal/history"
	"stretcher/internal/strategy/releases"
	"stretcher/internal/testparts"
)

// row is a run as stretcher history --json tells of it.
type row struct {
	ID, URL, Event string
	Result         history.Result
	Step           string
	Exit           *int
}

func (r row) same(s row) bool { return r.ID == s.ID && r.Result == s.Result && r.Step == s.Step }

// String is for messages of tests.
func (r row) String() string {
	b, _ := json.Marshal(r)
	return string(b)
}

// rows are the runs of the case's manifest, or the rollbacks, newest first.
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
		if w.back && r.Event == event.Rollback || !w.back && r.URL == w.manifestURL() {
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
	got := w.describe()
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

// leftover matches the names that the program gives for a while: of a run, of
// what a release becomes, of what the cache moves.
var leftover = regexp.MustCompile(`^\.(stretcher|new|probe|current|mark|prune|shared)-|^\.[0-9a-f-]{36}\.[0-9]+$`)

// checkClean fails when files or processes of a run are left.
func (w *world) checkClean() {
	w.t.Helper()
	err := filepath.WalkDir(w.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && leftover.MatchString(d.Name()) {
			w.t.Errorf("left behind: %q", path)
		}
		return err
	})
	if err != nil {
		w.t.Error(err)
	}
	var left []string
	if !testparts.Eventually(func() bool { left = testparts.ProcessesOf(w.dir); return len(left) == 0 }) {
		w.t.Errorf("processes left behind: %q", left)
	}
}

// checkState fails when a lock, the note of a process group or half a record is
// left.
func (w *world) checkState() {
	w.t.Helper()
	for _, pattern := range []string{
		"state/locks/*", "state/running/*", "state/trees/*.new", "state/serials/.*", "tmp/stretcher-locks-*/*",
	} {
		if left, _ := filepath.Glob(w.path(pattern)); len(left) > 0 {
			w.t.Errorf("left behind: %q", left)
		}
	}
}

// age lets the time pass after which what is of nobody counts as left behind.
func (w *world) age() {
	w.t.Helper()
	left, _ := filepath.Glob(w.path("state/cache/.*"))
	notes, _ := filepath.Glob(w.path("state/running/*.owner")) // one may have been killed over its first line
	archives, _ := filepath.Glob(w.path("state/archives/.*"))
	left = append(append(left, notes...), archives...)
	long := time.Now().Add(-time.Hour)
	for _, name := range left {
		if err := os.Chtimes(name, long, long); err != nil {
			w.t.Fatal(err)
		}
	}
}

// layout is the dest of releases; the caller closes it.
func (w *world) layout() *releases.Dir {
	w.t.Helper()
	d, err := releases.Open(w.path("srv/app"), releases.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// checkRelease checks how a run that went wrong has marked its release. A
// rollback has none of its own.
func (w *world) checkRelease(r row, want want) {
	w.t.Helper()
	if w.strategy != strategyReleases || w.back || want.result == "" {
		return
	}
	d, err := releases.Open(w.path("srv/app"), releases.Options{})
	if err != nil {
		return // dest was made unreachable
	}
	defer d.Close()
	all, err := d.List()
	if err != nil {
		return // dest was made unreadable
	}
	i := slices.IndexFunc(all, func(rel releases.Release) bool { return rel.ID == r.ID })
	state := releases.State("")
	if i >= 0 {
		state = all[i].State
	}
	if want := want.state(); state != want {
		w.t.Errorf("the release is marked %q, want %q", state, want)
	}
}

// state is how the run's release is marked; "" = there is none.
func (w want) state() releases.State {
	switch {
	case w.unmarked:
		return releases.Pending
	case w.exit == exitGood, w.result == history.Good, slices.Contains([]string{"pre_prune", "prune", "success"}, w.step):
		return releases.Good
	case w.step == "post" || w.step == "verify" || w.step == "release":
		if w.died() || w.step == "release" {
			return releases.Pending
		}
		return releases.Bad
	case w.step == "failure" || w.step == "rollback": // died there
		return releases.Bad
	default:
		return ""
	}
}

// checkLayout checks the releases that a good run has left: current is good,
// each has its mark, and nothing is there that should have been pruned.
func (w *world) checkLayout() {
	w.t.Helper()
	if w.strategy != strategyReleases {
		return
	}
	d := w.layout()
	defer d.Close()
	current, _, err := d.Current()
	if err != nil {
		w.t.Fatal(err)
	}
	all, err := d.List()
	if err != nil {
		w.t.Fatal(err)
	}
	states := map[string]releases.State{}
	for _, rel := range all {
		states[rel.ID] = rel.State
		if rel.State != releases.Good {
			w.t.Errorf("left behind: release %s, marked %q", rel.ID, rel.State)
		}
	}
	if states[current] != releases.Good {
		w.t.Errorf("current is %s, marked %q", current, states[current])
	}
	if len(all) > keptReleases {
		w.t.Errorf("%d releases are left, want %d", len(all), keptReleases)
	}
	marks, _ := filepath.Glob(d.Path("*.json"))
	if len(marks) != len(all) {
		w.t.Errorf("%d marks of %d releases", len(marks), len(all))
	}
	if link, err := os.Readlink(filepath.Join(w.live(), "log")); link != "../../shared/log" {
		w.t.Errorf("log leads to %q: %v", link, err)
	} else if info, err := os.Stat(filepath.Join(w.live(), "log")); err != nil || !info.IsDir() {
		w.t.Errorf("log is not the shared directory: %v", err)
	}
}
