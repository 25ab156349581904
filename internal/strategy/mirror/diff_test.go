package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"stretcher/internal/archive"
	"stretcher/internal/strategy/filter"
	"stretcher/internal/testparts"
)

// atOnce is how many comparisons run at a time.
const atOnce = 3

// TestAgainstRsync makes random directories equal to random trees with the
// installed rsync and with this package, and compares what comes of it.
// STRETCHER_DIFF_ROUNDS is how often, STRETCHER_DIFF_SEED changes the trees.
func TestAgainstRsync(t *testing.T) {
	rsync := testparts.Need(t, "rsync")
	seed, rounds := envInt(t, "STRETCHER_DIFF_SEED", 1), envInt(t, "STRETCHER_DIFF_ROUNDS", 200)
	var c counts
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := range rounds {
		if t.Failed() {
			break
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			tr := newTrial(t, seed, i)
			tr.run(rsync, &c)
		})
	}
	wg.Wait()
	t.Logf("%d comparisons: %d from archives, %d by content, %d with excludes, %d refused; %d paths, %d changes",
		rounds, c.archives.Load(), c.checksums.Load(), c.excludes.Load(), c.refused.Load(), c.paths.Load(), c.changes.Load())
	if c.changes.Load() < c.paths.Load()/10 || c.changes.Load() > c.paths.Load()*9/10 {
		t.Error("too few or too many of the paths differ: the trees test little")
	}
}

type counts struct{ archives, checksums, excludes, refused, paths, changes atomic.Int64 }

func envInt(t *testing.T, name string, def int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return def
	}
	n, err := strconv.Atoi(s)
	check(t, err)
	return n
}

// how files are compared.
type how string

const (
	quick      how = "quick"       // by size and time, as rsync does: what preview does for it
	checksum   how = "checksum"    // by content, whatever the times are
	content    how = "content"     // by time and content: the same as checksum, but for parts of seconds
	equalTimes how = "equal times" // likewise, and all files have one time
)

// trial is one comparison.
type trial struct {
	t        *scope
	name     string
	src      []node
	dest     []node // nil: it is missing
	patterns []string
	how      how
	archive  bool // ours reads an archive, not a directory
	top      string
	surroundings
}

func newTrial(t *testing.T, seed, round int) *trial {
	rnd := rand.New(rand.NewPCG(uint64(seed), uint64(round)))
	tr := &trial{t: &scope{TB: t}, name: fmt.Sprintf("seed %d, round %d", seed, round), src: randomSource(rnd)}
	if rnd.IntN(20) > 0 {
		tr.dest = mutated(rnd, tr.src)
	}
	trees := [][]node{tr.src}
	if tr.dest != nil {
		trees = append(trees, tr.dest)
	}
	tr.patterns = randomPatterns(rnd, trees...)
	tr.how = pick(rnd, quick, checksum, content, equalTimes)
	tr.archive = rnd.IntN(2) == 0 && os.Getuid() == 0 // for others Scan applies the umask
	if tr.archive && tr.how == quick {
		tr.honest()
	}
	if tr.how == equalTimes {
		tr.one()
	}
	tr.surround(rnd)
	return tr
}

// one gives all files one time.
func (tr *trial) one() {
	for _, tree := range [][]node{tr.src, tr.dest} {
		for i := range tree {
			tree[i].mtime = 499162500e9
		}
	}
}

// honest takes out of dest what deceives the quick check where a hard link is
// copied from it: what is not known to have the content is not copied from.
func (tr *trial) honest() {
	for _, link := range tr.src {
		for i := range tr.dest {
			if n := &tr.dest[i]; link.hard != "" && n.path == link.hard && n.mode.IsRegular() && n.data != link.data {
				n.mtime = link.mtime + 3e9
			}
		}
	}
}

// run compares. A and B are equal; rsync works in A, we in B.
func (tr *trial) run(rsync string, c *counts) {
	top, err := os.MkdirTemp("", "mirror")
	check(tr.t, err)
	defer removeAll(top)
	defer tr.t.close()
	tr.top = top
	if tr.dest != nil {
		plant(tr.t, tr.path("A"), tr.dest)
		plant(tr.t, tr.path("B"), tr.dest)
	}
	tr.begin()
	plant(tr.t, tr.path("src"), tr.src)
	rerr := tr.rsync(rsync)
	before := snapshot(tr.t, tr.path("B"))
	plan, err := tr.ours()
	tr.count(c, before, plan, err)
	if err != nil || rerr != nil {
		tr.refused(rerr, err, before)
		return
	}
	after := snapshot(tr.t, tr.path("B"))
	want := snapshot(tr.t, tr.path("A"))
	files := tr.how == content
	for _, p := range differences(wholeSeconds(want, files), wholeSeconds(after, files), true) {
		tr.fail("%q:\nbefore %v\nrsync  %v\nours   %v", p, before[p], want[p], after[p])
	}
	tr.changes(plan, before, after)
}

func (tr *trial) path(name string) string { return filepath.Join(tr.top, name) }

// wholeSeconds leaves out the parts of seconds of the times of directories,
// which get their own where a file in them is written anew, and perhaps files.
func wholeSeconds(tree map[string]seen, files bool) map[string]seen {
	whole := map[string]seen{}
	for p, s := range tree {
		if ns, err := strconv.ParseInt(s.mtime, 10, 64); err == nil && (s.dir || files) {
			s.mtime = strconv.FormatInt(floorSecond(ns), 10)
		}
		whole[p] = s
	}
	return whole
}

func (tr *trial) fail(format string, args ...any) {
	tr.t.Errorf("%s, patterns %q, %s, archive %v: %s", tr.name, tr.patterns, tr.how, tr.archive,
		fmt.Sprintf(format, args...))
}

func (tr *trial) rsync(rsync string) error {
	args := []string{"-a", "--delete"}
	if tr.how != quick {
		args = append(args, "--checksum")
	}
	for _, p := range tr.patterns {
		args = append(args, "--exclude", p)
	}
	cmd := exec.Command(rsync, append(args, tr.path("src")+"/", tr.path("A")+"/")...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// refused tells that both must refuse, rsync when it has done the rest.
func (tr *trial) refused(rsync, ours error, before map[string]seen) {
	var exit *exec.ExitError
	if !errors.As(rsync, &exit) || exit.ExitCode() != 23 || ours == nil ||
		!strings.Contains(ours.Error(), "must replace a directory") {
		tr.fail("rsync %v, ours %v", rsync, ours)
	}
	if d := differences(before, snapshot(tr.t, tr.path("B")), true); len(d) > 0 {
		tr.fail("refused, but changed %q", d)
	}
}

func (tr *trial) options() Options {
	opts := Options{Checksum: tr.how == checksum, Quick: tr.how == quick}
	opts.Excludes = excludes(tr.t, tr.patterns...)
	opts.Owners, opts.Groups = os.Getuid() == 0, os.Getuid() != 0
	opts.Warn = func(msg string) { tr.fail("warning: %s", msg) }
	return opts
}

func excludes(t testing.TB, patterns ...string) *filter.List {
	t.Helper()
	var rules []filter.Rule
	for _, p := range patterns {
		r, ok, err := filter.Parse(p)
		check(t, err)
		if ok {
			rules = append(rules, r)
		}
	}
	return filter.New(rules...)
}

// ours makes B equal to the source and checks that nothing is left to do.
func (tr *trial) ours() (*Plan, error) {
	plan, err := tr.compare("staging")
	if err != nil {
		return nil, err
	}
	if tr.archive && tr.patterns == nil {
		if n := stagedBytes(tr.t, tr.path("staging")); n != plan.Bytes() {
			tr.fail("%d bytes staged, %d needed", n, plan.Bytes())
		}
	}
	if err := plan.Apply(context.Background(), place(tr.t, tr.path("staging"))); err != nil {
		tr.fail("apply: %v", err)
	}
	again, err := tr.compare("staging2")
	if err != nil {
		tr.fail("again: %v", err)
	} else if len(again.steps) > 0 {
		tr.fail("still to do afterwards: %v", again.steps)
	}
	return plan, nil
}

func (tr *trial) compare(staging string) (*Plan, error) {
	dir, opts := tr.path(staging), tr.options()
	read := tr.fromDir
	if tr.archive {
		read = tr.fromArchive
	}
	entries, err := read(dir, &opts)
	check(tr.t, err)
	plan, err := Compare(context.Background(), entries, place(tr.t, tr.path("B")), opts)
	if tr.archive {
		tr.foresee(plan, err)
	}
	return plan, err
}

// foresee makes the plan once more, without writing anything: it must be the same.
func (tr *trial) foresee(plan *Plan, refused error) {
	opts := tr.options()
	entries, err := scan(tr.t, tarball(tr.t, tr.src), tr.path("B"), "", &opts)
	check(tr.t, err)
	foreseen, err := Compare(context.Background(), entries, place(tr.t, tr.path("B")), opts)
	if (err != nil) != (refused != nil) {
		tr.fail("%v, without writing %v", refused, err)
	}
	if err != nil || refused != nil {
		return
	}
	if is, was := show(plan.Changes()), show(foreseen.Changes()); is != was {
		tr.fail("foreseen %s\nplanned  %s", was, is)
	}
}

func (tr *trial) fromDir(dir string, opts *Options) ([]archive.Entry, error) {
	private(tr.t, dir)
	plant(tr.t, dir, tr.src)
	opts.Tree = rootAt(tr.t, dir)
	return FromDir(context.Background(), rootAt(tr.t, dir))
}

func (tr *trial) fromArchive(dir string, opts *Options) ([]archive.Entry, error) {
	private(tr.t, dir)
	stage := NewStage(context.Background(), rootAt(tr.t, tr.path("B")), rootAt(tr.t, dir), *opts)
	entries, _, err := archive.Scan(context.Background(), bytes.NewReader(tarball(tr.t, tr.src)), archive.Options{},
		stage)
	opts.Differs = stage.Differs
	return entries, errors.Join(err, stage.Close())
}

func stagedBytes(t testing.TB, dir string) int64 {
	t.Helper()
	entries, err := FromDir(context.Background(), rootAt(t, dir))
	check(t, err)
	n := int64(0)
	for _, e := range entries {
		n += e.Size
	}
	return n
}

// changes compares what the plan has listed with what has changed.
func (tr *trial) changes(plan *Plan, before, after map[string]seen) {
	var listed []string
	bytes := int64(0)
	for _, c := range plan.Changes() {
		listed = append(listed, c.Path)
		bytes += c.Bytes
		_, was := before[c.Path]
		_, is := after[c.Path]
		if c.Kind != kindOf(was, is) || c.Kind == Modify && len(c.What) == 0 {
			tr.fail("change %+v: there before %v, after %v", c, was, is)
		}
	}
	if bytes != plan.Bytes() {
		tr.fail("changes of %d bytes, plan says %d", bytes, plan.Bytes())
	}
	if changed := differences(before, after, false); !slices.Equal(listed, changed) {
		tr.fail("listed  %q\nchanged %q", listed, changed)
	}
}

func kindOf(was, is bool) Kind {
	switch {
	case !was:
		return Add
	case !is:
		return Delete
	}
	return Modify
}

func (tr *trial) count(c *counts, before map[string]seen, plan *Plan, err error) {
	for _, f := range []struct {
		n  *atomic.Int64
		is bool
	}{
		{&c.archives, tr.archive}, {&c.checksums, tr.how != quick},
		{&c.excludes, tr.patterns != nil}, {&c.refused, err != nil},
	} {
		if f.is {
			f.n.Add(1)
		}
	}
	c.paths.Add(int64(len(before)))
	if plan != nil {
		c.changes.Add(int64(len(plan.Changes())))
	}
}
