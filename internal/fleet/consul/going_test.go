package consul_test

import (
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
