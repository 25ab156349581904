package consul_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"stretcher/internal/fleet"
	"stretcher/internal/fleet/consul"
	"stretcher/internal/testparts"
)

// waitsAs is a run of a host that waits, of which other runs may wait.
func (s *scene) waitsAs(i, run int) (*consul.Place, <-chan turn) {
	s.t.Helper()
	turns := func() (n int) {
		_, keys := s.size()
		return strings.Count(strings.Join(keys, " "), "/t/")
	}
	before, e := turns(), s.entry("1", i)
	e.Run = fmt.Sprintf("run-%06d", run)
	place := s.enter(e)
	told := s.wait(place)
	testparts.WaitFor(s.t, "a further run in the line", func() bool { return turns() > before })
	return place, told
}

// goes wants a host to stand so, in a rollout that goes on.
func (s *scene) goes(i int, want fleet.Standing) {
	s.t.Helper()
	state := s.read()
	if got := s.host(i).Standing; got != want || state.Ended() || state.Verdict() != fleet.VerdictGoing {
		s.t.Errorf("host %d is %q, not %q, in %+v", i, got, want, state)
	}
}

// TestRunGivesWay: a run that gives way to a newer one of its host says nothing of that
// one: it waits, and is at work.
func TestRunGivesWay(t *testing.T) {
	a := agent(t)
	register(t, a, 3)
	s := newScene(t, a, "web", 3)
	first, _ := s.works("1", 0)
	older, olderTold := s.waitsAs(1, 1)
	between, betweenTold := s.waitsAs(2, 2)
	newer, newerTold := s.waitsAs(1, 3)
	s.leaves(first, "good")
	if its := <-olderTold; its.err != nil {
		t.Fatal(its.err)
	}
	s.goes(1, fleet.HostWorking) // whatever the newer one does
	s.leaves(older, "stopped")
	s.goes(1, fleet.HostWaiting)
	if its := <-betweenTold; its.err != nil {
		t.Fatal(its.err)
	}
	s.leaves(between, "good")
	if its := <-newerTold; its.err != nil {
		t.Fatal(its.err)
	}
	s.goes(1, fleet.HostWorking)
	e := s.entry("1", 1)
	e.Run = "run-000004"
	s.leaves(s.enter(e), "failed") // a third one could not fetch
	s.goes(1, fleet.HostWorking)
	s.leaves(newer, "good")
	if h := s.host(1); h.Standing != fleet.HostGood {
		t.Errorf("at the end it is %+v", h)
	}
}

// diesWaiting is a host that is killed while it waits.
func (s *scene) diesWaiting(i, run int) {
	s.t.Helper()
	ctx, kill := context.WithCancel(s.t.Context())
	e := s.entry("1", i)
	e.Run = fmt.Sprintf("run-%06d", run)
	place, told := s.enter(e), make(chan error, 1)
	go func() {
		_, err := place.Wait(ctx)
		told <- err
	}()
	testparts.WaitFor(s.t, "a host in the line", func() bool { return s.host(i).Standing == fleet.HostWaiting })
	kill()
	s.gets(told, context.Canceled)
}

// TestDiesInTheLine: of a host that is killed while it waits, with nobody left, who asks
// hears that it is missing; the rollout can be stopped and goes on.
func TestDiesInTheLine(t *testing.T) {
	a := agent(t)
	register(t, a, 2)
	for name, stop := range map[string]bool{"nobody is left": false, "stopped": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, a, name, 2)
			s.r.Timeout = fleet.Span(testparts.Limit(20 * lease))
			ctx, kill := context.WithCancel(t.Context())
			place := s.enter(s.entry("1", 0))
			if _, err := place.Wait(ctx); err != nil {
				t.Fatal(err)
			}
			s.diesWaiting(1, 1)
			if stop {
				s.leaves(place, "good")
				if err := s.c.Stop(t.Context(), s.name, "by hand"); err != nil {
					t.Fatal(err)
				}
				s.stands(fleet.HostMissing, fleet.HostGood)
			} else {
				kill()
				_ = place.Leave(ctx, fleet.Result{Result: "good"})
				s.stands(fleet.HostDied, fleet.HostMissing)
			}
			kill()
			if h := s.host(1); h.Note != "it waited for its turn, and was heard of no more" {
				t.Errorf("it is %+v", h)
			}
			again := s.c.Retry
			if stop {
				again = s.c.Resume
			}
			if err := again(t.Context(), s.name, "me"); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRunsOfTheDead: which version a host has that was killed at work nobody knows, until
// it comes again and tells what it found.
func TestRunsOfTheDead(t *testing.T) {
	a := agent(t)
	register(t, a, 2)
	s := newScene(t, a, "web", 2)
	s.r.Timeout = fleet.Span(testparts.Limit(20 * lease))
	for i := range 2 {
		s.run("0", i, i, fleet.Result{Result: "good", Version: "0", Runs: "0"})
	}
	lastAtWork(s)
	if state := s.stands(fleet.HostDied, fleet.HostGood); state.Hosts[0].Runs != "" {
		t.Errorf("dead, it is %+v", state.Hosts[0])
	}
	e := s.entry("1", 1)
	e.Run, e.Runs = "run-000002", "1" // it had been killed after the switch
	again := s.enter(e)
	if _, err := again.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h := s.host(1); h.Standing != fleet.HostWorking || h.Runs != "1" {
		t.Errorf("when it has come again it is %+v", h)
	}
	s.leaves(again, "good")
}

// TestOneNameTwoMachines: two machines that have one node name are one host, and it is said.
func TestOneNameTwoMachines(t *testing.T) {
	a := agent(t)
	register(t, a, 2)
	s := newScene(t, a, "web", 2)
	s.r.MaxFailed = fleet.Hosts(5)
	var said journal
	run := func(run int, machine, result string) {
		t.Helper()
		client, err := consul.Open(consul.Config{Address: a.HTTPAddr, Log: said.tell})
		if err != nil {
			t.Fatal(err)
		}
		e := s.entry("1", 0)
		e.Run, e.Machine = fmt.Sprint("run-", run), machine
		place, err := client.Enter(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := place.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.leaves(place, result)
	}
	const other = "another machine or dest has told of "
	run(1, "c1:/srv", "failed")
	run(2, "c1:/srv", "failed") // the same one, again
	if h := s.host(0); h.Note != "" || said.has(other) > 0 {
		t.Errorf("one machine: %+v, %d warnings", h, said.has(other))
	}
	for i, machine := range []string{"c2:/srv", "c2:/srv"} {
		run(3+i, machine, "good")
		if h := s.host(0); h.Note != other+"this node: c1:/srv: failed" || said.has(other) != 1 {
			t.Errorf("two machines: %+v, %d warnings", h, said.has(other))
		}
	}
}
