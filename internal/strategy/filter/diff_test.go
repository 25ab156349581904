package filter

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"stretcher/internal/testparts"
)

// listsPerTree is how many random rule lists are tried on each random tree, and
// atOnce how many rsyncs run at a time: they sleep more than they work.
const (
	listsPerTree = 20
	atOnce       = 5
)

// TestAgainstRsync compares List with the installed rsync on random trees and
// patterns. STRETCHER_DIFF_ROUNDS is the number of trees, STRETCHER_DIFF_SEED
// changes them.
func TestAgainstRsync(t *testing.T) {
	rsync := testparts.Need(t, "rsync")
	seed, rounds := envInt(t, "STRETCHER_DIFF_SEED", 1), envInt(t, "STRETCHER_DIFF_ROUNDS", 15)
	var c counts
	for round := range rounds {
		rnd := rand.New(rand.NewPCG(uint64(seed), uint64(round)))
		tr := newTree(t, rnd)
		trials := make([]trial, listsPerTree)
		for i := range trials {
			trials[i] = trial{rules: newRuleText(rnd, tr.paths), deleting: rnd.IntN(5) == 0}
		}
		tr.runAll(rsync, trials)
		for i := range trials {
			tr.compare(t, &trials[i], &c)
		}
		if err := os.RemoveAll(tr.root); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			t.Fatalf("seed %d, round %d", seed, round)
		}
	}
	t.Logf("%d rule lists (%d refused) on %d trees: %d paths compared, %d of them excluded",
		c.lists, c.refused, rounds, c.paths, c.excluded)
	if c.excluded < c.paths/20 || c.excluded > c.paths*19/20 {
		t.Errorf("of %d paths %d are excluded: the patterns test little", c.paths, c.excluded)
	}
}

type counts struct{ lists, refused, paths, excluded int }

func envInt(t *testing.T, name string, def int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return def
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// A tree is a directory full of odd names. Directories have a trailing slash
// in paths, as rsync prints them, and stand before what they hold.
type tree struct {
	root  string
	paths []string
}

func newTree(t *testing.T, rnd *rand.Rand) *tree {
	t.Helper()
	tr := &tree{root: t.TempDir()}
	for _, d := range []string{"full", "empty"} {
		if err := os.Mkdir(filepath.Join(tr.root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tr.grow(t, rnd, "", 0)
	return tr
}

func (tr *tree) grow(t *testing.T, rnd *rand.Rand, dir string, depth int) {
	t.Helper()
	for range 1 + rnd.IntN(5) {
		path := dir + randomName(rnd)
		full := filepath.Join(tr.root, "full", path)
		if _, err := os.Lstat(full); err == nil {
			continue
		}
		var err error
		switch kind := rnd.IntN(20); {
		case kind < 9 && depth < 4:
			err = os.Mkdir(full, 0o755)
			tr.paths = append(tr.paths, path+"/")
			tr.grow(t, rnd, path+"/", depth+1)
		case kind < 11:
			err = os.Symlink(".", full)
			tr.paths = append(tr.paths, path)
		default:
			err = os.WriteFile(full, nil, 0o644)
			tr.paths = append(tr.paths, path)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A trial is a run of rsync with some rules: it sends the tree to an empty
// directory or, with deleting, an empty directory to the tree.
type trial struct {
	rules    ruleText
	deleting bool
	out      string
	err      error
}

// runAll runs rsync for each of the trials and fills in what it says.
func (tr *tree) runAll(rsync string, trials []trial) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := range trials {
		slots <- struct{}{}
		wg.Go(func() {
			trials[i].out, trials[i].err = tr.run(rsync, i, &trials[i])
			<-slots
		})
	}
	wg.Wait()
}

func (tr *tree) run(rsync string, n int, x *trial) (string, error) {
	file := filepath.Join(tr.root, fmt.Sprintf("rules%d", n))
	if err := os.WriteFile(file, []byte(x.rules.file), 0o644); err != nil {
		return "", err
	}
	args := []string{"-a", "--delete", "-8", "--dry-run", "--out-format=%o %n", "--exclude-from", file}
	for _, pattern := range x.rules.args {
		args = append(args, "--exclude", pattern)
	}
	from, to := "full", "empty"
	if x.deleting {
		from, to = to, from
	}
	cmd := exec.Command(rsync, append(args, filepath.Join(tr.root, from)+"/", filepath.Join(tr.root, to))...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	return string(out), err
}

// compare compares what rsync does with what List says: which paths of the
// tree are sent, or which files of it are deleted for lack of a source.
func (tr *tree) compare(t *testing.T, x *trial, c *counts) {
	t.Helper()
	c.lists++
	list, err := x.rules.parse()
	if err != nil || x.err != nil {
		c.refused++
		var exit *exec.ExitError
		if err == nil || !errors.As(x.err, &exit) || exit.ExitCode() != 1 {
			t.Errorf("rules %v: rsync %v, here %v", x.rules, x.err, err)
		}
		return
	}
	want := sentOrDeleted(x.out, x.deleting)
	got := tr.walk(list)
	for _, p := range tr.paths {
		if x.deleting && strings.HasSuffix(p, "/") {
			continue // whether it goes depends on what stays in it
		}
		c.paths++
		if !want[p] {
			c.excluded++
		}
		if want[p] != got[p] {
			t.Errorf("rules %v, deleting %v, path %q: rsync excludes it %v, here %v",
				x.rules, x.deleting, p, !want[p], !got[p])
		}
	}
}

// sentOrDeleted reads the paths from rsync's output, "send a/b" or "del. a/b".
func sentOrDeleted(out string, deleting bool) map[string]bool {
	paths := map[string]bool{}
	want := "send"
	if deleting {
		want = "del."
	}
	for line := range strings.Lines(out) {
		op, path, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if op == want {
			paths[path] = true
		}
	}
	return paths
}

// walk gives the paths that List keeps, in the way that Excluded asks for.
func (tr *tree) walk(list *List) map[string]bool {
	kept := map[string]bool{}
	pruned := "/"
	for _, p := range tr.paths {
		if strings.HasPrefix(p, pruned) {
			continue
		}
		name, isDir := strings.CutSuffix(p, "/")
		switch {
		case !list.Excluded(name, isDir):
			kept[p] = true
		case isDir:
			pruned = p
		}
	}
	return kept
}

// ruleText is a list of rules as our caller gives them to rsync: a file first,
// then arguments.
type ruleText struct {
	file string
	args []string
}

func (l ruleText) String() string {
	return fmt.Sprintf("file %q args %q", l.file, l.args)
}

func (l ruleText) parse() (*List, error) {
	rules, err := ParseFile(strings.NewReader(l.file))
	if err != nil {
		return nil, err
	}
	for _, x := range l.args {
		r, ok, err := Parse(x)
		if err != nil {
			return nil, err
		}
		if ok {
			rules = append(rules, r)
		}
	}
	return New(rules...), nil
}
