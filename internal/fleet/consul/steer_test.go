package consul_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"stretcher/internal/fleet"
)

// TestAgain: a stopped rollout is for nobody; then for those alone that have failed;
// then for all that are not good yet.
func TestAgain(t *testing.T) {
	a := agent(t)
	register(t, a, 4)
	s := newScene(t, a, "web", 4)
	s.r.MaxFailed = fleet.Hosts(0)
	if err := s.c.Resume(t.Context(), "web", "me"); !errors.Is(err, fleet.ErrUnknown) {
		t.Errorf("resumed what nobody knows: %v", err)
	}
	good, _ := s.works("1", 0)
	s.leaves(good, "good")
	s.refuses("is not stopped", s.c.Resume)
	s.refuses("no host has failed", s.c.Retry)
	bad, _ := s.works("1", 1)
	s.leaves(bad, "failed")
	if _, err := s.enter(s.entry("1", 2)).Wait(t.Context()); !errors.Is(err, fleet.ErrStopped) {
		t.Errorf("a host of a stopped one: %v", err)
	}
	s.does(s.c.Retry)
	s.counts(map[fleet.Standing]int{fleet.HostGood: 1, fleet.HostMissing: 3})
	for _, i := range []int{0, 2} {
		s.isNotAsked("1", i)
	}
	bad, _ = s.works("1", 1)
	s.leaves(bad, "failed")
	s.does(s.c.Resume)
	s.counts(map[fleet.Standing]int{fleet.HostGood: 1, fleet.HostMissing: 3})
	s.isNotAsked("1", 0)
	for i := 1; i < 4; i++ {
		place, _ := s.works("1", i)
		s.leaves(place, "good")
	}
	if state := s.read(); state.Phase != fleet.Done || state.Count(fleet.HostGood) != 4 {
		t.Errorf("%+v", state)
	}
	s.refuses("has ended", s.c.Resume)
	s.refuses("no host has failed", s.c.Retry)
	again, _ := s.works("2", 0) // another version is for all
	s.leaves(again, "good")
}

// does wants it done: the first time, and told the next.
func (s *scene) does(what func(ctx context.Context, name, by string) error) {
	s.t.Helper()
	if err := what(s.t.Context(), s.name, "me"); err != nil {
		s.t.Fatal(err)
	}
	before := s.gens()
	err := what(s.t.Context(), s.name, "another")
	if !errors.Is(err, fleet.ErrAlready) || !strings.Contains(err.Error(), "by me") || len(s.gens()) != len(before) {
		s.t.Errorf("once more: %v, %q, before %q", err, s.gens(), before)
	}
}

// refuses wants it refused, and nothing changed.
func (s *scene) refuses(why string, what func(ctx context.Context, name, by string) error) {
	s.t.Helper()
	before := string(request(s.t, s.agent, "GET", "/v1/kv/stretcher/fleet/"+s.name+"/head"))
	err := what(s.t.Context(), s.name, "me")
	after := string(request(s.t, s.agent, "GET", "/v1/kv/stretcher/fleet/"+s.name+"/head"))
	if err == nil || errors.Is(err, fleet.ErrAlready) || !strings.Contains(err.Error(), why) || after != before {
		s.t.Errorf("%v, want %q; %s, before %s", err, why, after, before)
	}
}

// counts wants so many hosts to stand so, and no others.
func (s *scene) counts(want map[fleet.Standing]int) {
	s.t.Helper()
	state := s.read()
	for i, h := range state.Hosts {
		if h.Standing == fleet.HostExpected { // it is missing as soon as it has had the time to come
			state.Hosts[i].Standing = fleet.HostMissing
		}
	}
	for _, standing := range fleet.Standings() {
		if got := state.Count(standing); got != want[standing] {
			s.t.Errorf("%s: %d, want %d: %+v", standing, got, want[standing], state)
		}
	}
}

// isNotAsked wants a host to have nothing to do.
func (s *scene) isNotAsked(version string, i int) {
	s.t.Helper()
	if _, err := s.enter(s.entry(version, i)).Wait(s.t.Context()); !errors.Is(err, fleet.ErrNotAsked) {
		s.t.Errorf("host %d: %v", i, err)
	}
}

// gens are the generations that are kept.
func (s *scene) gens() (gens []string) {
	s.t.Helper()
	text := request(s.t, s.agent, "GET", "/v1/kv/stretcher/fleet/"+s.name+"/r/?keys&separator=/")
	if err := json.Unmarshal(text, &gens); err != nil {
		s.t.Fatal(err)
	}
	return gens
}

// TestSteer plays what can happen around somebody who steers.
func TestSteer(t *testing.T) {
	a := agent(t)
	register(t, a, 4)
	for name, play := range map[string]func(*scene){
		"at work": resumedAtWork, "touched": resumedTouched, "canaries": resumedCanaries, "often": resumedOften,
		"stopped again": retryStopped, "several": several, "last": stoppedAtTheEnd,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(newScene(t, a, name, 4))
		})
	}
}

// resumedAtWork: who is at work when it is stopped and goes on, counts in what goes on.
func resumedAtWork(s *scene) {
	first, _ := s.works("1", 0)
	_, told := s.waits("1", 1)
	if err := s.c.Stop(s.t.Context(), s.name, "by hand"); err != nil {
		s.t.Fatal(err)
	}
	s.gets(told, fleet.ErrStopped)
	s.does(s.c.Resume)
	_, told = s.waits("1", 1)
	s.leaves(first, "good")
	s.gets(told, nil)
	s.isNotAsked("1", 0)
	s.refuses("the rollout goes on: hosts at work: 1", s.c.Retry)
}

// resumedTouched: a host that has deployed something else since it was good is none of
// those that are.
func resumedTouched(s *scene) {
	first, _ := s.works("1", 0)
	s.leaves(first, "good")
	if err := s.c.Stop(s.t.Context(), s.name, "by hand"); err != nil {
		s.t.Fatal(err)
	}
	s.does(s.c.Resume)
	e := s.entry("1", 0)
	e.Touched = e.Run
	if _, err := s.enter(e).Wait(s.t.Context()); !errors.Is(err, fleet.ErrNotAsked) {
		s.t.Errorf("it has done nothing else since: %v", err)
	}
	e.Touched = e.Run + "1"
	place := s.enter(e)
	if _, err := place.Wait(s.t.Context()); err != nil {
		s.t.Errorf("it has done something else since: %v", err)
	}
	s.leaves(place, "good")
}

// resumedCanaries: canaries that are good are not looked for again.
func resumedCanaries(s *scene) {
	s.r.Canary, s.r.Parallel = 2, fleet.Hosts(4)
	first, _ := s.works("1", 0)
	s.leaves(first, "good")
	if err := s.c.Stop(s.t.Context(), s.name, "by hand"); err != nil {
		s.t.Fatal(err)
	}
	s.does(s.c.Resume)
	if state := s.read(); state.Phase != fleet.Canary || state.Limits.Canary != 1 {
		s.t.Errorf("%+v", state)
	}
	second, _ := s.works("1", 1)
	_, told := s.waits("1", 2)
	s.leaves(second, "good")
	s.gets(told, nil)
}

// resumedOften: what hosts have told is kept, however often it goes on.
func resumedOften(s *scene) {
	first, _ := s.works("1", 0)
	s.leaves(first, "good")
	for range 8 {
		if err := s.c.Stop(s.t.Context(), s.name, "by hand"); err != nil {
			s.t.Fatal(err)
		}
		s.does(s.c.Resume)
	}
	s.isNotAsked("1", 0)
	s.counts(map[fleet.Standing]int{fleet.HostGood: 1, fleet.HostMissing: 3})
}

// retryStopped: who has not come to a retry that is stopped has failed as before.
func retryStopped(s *scene) {
	s.r.MaxFailed = fleet.Hosts(4)
	for i := range 2 {
		place, _ := s.works("1", i)
		s.leaves(place, "failed")
	}
	s.does(s.c.Retry)
	place, _ := s.works("1", 0)
	s.leaves(place, "good")
	if err := s.c.Stop(s.t.Context(), s.name, "by hand"); err != nil {
		s.t.Fatal(err)
	}
	s.counts(map[fleet.Standing]int{fleet.HostGood: 1, fleet.HostFailed: 1, fleet.HostMissing: 2})
	s.does(s.c.Retry)
	s.isNotAsked("1", 0)
	place, _ = s.works("1", 1)
	s.leaves(place, "good")
}

// several: of those who do the same at once one does it, and the others are told; who
// stops and who resumes have both been heard.
func several(s *scene) {
	s.r.MaxFailed = fleet.Hosts(0)
	place, _ := s.works("1", 0)
	s.leaves(place, "failed")
	for _, what := range []func(context.Context, string, string) error{s.c.Retry, s.c.Stop, s.c.Resume} {
		var all sync.WaitGroup
		errs := make([]error, 5)
		for i := range errs {
			all.Go(func() { errs[i] = what(s.t.Context(), s.name, fmt.Sprint("by ", i)) })
		}
		all.Wait()
		done := 0
		for _, err := range errs {
			if err == nil {
				done++
			} else if !errors.Is(err, fleet.ErrAlready) {
				s.t.Error(err)
			}
		}
		if done != 1 {
			s.t.Errorf("%d have done it", done)
		}
	}
	var both sync.WaitGroup
	both.Go(func() { s.isFine(s.c.Stop(s.t.Context(), s.name, "by one")) })
	both.Go(func() { s.isFine(s.c.Resume(s.t.Context(), s.name, "another")) })
	both.Wait()
	s.isFine(s.c.Resume(s.t.Context(), s.name, "another"))
	for i := range 4 {
		place, _ := s.works("1", i)
		s.leaves(place, "good")
	}
}

// isFine wants it done, by whomever.
func (s *scene) isFine(err error) {
	s.t.Helper()
	if err != nil && !errors.Is(err, fleet.ErrAlready) {
		s.t.Error(err)
	}
}

// stoppedAtTheEnd: somebody stops it while the last host ends. Then nothing is left to
// go on for, and it is good all the same once it goes on.
func stoppedAtTheEnd(s *scene) {
	for i := range 3 {
		place, _ := s.works("1", i)
		s.leaves(place, "good")
	}
	last, _ := s.works("1", 3)
	if err := s.c.Stop(s.t.Context(), s.name, "by hand"); err != nil {
		s.t.Fatal(err)
	}
	s.leaves(last, "good")
	if state := s.read(); state.Phase != fleet.Stopped || state.Verdict() != fleet.VerdictFailed {
		s.t.Errorf("%+v", state)
	}
	if err := s.c.Resume(s.t.Context(), s.name, "me"); err != nil {
		s.t.Fatal(err)
	}
	if state := s.read(); state.Phase != fleet.Done || state.Verdict() != fleet.VerdictGood {
		s.t.Errorf("%+v", state)
	}
	s.refuses("has ended", s.c.Resume)
	s.refuses("has ended: nobody waits", s.c.Stop)
}
