package consul_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/fleet"
)

// run is a host's place in one of its runs, and how that ends.
func (s *scene) run(version string, i, run int, result fleet.Result) {
	s.t.Helper()
	e := s.entry(version, i)
	e.Run = fmt.Sprintf("run-%06d", run)
	place := s.enter(e)
	if _, err := place.Wait(s.t.Context()); err != nil {
		s.t.Fatalf("host %d: %v", i, err)
	}
	if err := place.Leave(s.t.Context(), result); err != nil {
		s.t.Errorf("leave: %v", err)
	}
}

// size is how much Consul has of a name: keys and values, in bytes.
func (s *scene) size() (bytes int, keys []string) {
	s.t.Helper()
	var pairs []struct {
		Key   string
		Value []byte
	}
	text := request(s.t, s.agent, "GET", "/v1/kv/stretcher/fleet/"+s.name+"/?recurse=")
	if err := json.Unmarshal(text, &pairs); err != nil {
		s.t.Fatal(err)
	}
	for _, p := range pairs {
		bytes += len(p.Key) + len(p.Value)
		keys = append(keys, p.Key)
	}
	return bytes, keys
}

// host is what is known of one.
func (s *scene) host(i int) fleet.Host {
	s.t.Helper()
	hosts := s.read().Hosts
	at := slices.IndexFunc(hosts, func(h fleet.Host) bool { return h.Node == fmt.Sprint("web-", i) })
	if at < 0 {
		return fleet.Host{}
	}
	return hosts[at]
}

// TestRepeatsAreOne: however often a rollout is repeated, what hosts have said of it and
// of those before stays, and takes no more room.
func TestRepeatsAreOne(t *testing.T) {
	a := agent(t)
	const n, repeats = 4, 50
	register(t, a, n)
	s := newScene(t, a, "web", n)
	s.r.MaxFailed = fleet.Hosts(0)
	for i := range n {
		s.run("1", i, i, fleet.Result{Result: "good"})
	}
	s.run("2", 0, 10, fleet.Result{Result: "good"})
	size := 0
	for i := range repeats {
		s.run("2", 1, 100+i, fleet.Result{Result: "failed", Runs: "1"})
		again := s.c.Resume
		if i%2 == 0 {
			again = s.c.Retry
		}
		if err := again(t.Context(), s.name, "me"); err != nil {
			t.Fatal(err)
		}
		for j, want := range []string{"2", "1", "1", "1"} {
			if h := s.host(j); h.Runs != want || h.Node == "" {
				t.Fatalf("after %d repeats host %d runs %q, not %q", i+1, j, h.Runs, want)
			}
		}
		if i == 5 {
			size, _ = s.size()
		}
	}
	if h := s.host(0); h.Result.Result != "good" || h.Result.Run != "run-000010" {
		t.Errorf("who was good is %+v", h)
	}
	if now, keys := s.size(); now > size+100 {
		t.Errorf("%d bytes after %d repeats, and %d after six: %q", now, repeats, size, keys)
	}
	for i := 1; i < n; i++ {
		s.run("2", i, 900+i, fleet.Result{Result: "good"})
	}
	if state := s.read(); state.Count(fleet.HostGood) != n || state.Phase != fleet.Done {
		t.Errorf("%+v", state)
	}
}

// TestForgetsWhoLeft: of hosts that left the group nothing is left after some rollouts;
// what a member has said last stays, however long it has been silent.
func TestForgetsWhoLeft(t *testing.T) {
	a := agent(t)
	register(t, a, 3)
	s := newScene(t, a, "web", 3)
	for i := range 3 {
		s.run("0", i, i, fleet.Result{Result: "good"})
	}
	s.r.Hosts = hosts(2)
	for rollout := 1; rollout <= 7; rollout++ {
		s.run(fmt.Sprint(rollout), 0, 10*rollout, fleet.Result{Result: "good"})
		if err := s.c.Stop(t.Context(), s.name, "by hand"); err != nil {
			t.Fatal(err)
		}
		if silent := s.host(1); silent.Runs != "0" || silent.Standing != fleet.HostExpected {
			t.Errorf("after %d rollouts the silent one is %+v", rollout, silent)
		}
		if left := s.host(2); (left.Node != "") != (rollout < 5) {
			t.Errorf("after %d rollouts the one that left is %+v", rollout, left)
		}
	}
	results := 0
	_, keys := s.size()
	for _, key := range keys {
		if strings.Contains(key, "/res/") {
			results++
		}
	}
	if results != 5+1 {
		t.Errorf("%d results: %q", results, keys)
	}
}

// TestOneNodeSeveralRuns: a run that is stopped takes nothing back that another run of
// that node has done, in the same rollout or when it is repeated.
func TestOneNodeSeveralRuns(t *testing.T) {
	a := agent(t)
	register(t, a, 2)
	s := newScene(t, a, "web", 2)
	s.r.Parallel = fleet.Hosts(2)
	e := s.entry("1", 0)
	e.Run = "run-000001"
	older := s.enter(e)
	if _, err := older.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.run("1", 0, 2, fleet.Result{Result: "good"}) // it has overtaken the older one
	s.leaves(older, "stopped")
	wantGood := func(runs string) {
		t.Helper()
		h := s.host(0)
		if h.Standing != fleet.HostGood || h.Result.Run != "run-000002" || h.Runs != runs {
			t.Errorf("it is %+v", h)
		}
	}
	wantGood("1")
	e.Run = "run-000000"
	if err := s.enter(e).Leave(t.Context(), fleet.Result{Result: "failed"}); err != nil { // it could not fetch
		t.Error(err)
	}
	wantGood("1")
	for i := range 7 {
		if err := s.c.Stop(t.Context(), s.name, "by hand"); err != nil {
			t.Fatal(err)
		}
		e.Run = fmt.Sprintf("run-%06d", 10+i)
		late := s.enter(e)
		if _, err := late.Wait(t.Context()); !errors.Is(err, fleet.ErrStopped) {
			t.Fatal(err)
		}
		if err := late.Leave(t.Context(), fleet.Result{Result: "stopped", Runs: "0"}); err != nil {
			t.Error(err)
		}
		if err := s.c.Resume(t.Context(), s.name, "me"); err != nil {
			t.Fatal(err)
		}
		wantGood("0") // since somebody has gone back there
	}
}

// TestBackAndForth: what a host has said of an earlier turn of a version says nothing of
// the present one.
func TestBackAndForth(t *testing.T) {
	a := agent(t)
	register(t, a, 2)
	s := newScene(t, a, "web", 2)
	for run, version := range []string{"1", "2"} {
		for i := range 2 {
			s.run(version, i, 10*run+i, fleet.Result{Result: "good"})
		}
	}
	late := s.enter(s.entry("1", 1)) // it has nothing to do, and the others have not begun yet
	s.leaves(late, "good")
	s.run("1", 0, 30, fleet.Result{Result: "good"})
	if h := s.host(1); h.Standing != fleet.HostGood || h.Runs != "1" {
		t.Errorf("who has come before it began is %+v", h)
	}
	s.run("2", 0, 40, fleet.Result{Result: "good"})
	s.run("2", 1, 41, fleet.Result{Result: "good"})
	s.run("1", 0, 50, fleet.Result{Result: "good"})
	if h := s.host(1); h.Standing != fleet.HostExpected || h.Runs != "2" {
		t.Errorf("who has not come again is %+v", h)
	}
	if h := s.host(0); h.Standing != fleet.HostGood || h.Runs != "1" {
		t.Errorf("who has is %+v", h)
	}
}
