package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"stretcher/internal/disk"
	"stretcher/internal/testparts/again"
)

func TestMain(m *testing.M) { os.Exit(again.Main(m, child)) }

// child is another process with the cache open: DIR PREFIX DEST [N]. It puts N
// entries (none = until killed) and prunes; after each it says so.
func child(args []string) error {
	if args[0] == "pool" {
		return fill(args[1:])
	}
	dir, prefix, dest := args[0], args[1], args[2]
	s, err := Open(dir)
	if err != nil {
		return err
	}
	var warned error
	s.Warn = func(err error) { warned = err }
	n := 1 << 30
	if len(args) > 3 {
		if _, err := fmt.Sscan(args[3], &n); err != nil {
			return err
		}
	}
	for i := range n {
		run, sum := fmt.Sprintf("%s-%d", prefix, i), fmt.Sprint(i%3)
		var archive *os.File
		if i%2 == 0 {
			if archive, err = disk.Unnamed(s.root); err != nil {
				return err
			}
			if _, err := archive.Write(content(sum)); err != nil {
				return err
			}
		}
		e := Entry{Run: run, Dest: dest, Checksum: sum}
		if err := s.Put(context.Background(), e, []byte("manifest of "+run), Whole(archive)); err != nil {
			return err
		}
		if archive != nil {
			_ = archive.Close()
		}
		if err := s.Prune(dest, 2, nil); err != nil {
			return err
		}
		s.Sweep()
		fmt.Println(i)
	}
	return warned
}

// content is the archive of this checksum: long enough to be caught half, and like the
// others for the most part.
func content(sum string) []byte {
	return append(bytes.Repeat([]byte("archive\n"), 25_000), bytes.Repeat([]byte(sum+"\n"), 10_000)...)
}

// checkWhole: every entry that is seen is a whole one.
func checkWhole(t *testing.T, s *Store) (all []Entry) {
	t.Helper()
	all, err := s.List("")
	must(t, err)
	seen := map[int64]string{}
	for _, e := range all {
		if other := seen[e.Seq]; other != "" {
			t.Errorf("%s and %s have number %d", e.Run, other, e.Seq)
		}
		seen[e.Seq] = e.Run
		if text, err := s.Manifest(e.Run); string(text) != "manifest of "+e.Run || err != nil {
			t.Errorf("manifest of %s: %q, %v", e.Run, text, err)
		}
		if f, ok := s.Archive(e.Run); ok {
			if got := text(t, f, ok); got != string(content(e.Checksum)) {
				t.Errorf("archive of %s: %d bytes", e.Run, len(got))
			}
		}
	}
	return all
}

// Processes, each with a dest of its own, and goroutines of one Store.
func TestManyWriters(t *testing.T) {
	const n = 24
	s := newStore(t)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			if out, err := again.Command(s.dir, fmt.Sprint("p", i), fmt.Sprint("/p", i),
				fmt.Sprint(n)).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
		all.Go(func() {
			for k := range n {
				run := fmt.Sprintf("g%d-%d", i, k)
				err := s.Put(t.Context(), Entry{Run: run, Dest: fmt.Sprint("/g", i)}, []byte("manifest of "+run), nil)
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	checkWhole(t, s)
	for i := range 4 {
		if got := listed(t, s, fmt.Sprint("/p", i)); got != fmt.Sprintf("p%d-%d+ p%d-%d+", i, n-1, i, n-2) {
			t.Errorf("process %d leaves %q", i, got)
		}
		entries, err := s.List(fmt.Sprint("/g", i))
		if err != nil || len(entries) != n {
			t.Fatalf("%d entries, %v; want %d", len(entries), err, n)
		}
		for k, e := range entries {
			if want := fmt.Sprintf("g%d-%d", i, n-1-k); e.Run != want {
				t.Errorf("entry %d is %s, want %s", k, e.Run, want)
			}
		}
	}
}

// Whenever a process is killed, what is seen is whole, and the rest is swept.
func TestKilled(t *testing.T) {
	s := newStore(t)
	for round := range 30 {
		cmd := again.Command(s.dir, fmt.Sprint("r", round), "/d")
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Fatalf("the child says nothing: %v", err)
		}
		time.Sleep(time.Duration(rand.IntN(20_000)) * time.Microsecond)
		must(t, cmd.Process.Kill())
		_ = cmd.Wait()
		if !cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
			t.Fatalf("child ended with %v", cmd.ProcessState)
		}
		if all := checkWhole(t, s); len(all) == 0 || len(all) > 4 {
			t.Errorf("round %d leaves %d entries", round, len(all))
		}
	}
	old := time.Now().Add(-time.Hour)
	left, err := filepath.Glob(s.dir + "/.*")
	must(t, err)
	for _, name := range left {
		must(t, os.Chtimes(name, old, old))
	}
	s.Sweep()
	if left, _ := filepath.Glob(s.dir + "/.*"); len(left) != 0 {
		t.Errorf("left after the sweep: %q", left)
	}
	put(t, s, "last", "/d", "", "")
	if all := checkWhole(t, s); all[0].Run != "last" {
		t.Errorf("after all that the newest is %s", all[0].Run)
	}
}

// ageWhatIsPrepared waits until the archive is in a prepared entry, and makes
// that look as if it had been left.
func (s *Store) ageWhatIsPrepared(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(10 * time.Minute); ; time.Sleep(time.Millisecond) {
		if taken, _ := filepath.Glob(s.dir + "/.*/" + archiveName); len(taken) == 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the archive is not taken")
		}
	}
	left, err := filepath.Glob(s.dir + "/.*")
	if err != nil || len(left) != 1 {
		t.Fatalf("prepared: %q, %v", left, err)
	}
	old := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(left[0], old, old))
}

// A process that holds the lock and goes no further stops others for a while
// only.
func TestLockIsWaitedFor(t *testing.T) {
	s := newStore(t)
	unlock, err := s.lock(t.Context())
	must(t, err)
	archive := unnamed(t, s, "x")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Put(ctx, Entry{Run: "a"}, nil, Whole(archive)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v", err)
	}
	done := make(chan error)
	go func() { done <- s.Put(t.Context(), Entry{Run: "a"}, nil, Whole(archive)) }()
	s.ageWhatIsPrepared(t)
	s.Sweep() // leaves what a live run prepares, how slow it may be
	unlock()
	must(t, <-done)
	if got := listed(t, s, ""); got != "a+" {
		t.Errorf("listed %q", got)
	}
}
