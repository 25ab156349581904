package releases

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"stretcher/internal/testparts/again"
	"stretcher/internal/text/runid"
)

func TestMain(m *testing.M) {
	os.Exit(again.Main(m, func(args []string) error {
		if len(args) > 1 {
			return attackForever(args)
		}
		return deployAll(args)
	}))
}

// deployAll is a program that deploys to the dest it is given until it is
// killed.
func deployAll(args []string) error {
	fmt.Println("ready")
	for n := 0; ; n++ {
		if err := deployOne(args[0], n); err != nil {
			return err
		}
	}
}

// deployOne adds a release, switches to it, finds every fourth one bad, goes
// back from another, and prunes.
func deployOne(dest string, n int) error {
	d, err := Open(dest, Options{})
	if err != nil {
		return err
	}
	if err := d.Prepare(); err != nil {
		return err
	}
	run := uuid.Must(uuid.NewV7()).String()
	staged := filepath.Join(d.releasesPath(), ".stretcher-"+run+"-0")
	if err := stageSummed(staged, run); err != nil {
		return err
	}
	ctx := context.Background()
	previous, back, err := d.Previous("")
	if err != nil {
		return err
	}
	if _, err := reuseAt(d, ctx, staged, previous.ID, Hard); err != nil {
		return err
	}
	if err := addAt(d, ctx, staged, Release{ID: run}, []string{"own/" + run, "log/" + run + "/"}); err != nil {
		return err
	}
	if err := d.Switch(run); err != nil {
		return err
	}
	if n%4 == 3 && back {
		_, err := d.PruneBad(ctx, run)
		return errors.Join(d.Mark(run, Bad, "a test"), d.Switch(previous.ID), err)
	}
	if err := d.Mark(run, Good, ""); err != nil {
		return err
	}
	if n%4 == 1 && back {
		err = errors.Join(d.Switch(previous.ID), d.Leave(run, run), d.Mark(previous.ID, Good, ""))
	}
	if err != nil {
		return err
	}
	_, err = d.Prune(ctx, 2, run)
	return err
}

// stageSummed makes a tree with a list of the checksums of its files.
func stageSummed(dir, run string) error {
	if err := errors.Join(os.MkdirAll(dir+"/d", 0o755), os.MkdirAll(dir+"/own", 0o755)); err != nil {
		return err
	}
	var list strings.Builder
	for i := range 10 {
		name, text := fmt.Sprintf("d/%d", i), strings.Repeat(fmt.Sprint(i, run), 100)
		if i < 5 {
			text = name // unchanged from release to release
		}
		if i == 9 {
			name = "own/" + run // to be shared
		}
		fmt.Fprintf(&list, "%x %s\n", sha256.Sum256([]byte(text)), name)
		path := filepath.Join(dir, name)
		err := errors.Join(os.WriteFile(path, []byte(text), 0o644), os.Chtimes(path, time.Time{}, time.Unix(1e9, 0)))
		if err != nil {
			return err
		}
	}
	return os.WriteFile(dir+"/SUMS", []byte(list.String()), 0o644)
}

// checkSummed checks that a directory holds all that its list names.
func checkSummed(dir string) error {
	f, err := os.Open(dir + "/SUMS")
	if err != nil {
		return err
	}
	defer f.Close()
	n := 0
	for lines := bufio.NewScanner(f); lines.Scan(); n++ {
		sum, name, _ := strings.Cut(lines.Text(), " ")
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if fmt.Sprintf("%x", sha256.Sum256(b)) != sum {
			return fmt.Errorf("%s is damaged", name)
		}
	}
	if n != 10 {
		return fmt.Errorf("the list of %s names %d files", dir, n)
	}
	return nil
}

// watch reads current until stop is closed; it must lead to a whole release
// from the moment it is there. A release that was switched away from while it
// was read may have been pruned.
func watch(d *Dir, stop <-chan struct{}, reads *atomic.Int64) error {
	seen := false
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		var was string
		for range 50 { // for most of the time: a moment without current is short
			now, ok, err := d.Current()
			if err != nil || seen && !ok {
				return fmt.Errorf("current is %q, there: %v, error: %v", now, ok, err)
			}
			was, seen = now, ok
		}
		if !seen {
			continue
		}
		if err := checkSummed(d.Path(was)); err != nil {
			if now, _, _ := d.Current(); now == was {
				return fmt.Errorf("current %q: %w", was, err)
			}
			continue
		}
		reads.Add(1)
	}
}

// TestKill kills a deploying program again and again, without notice.
func TestKill(t *testing.T) {
	kills := 110
	if testing.Short() {
		kills = 10
	}
	dest := filepath.Join(t.TempDir(), "dest")
	must(t, os.Mkdir(dest, 0o755))
	d, err := Open(dest, Options{})
	must(t, err)
	watched, err := Open(d.at.Given, Options{})
	must(t, err)
	stop, done := make(chan struct{}), make(chan error, 1)
	var reads atomic.Int64
	go func() { done <- watch(watched, stop, &reads) }()
	highest := int64(0)
	for range kills {
		killOne(t, d.at.Given, time.Duration(rand.Int63n(int64(120*time.Millisecond))))
		seq, err := d.nextSeq()
		must(t, err)
		if seq < highest {
			t.Fatalf("the numbers went back from %d to %d", highest, seq)
		}
		highest = seq
		if id, ok, err := d.Current(); err != nil {
			t.Fatal(err)
		} else if ok {
			must(t, checkSummed(d.Path(id)))
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	t.Logf("%d kills, %d releases, %d reads", kills, highest-1, reads.Load())
	if reads.Load() == 0 || highest < 3 {
		t.Errorf("nothing happened: %d reads, %d releases", reads.Load(), highest-1)
	}
	must(t, deployOne(d.at.Given, 0))
	checkClean(t, d)
}

func killOne(t *testing.T, dest string, after time.Duration) {
	t.Helper()
	cmd := again.Command(dest)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	time.Sleep(after)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if errs.Len() > 0 {
		t.Fatal(errs.String())
	}
}

// checkClean checks that nothing but releases, their marks, shared and
// current is left. Staging directories are their owner's to sweep.
func checkClean(t *testing.T, d *Dir) {
	t.Helper()
	if got := names(t, d.at.Given); got != "current releases shared" {
		t.Errorf("dest holds %s", got)
	}
	for _, name := range strings.Fields(names(t, d.releasesPath())) {
		id, isMark := markID(name)
		if isMark {
			if _, err := os.Lstat(d.Path(id)); err != nil {
				t.Errorf("mark without release: %v", err)
			}
		} else if !runid.Is(name) && !runid.IsTemp(name) {
			t.Errorf("left in releases: %s", name)
		}
	}
	list, err := d.List()
	must(t, err)
	for _, r := range list {
		if r.Seq == 0 {
			t.Errorf("release without a mark: %+v", r)
		}
		if err := checkSummed(d.Path(r.ID)); err != nil {
			t.Error(err)
		}
	}
	for _, dir := range []string{"", "own", "log"} {
		for _, name := range strings.Fields(names(t, filepath.Join(d.sharedPath(), dir))) {
			if strings.HasPrefix(name, ".") {
				t.Errorf("left in shared: %s/%s", dir, name)
			}
		}
	}
}
