package releases

import (
	"archive/tar"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/strategy"
	"stretcher/internal/strategy/strategytest"
)

// marked are releases 1, 2, ... as List returns them, newest first: good, bad,
// pending, left (good, rolled back from) or, for "-", without a mark.
func marked(states string) (all []Release) {
	for i, c := range states {
		r := Release{ID: id(i + 1), Seq: int64(i + 1)}
		switch c {
		case 'g':
			r.State = Good
		case 'l':
			r.State, r.RolledBack = Good, true
		case 'b':
			r.State = Bad
		case 'p':
			r.State = Pending
		case '-':
			r.State, r.Seq = Bad, 0
		}
		all = append(all, r)
	}
	slices.Reverse(all)
	return all
}

// name is the n-th id; none for 0.
func name(n int) string {
	if n == 0 {
		return ""
	}
	return id(n)
}

func TestLastGood(t *testing.T) {
	for _, tt := range []struct {
		name                 string
		states               string
		failed, before, want int
	}{
		{"the one before", "ggp", 3, 2, 2},
		{"the one before, not the newest", "gggp", 4, 1, 1},
		{"before was bad: the newest good one", "ggbp", 4, 3, 2},
		{"before was bad: none that was rolled back from", "gglbp", 5, 4, 2},
		{"before is gone: none that was rolled back from", "glp", 3, 7, 1},
		{"before was rolled back from, and was live all the same", "glp", 3, 2, 2},
		{"nothing was live", "ggp", 3, 0, 2},
		{"never the one that has failed, marked good as it is", "gg", 2, 1, 1},
		{"never the one that has failed, though it was live before", "gg", 2, 2, 1},
		{"never the one that has failed: there is no other", "g", 1, 1, 0},
		{"only rolled back from", "llp", 3, 0, 0},
		{"none is good", "bp-b", 4, 1, 0},
		{"the first", "p", 1, 0, 0},
		{"a rollback that fails: what was live", "gg", 1, 2, 2},
		{"a rollback that fails, what was live was bad", "ggb", 1, 3, 2},
	} {
		if got := lastGood(marked(tt.states), id(tt.failed), name(tt.before)); got != name(tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, name(tt.want))
		}
	}
}

func TestLeftBy(t *testing.T) {
	for _, tt := range []struct {
		states         string
		live           int
		left, rejoined string
	}{
		{"ggg", 2, "3", ""},
		{"ggg", 1, "3 2", ""},
		{"ggg", 3, "", ""},
		{"ggl", 1, "2", ""},
		{"ggl", 3, "", "3"},
		{"gll", 3, "", "3 2"},
		{"glll", 3, "", "3 2"},
		{"gbpg-", 1, "4", ""},
		{"gll", 2, "", "2"},
		{"", 1, "", ""},
	} {
		left, rejoined := leftBy(marked(tt.states), id(tt.live))
		if numbers(left) != tt.left || numbers(rejoined) != tt.rejoined {
			t.Errorf("%s, live is %d: left %q, rejoined %q", tt.states, tt.live, numbers(left), numbers(rejoined))
		}
	}
}

// runs is a host on which one deployment follows another.
type runs struct {
	t    *testing.T
	dest string
	work *disk.Dir // where the runs have their private directories
	log  strategytest.Log
}

func newRuns(t *testing.T) *runs {
	t.Helper()
	top := t.TempDir()
	work, err := disk.Open(top)
	must(t, err)
	t.Cleanup(func() { _ = work.Close() })
	return &runs{t: t, dest: filepath.Join(top, "dest"), work: work}
}

// Private makes a directory.
func (r *runs) Private(string, strategy.Where) (*disk.Dir, error) {
	name, err := os.MkdirTemp(r.work.Path(), "private")
	if err != nil {
		return nil, err
	}
	return r.work.Sub(filepath.Base(name))
}

// Above opens the place for one.
func (r *runs) Above(strategy.Where) (*disk.Dir, error) { return disk.Open(r.work.Path()) }

// Drop removes one.
func (r *runs) Drop(dir *disk.Dir) error { return os.RemoveAll(dir.Path()) }

// begin is the n-th run: it deploys, or goes back to a release, and has not
// been judged.
func (r *runs) begin(n int, change func(*strategy.Target)) *deployment {
	r.t.Helper()
	d := r.run(n, change)
	must(r.t, errors.Join(d.CheckLayout(), d.Check()))
	staged, err := d.Stage(r.t.Context(), archive.FileInput(r.archive(n), false))
	must(r.t, err)
	r.t.Cleanup(func() { _ = staged.Close() })
	must(r.t, d.Sync(r.t.Context(), &staged))
	return d
}

// run is the n-th run, which has done nothing yet.
func (r *runs) run(n int, change func(*strategy.Target)) *deployment {
	r.t.Helper()
	dest, err := disk.OpenDest(r.dest)
	must(r.t, err)
	r.t.Cleanup(func() { _ = dest.Close() })
	target := strategy.Target{
		Run: id(n), Dest: dest,
		Source:  strategy.Source{Checksum: fmt.Sprint("sha256:", n), Origin: func() string { return "test" }},
		Tools:   strategy.Tools{Log: &r.log, Place: r},
		Options: strategy.Options{Releases: strategy.ReleasesOptions{Keep: 5}},
	}
	if change != nil {
		change(&target)
	}
	return newDeployment(target)
}

// archive is an archive of one file, which holds n.
func (r *runs) archive(n int) *os.File {
	return r.archiveOf(0, func(string) string { return fmt.Sprint(n) }, "n")
}

// archiveOf is an archive of a user's files.
func (r *runs) archiveOf(uid int, text func(name string) string, names ...string) *os.File {
	r.t.Helper()
	f, err := os.CreateTemp(r.t.TempDir(), "archive")
	must(r.t, err)
	r.t.Cleanup(func() { _ = f.Close() })
	w := tar.NewWriter(f)
	dirs := map[string]bool{".": uid == 0} // the tree's root is of the user, too
	for _, name := range names {
		for dir := filepath.Dir(name); !dirs[dir]; dir = filepath.Dir(dir) {
			dirs[dir] = true
			must(r.t, w.WriteHeader(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755, Uid: uid, Gid: uid}))
		}
		content := text(name)
		h := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Uid: uid, Gid: uid, Size: int64(len(content))}
		must(r.t, w.WriteHeader(h))
		_, err := w.Write([]byte(content))
		must(r.t, err)
	}
	must(r.t, w.Close())
	return f
}

// deploy is the n-th run, which goes well.
func (r *runs) deploy(n int) {
	r.t.Helper()
	must(r.t, r.begin(n, nil).Accept(r.t.Context()))
}

// back is the n-th run, which goes back to release to.
func (r *runs) back(n, to int) *deployment {
	r.t.Helper()
	return r.begin(n, func(t *strategy.Target) { t.Releases.Back = id(to) })
}

// live is the number of the release that is live.
func (r *runs) live() string { return get(r.t, filepath.Join(r.dest, "current/n")) }

func (r *runs) fails(d *deployment, want int) {
	r.t.Helper()
	to, err := d.Revert(r.t.Context(), "it failed")
	if to != name(want) || (err == nil) != (want > 0) {
		r.t.Errorf("reverted to %q, %v, want %q", to, err, name(want))
	}
}

// TestRevertAfterRollback: v1, v2, v3, a rollback to v2, and v4, which fails:
// v3 has been rolled back from, and is not gone back to.
func TestRevertAfterRollback(t *testing.T) {
	r := newRuns(t)
	for n := 1; n <= 3; n++ {
		r.deploy(n)
	}
	must(t, r.back(4, 2).Accept(t.Context()))
	if got := r.live(); got != "2" {
		t.Fatalf("after the rollback %s is live", got)
	}
	r.fails(r.begin(5, nil), 2)
	if got := r.live(); got != "2" {
		t.Errorf("%s is live", got)
	}
	// Neither when nothing tells what was live before.
	must(t, os.Remove(filepath.Join(r.dest, currentName)))
	r.fails(r.begin(6, nil), 2)
	list, err := r.begin(7, nil).dir.List()
	must(t, err)
	if third := list[len(list)-3]; third.ID != id(3) || !third.RolledBack {
		t.Errorf("releases: %+v", list)
	}
}

// TestFailedRollback: a rollback that fails goes back to what was live, and
// never to the release that it has gone back to itself.
func TestFailedRollback(t *testing.T) {
	r := newRuns(t)
	for n := 1; n <= 3; n++ {
		r.deploy(n)
	}
	d := r.back(4, 1)
	r.fails(d, 3)
	if list, err := d.dir.List(); err != nil || !slices.EqualFunc(list, marked("ggg"), alike) {
		t.Errorf("releases: %+v, %v", list, err)
	}
	must(t, os.Remove(filepath.Join(r.dest, currentName)))
	r.fails(r.back(5, 3), 2)
	if got := r.live(); got != "2" {
		t.Errorf("%s is live", got)
	}
}

func alike(a, b Release) bool {
	return a.ID == b.ID && a.State == b.State && a.RolledBack == b.RolledBack
}

// TestRevertOfTheOnlyOne: with nothing else that is good, what has failed
// stays live.
func TestRevertOfTheOnlyOne(t *testing.T) {
	r := newRuns(t)
	r.deploy(1)
	d := r.back(2, 1)
	r.fails(d, 0)
	_, err := d.Revert(t.Context(), "it failed")
	want := "release " + id(1) + " stays live: there is no good one to go back to"
	if err == nil || err.Error() != want {
		t.Errorf("err = %v, want %s", err, want)
	}
}

// TestNothingToRevert: a run that has made no release and has switched to none
// changes nothing.
func TestNothingToRevert(t *testing.T) {
	r := newRuns(t)
	r.deploy(1)
	r.deploy(2)
	d := r.run(3, func(t *strategy.Target) { t.Releases.Keep = 1 })
	must(t, d.CheckLayout())
	if to, err := d.Revert(t.Context(), "it failed"); to != "" || err != nil {
		t.Errorf("reverted to %q, %v", to, err)
	}
	if gone, err := d.Prune(t.Context()); len(gone) > 0 || err != nil {
		t.Errorf("gone: %v, %v", gone, err)
	}
	if got := r.live(); got != "2" || len(r.log.Lines) == 0 {
		t.Errorf("%s is live", got)
	}
}

// TestFailedSwitch: a rollback that can't switch removes nothing, however few
// releases the old manifest keeps.
func TestFailedSwitch(t *testing.T) {
	r := newRuns(t)
	for n := 1; n <= 4; n++ {
		r.deploy(n)
	}
	must(t, os.MkdirAll(filepath.Join(r.dest, newCurrent+id(1), "x"), 0o755))
	d := r.run(5, func(t *strategy.Target) { t.Releases.Back, t.Releases.Keep = id(1), 1 })
	must(t, d.CheckLayout())
	staged, err := d.Stage(t.Context(), nil)
	must(t, err)
	defer staged.Close()
	if err := d.Sync(t.Context(), &staged); err == nil {
		t.Fatal("it has switched")
	}
	if to, err := d.Revert(t.Context(), "it failed"); to != "" || err != nil {
		t.Errorf("reverted to %q, %v", to, err)
	}
	if gone, err := d.Prune(t.Context()); len(gone) > 0 || err != nil {
		t.Errorf("gone: %v, %v", gone, err)
	}
	if list, err := d.dir.List(); err != nil || !slices.EqualFunc(list, marked("gggg"), alike) {
		t.Errorf("releases: %+v, %v", list, err)
	}
	if got := r.live(); got != "4" {
		t.Errorf("%s is live", got)
	}
}

// TestPruneAfterRevert: of what has failed the newest stays.
func TestPruneAfterRevert(t *testing.T) {
	r := newRuns(t)
	r.deploy(1)
	r.fails(r.begin(2, nil), 1)
	d := r.begin(3, nil)
	r.fails(d, 1)
	if gone, err := d.Prune(t.Context()); err != nil || numbers(gone) != "2" {
		t.Errorf("gone: %v, %v", gone, err)
	}
}

// TestUnmarked: what is live and can't be marked is told, and stays live.
func TestUnmarked(t *testing.T) {
	r := newRuns(t)
	r.deploy(1)
	d := r.begin(2, nil)
	mark := d.dir.markPath(id(2))
	must(t, errors.Join(os.Remove(mark), os.MkdirAll(mark+"/x", 0o755)))
	if err := d.Accept(t.Context()); err == nil || !strings.Contains(err.Error(), id(2)) {
		t.Errorf("err = %v", err)
	}
	if got := r.live(); got != "2" {
		t.Errorf("%s is live", got)
	}
}

func TestDeployments(t *testing.T) {
	d := layout(t)
	addAll(t, d, "gglb-")
	must(t, d.Switch(id(2)))
	found, err := deployments(d.at)
	must(t, err)
	var all []string
	for _, one := range found.All {
		all = append(all, fmt.Sprint(numbers([]string{one.Run}), " ", one.Good, " ", one.State))
	}
	want := []string{
		"4 false bad", "3 true good: rolled back by run " + id(99), "2 true good", "1 true good",
		"5 false bad: it has no mark",
	}
	if !slices.Equal(all, want) || found.Live != id(2) || found.Previous != id(1) || !found.Sure {
		t.Errorf("%q, live %q, previous %q, sure %v", all, found.Live, found.Previous, found.Sure)
	}
}

// TestDeploymentsOfAnApplication: without a mark, a directory of that name is
// an application's own.
func TestDeploymentsOfAnApplication(t *testing.T) {
	d := layout(t)
	addAll(t, d, "--")
	if found, err := deployments(d.at); err != nil || found.Sure || len(found.All) != 2 {
		t.Errorf("%+v, %v", found, err)
	}
	empty := layout(t)
	if found, err := deployments(empty.at); err != nil || found.Sure || len(found.All) != 0 || len(found.Names) != 3 {
		t.Errorf("%+v, %v", found, err)
	}
}

// TestHolds: what counts is the release that is live, if it is good and of the
// archive.
func TestHolds(t *testing.T) {
	r := newRuns(t)
	r.deploy(1)
	r.deploy(2)
	holds := func(n int) bool {
		dest, err := disk.OpenDest(r.dest)
		must(t, err)
		defer dest.Close()
		d := newDeployment(strategy.Target{Run: id(9), Dest: dest,
			Source: strategy.Source{Checksum: fmt.Sprint("sha256:", n)}})
		must(t, d.CheckLayout())
		return d.Holds()
	}
	if !holds(2) || holds(1) || holds(3) {
		t.Errorf("release 2 is live, and it holds 1: %v, 2: %v, 3: %v", holds(1), holds(2), holds(3))
	}
	d := r.begin(3, func(t *strategy.Target) { t.Releases.Stay = true })
	if _, err := d.Revert(t.Context(), "it failed"); err != nil || holds(3) {
		t.Errorf("a release that has failed is taken for deployed, err = %v", err)
	}
	none := newDeployment(strategy.Target{Run: id(9), Dest: &disk.Dest{Given: r.dest}, NoDest: errors.New("no dest")})
	must(t, none.CheckLayout())
	if live := none.Live(); none.Holds() || none.Check() == nil || live != filepath.Join(r.dest, "current") {
		t.Errorf("without a dest, %q is live", live)
	}
}
