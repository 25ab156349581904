package consul_test

import (
	"strings"
	"testing"

	"stretcher/internal/fleet"
)

// TestRefused: who refuses a manifest tells its rollout so, and begins it where nobody
// has. It takes nothing back that it was good for. Who refuses it as too old begins
// nothing, and counts nowhere else.
func TestRefused(t *testing.T) {
	a := agent(t)
	register(t, a, 4)
	for name, play := range map[string]func(*scene){
		"counts": refusedCounts, "begins": refusedBegins, "stays-good": refusedStaysGood,
		"late-nowhere": lateBeginsNothing, "late-newer": lateIsPast, "late-own": lateCountsInItsOwn,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(newScene(t, a, name, 4))
		})
	}
}

// refusesIt is a host whose run is refused, as too old or otherwise.
func (s *scene) refusesIt(version string, i int, late bool) {
	s.t.Helper()
	e := s.entry(version, i)
	e.Run = "run-z" // which is newer than all before
	place := s.enter(e)
	place.Late = late
	s.leaves(place, fleet.Refused)
}

func refusedCounts(s *scene) {
	s.r.MaxFailed = fleet.Hosts(0)
	first, _ := s.works("1", 0)
	_, told := s.waits("1", 1)
	s.refusesIt("1", 2, false)
	s.gets(told, fleet.ErrStopped)
	s.leaves(first, "good")
	if state := s.read(); state.Count(fleet.HostFailed) != 1 {
		s.t.Errorf("%+v", state)
	}
}

func refusedBegins(s *scene) {
	for i := range 4 {
		s.refusesIt("1", i, false)
	}
	if state := s.read(); !state.Ended() || state.Count(fleet.HostFailed) != 4 {
		s.t.Errorf("%+v", state)
	}
}

func refusedStaysGood(s *scene) {
	s.r.MaxFailed = fleet.Hosts(0)
	for _, late := range []bool{false, true} {
		place, _ := s.works("1", 0)
		s.leaves(place, "good")
		s.refusesIt("1", 0, late)
	}
	if state := s.read(); state.Phase == fleet.Stopped || state.Count(fleet.HostGood) != 1 {
		s.t.Errorf("%+v", state)
	}
}

func lateBeginsNothing(s *scene) {
	s.refusesIt("1", 0, true)
	if keys := s.agent.Get("/v1/kv/stretcher/fleet/late-nowhere/?keys=", s.agent.Token); strings.Contains(keys, "late") {
		s.t.Errorf("there is %s", keys)
	}
}

func lateIsPast(s *scene) {
	s.r.MaxFailed = fleet.Hosts(0)
	for i := range 2 {
		place, _ := s.works("2", i)
		s.leaves(place, "good")
	}
	s.refusesIt("1", 0, true)
	s.refusesIt("1", 2, true)
	state := s.read()
	if state.Version != "2" || state.Phase == fleet.Stopped || state.Count(fleet.HostGood) != 2 ||
		state.Count(fleet.HostFailed) != 0 {
		s.t.Errorf("%+v", state)
	}
}

func lateCountsInItsOwn(s *scene) {
	s.r.MaxFailed = fleet.Hosts(0)
	first, _ := s.works("1", 0)
	_, told := s.waits("1", 1)
	s.refusesIt("1", 2, true)
	s.gets(told, fleet.ErrStopped)
	s.leaves(first, "good")
	s.refusesIt("1", 3, true) // it is stopped, and hears of this one all the same
	if state := s.read(); state.Count(fleet.HostFailed) != 2 {
		s.t.Errorf("%+v", state)
	}
}
