package consul_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"stretcher/internal/fleet"
	"stretcher/internal/testparts"
)

// ages has the rollout begun two hours ago, as the clock of another host may say.
func (s *scene) ages() {
	s.t.Helper()
	s.rewrite("/head", func(doc map[string]any) { doc["began"] = time.Now().Add(-2 * time.Hour).UTC() })
}

// strikes ends the session that is Consul's clock.
func (s *scene) strikes() {
	s.t.Helper()
	var all []struct{ ID, Name string }
	if err := json.Unmarshal(request(s.t, s.agent, "GET", "/v1/session/list"), &all); err != nil {
		s.t.Fatal(err)
	}
	for _, session := range all {
		if strings.HasSuffix(session.Name, "clock: stretcher/fleet/"+s.name) {
			request(s.t, s.agent, "PUT", "/v1/session/destroy/"+session.ID)
		}
	}
}

// newSilence is a rollout in which one of four hosts was good.
func newSilence(t *testing.T, a testparts.ConsulAgent, name string) *scene {
	t.Helper()
	s := newScene(t, a, name, 4)
	s.r.Timeout = fleet.Span(time.Hour)
	first, _ := s.works("1", 0)
	s.leaves(first, "good")
	return s
}

// stopsFor wants a host to hear that silent ones were counted.
func (s *scene) stopsFor(i int, why string, leave bool) {
	s.t.Helper()
	place := s.enter(s.entry("1", i))
	_, err := place.Wait(s.t.Context())
	if !errors.Is(err, fleet.ErrStopped) || !strings.Contains(err.Error(), why) {
		s.t.Errorf("host %d: %v", i, err)
	}
	if leave {
		s.leaves(place, "stopped")
	}
}

// TestSilent: members that have not come when the timeout is over have failed, for who
// asks and for who comes later; a clock that is wrong counts nobody. They deploy when
// they come after fleet retry.
func TestSilent(t *testing.T) {
	a := agent(t)
	register(t, a, 5)
	s := newSilence(t, a, "web")
	s.ages() // by the clocks of hosts alone
	second, _ := s.works("1", 1)
	s.leaves(second, "good")
	if state := s.read(); state.Count(fleet.HostMissing, fleet.HostExpected) != 2 || state.Ended() {
		t.Errorf("%+v", state)
	}
	s.strikes()
	state := s.read()
	if state.Count(fleet.HostFailed) != 2 || !state.Ended() || state.Verdict() != fleet.VerdictFailed ||
		state.Hosts[0].Result.Error != "silent for 1h" || state.Hosts[0].Result.Result != fleet.Silent {
		t.Errorf("%+v", state)
	}
	third, _ := s.works("1", 2) // one is silent, and one may
	s.leaves(third, "good")
	fifth, _ := s.works("1", 4) // it is not counted again
	s.leaves(fifth, "failed")
	s.stopsFor(5, "2 failed, 1 of them silent for 1h, and 1 may", false)

	if err := s.c.Retry(t.Context(), s.name, "me"); err != nil {
		t.Fatal(err)
	}
	if state := s.read(); state.Count(fleet.HostMissing, fleet.HostExpected) != 2 || state.Ended() {
		t.Errorf("%+v", state)
	}
	if _, err := s.enter(s.entry("1", 2)).Wait(t.Context()); !errors.Is(err, fleet.ErrNotAsked) {
		t.Errorf("who was good: %v", err)
	}
	for _, i := range []int{3, 4} {
		place, _ := s.works("1", i)
		s.leaves(place, "good")
	}
	if state := s.read(); state.Verdict() != fleet.VerdictGood || !state.Ended() {
		t.Errorf("%+v", state)
	}
}

// TestSilentStop: more silent members than may fail stop the rollout for who comes late,
// once; after fleet resume all may come, and have the whole time again.
func TestSilentStop(t *testing.T) {
	a := agent(t)
	register(t, a, 4)
	s := newSilence(t, a, "late")
	s.ages()
	s.strikes()
	s.stopsFor(1, "2 failed, 2 of them silent for 1h, and 1 may", true)
	if state := s.read(); state.Count(fleet.HostFailed) != 2 || state.Count(fleet.HostStopped) != 1 {
		t.Errorf("%+v", state)
	}
	if err := s.c.Resume(t.Context(), s.name, "me"); err != nil {
		t.Fatal(err)
	}
	if state := s.read(); state.Count(fleet.HostFailed) != 0 {
		t.Errorf("%+v", state)
	}
	for i := 1; i < 4; i++ {
		place, _ := s.works("1", i)
		s.leaves(place, "good")
	}
	if state := s.read(); state.Verdict() != fleet.VerdictGood {
		t.Errorf("%+v", state)
	}
}

// TestSilentWhileWaiting: a host that waits when the time is over counts the silent ones.
func TestSilentWhileWaiting(t *testing.T) {
	a := agent(t)
	register(t, a, 4)
	s := newScene(t, a, "waits", 4)
	s.r.Timeout = fleet.Span(time.Hour)
	first, _ := s.works("1", 0)
	_, told := s.waits("1", 1)
	s.ages()
	s.strikes()
	s.gets(told, fleet.ErrStopped)
	s.leaves(first, "good")
}

// TestHangs: a host that is at work and never ends, with a session that lives, is ended
// by the timeout, and the next has its turn.
func TestHangs(t *testing.T) {
	a := agent(t)
	register(t, a, 4)
	s := newScene(t, a, "hangs", 2)
	s.r.Timeout = fleet.Span(3 * time.Second)
	first, work := s.works("1", 0)
	s.r.Timeout = fleet.Span(testparts.Limit(time.Minute))
	second, told := s.waits("1", 1)
	<-work.Done()
	if err := context.Cause(work); !errors.Is(err, fleet.ErrOvertime) {
		t.Errorf("its work has ended by %v", err)
	}
	s.leaves(first, "failed")
	s.gets(told, nil)
	s.leaves(second, "good")
}
