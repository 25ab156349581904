package consul_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stretcher/internal/fleet"
	"stretcher/internal/fleet/consul"
	"stretcher/internal/testparts"
)

// TestBetween plays what happens where a rollout that goes on meets something else.
func TestBetween(t *testing.T) {
	a := agent(t)
	register(t, a, 4)
	for name, play := range map[string]func(*scene){
		"silent-again": silentAgain, "older-one": olderWhileResumed, "narrower": failuresStay,
		"draining": failsWhileDraining,
		"unheard":  takesUnheard, "unheard-turn": takesTurnUnheard,
		"canary-again": canaryFailsTwice, "few-canaries": fewCanaries,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(newScene(t, a, name, 4))
		})
	}
}

// silentAgain: who has told something before a rollout went on, and does not come again
// in time, is silent like those who have never come.
func silentAgain(s *scene) {
	s.r.MaxFailed = fleet.Hosts(0)
	first, _ := s.works("1", 0)
	s.leaves(first, "failed")
	for i := 1; i < 3; i++ {
		place := s.enter(s.entry("1", i))
		_, err := place.Wait(s.t.Context())
		if !errors.Is(err, fleet.ErrStopped) {
			s.t.Errorf("host %d: %v", i, err)
		}
		s.leaves(place, "stopped")
	}
	s.does(s.c.Resume)
	place, _ := s.works("1", 3)
	s.leaves(place, "good")
	s.ages()
	s.strikes()
	s.counts(map[fleet.Standing]int{fleet.HostGood: 1, fleet.HostFailed: 3})
	s.stopsFor(0, "2 failed, 2 of them silent", false)
}

// olderWhileResumed: a late host of an older rollout does not take the place of one that
// has just gone on, whose hosts have yet to come again.
func olderWhileResumed(s *scene) {
	s.r.MaxFailed = fleet.Hosts(0)
	for i := range 4 {
		place, _ := s.works("1", i)
		s.leaves(place, "good")
	}
	first, _ := s.works("2", 0)
	s.leaves(first, "failed")
	for i := 1; i < 4; i++ {
		place := s.enter(s.entry("2", i))
		_, _ = place.Wait(s.t.Context())
		s.leaves(place, "stopped")
	}
	s.does(s.c.Resume)
	if _, err := s.enter(s.entry("1", 1)).Wait(s.t.Context()); !errors.Is(err, fleet.ErrSuperseded) {
		s.t.Errorf("a late host of the older one: %v", err)
	}
	if state := s.read(); state.Version != "2" {
		s.t.Errorf("%+v", state)
	}
}

// failuresStay: what has failed counts as well after a host has begun the rollout again,
// with narrower limits.
func failuresStay(s *scene) {
	s.r.Parallel = fleet.Hosts(2)
	first, _ := s.works("1", 0)
	s.leaves(first, "failed")
	s.r.Parallel = fleet.Hosts(1)
	second, _ := s.works("1", 1)
	s.leaves(second, "failed")
	if state := s.read(); state.Phase != fleet.Stopped || !strings.Contains(state.Why, "2 failed, and 1 may") {
		s.t.Errorf("%+v", state)
	}
}

// failsWhileDraining: nor is a failure forgotten of who was at work when it began again.
func failsWhileDraining(s *scene) {
	s.r.Parallel, s.r.MaxFailed = fleet.Hosts(2), fleet.Hosts(0)
	first, _ := s.works("1", 0)
	s.r.Parallel = fleet.Hosts(1)
	second := s.enter(s.entry("1", 1))
	told := make(chan error, 1)
	go func() {
		_, err := second.Wait(s.t.Context())
		told <- err
	}()
	testparts.WaitFor(s.t, "its limit to hold", func() bool { return s.read().Limits.Parallel == 1 })
	s.leaves(first, "failed")
	s.gets(told, fleet.ErrStopped)
	s.does(s.c.Resume) // it counts anew
	third, _ := s.works("1", 1)
	s.leaves(third, "good")
}

// canaryFailsTwice: where a canary has failed in a retry as well, a host goes first and
// alone when the rollout goes on for all; where it was good then, none does.
func canaryFailsTwice(s *scene) {
	s.r.Canary, s.r.Parallel = 1, fleet.Hosts(3)
	s.runs("1", "failed")
	s.does(s.c.Retry)
	s.runs("1", "failed")
	s.does(s.c.Retry) // who is not asked, is not waited for
	s.runs("1", "good")
	s.does(s.c.Resume)
	if state := s.read(); state.Phase != fleet.Open {
		s.t.Errorf("a canary was good: %+v", state)
	}
	s.runs("2", "failed")
	s.does(s.c.Retry)
	s.runs("2", "failed")
	s.does(s.c.Resume)
	if state := s.read(); state.Phase != fleet.Canary || state.Limits.Canary != 1 {
		s.t.Errorf("no canary was good: %+v", state)
	}
}

// runs has the first host run once more.
func (s *scene) runs(version, result string) {
	s.t.Helper()
	e := s.entry(version, 0)
	e.Run = fmt.Sprint("run-", time.Now().UnixNano())
	place := s.enter(e)
	if _, err := place.Wait(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.leaves(place, result)
}

// fewCanaries: a rollout ends that has fewer hosts left to go than canaries to be good.
func fewCanaries(s *scene) {
	s.r.Canary = 3
	for i := range 2 {
		s.leaves(s.enter(s.entry("1", i)), "good") // they had nothing to do
	}
	for i := 2; i < 4; i++ {
		place, _ := s.works("1", i)
		s.leaves(place, "good")
	}
	if state := s.read(); state.Phase != fleet.Done || state.Verdict() != fleet.VerdictGood {
		s.t.Errorf("%+v", state)
	}
}

// unheard is a network that loses the answer by which a host would know that it has its
// slot, and is down from then on.
type unheard struct {
	next http.RoundTripper
	once sync.Once
	lost chan struct{} // closed when it has
	down atomic.Bool
}

// RoundTrip sends a request, unless the network is down.
func (u *unheard) RoundTrip(req *http.Request) (*http.Response, error) {
	if u.down.Load() {
		return nil, errCut
	}
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
		_ = req.Body.Close()
		req = req.Clone(req.Context())
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	resp, err := u.next.RoundTrip(req)
	if err == nil && bytes.Contains(body, []byte(`"Verb":"lock"`)) {
		u.once.Do(func() {
			u.down.Store(true)
			close(u.lost)
		})
	}
	if err == nil && u.down.Load() {
		_ = resp.Body.Close()
		return nil, errCut
	}
	return resp, err
}

// takesUnheard: a host takes a slot at once, and does not hear of it before its rollout
// begins again. It gives that slot back and is not counted as died, which would stop all.
func takesUnheard(s *scene) { s.unheard(false) }

// takesTurnUnheard: the same of a turn that another one has handed to it.
func takesTurnUnheard(s *scene) { s.unheard(true) }

func (s *scene) unheard(waits bool) {
	s.r.Parallel, s.r.MaxFailed = fleet.Hosts(2), fleet.Hosts(0)
	s.r.Lease = fleet.Span(10 * time.Second) // nobody is missed because the machine is busy
	first, _ := s.works("1", 0)
	net := &unheard{lost: make(chan struct{})}
	client, err := consul.Open(consul.Config{Address: s.agent.HTTPAddr, Token: s.agent.Token,
		Wrap: func(next http.RoundTripper) http.RoundTripper { net.next = next; return net }})
	if err != nil {
		s.t.Fatal(err)
	}
	second, err := client.Enter(s.t.Context(), s.entry("1", 1))
	if err != nil {
		s.t.Fatal(err)
	}
	told := make(chan error, 2)
	deploys := func(place *consul.Place) {
		_, err := place.Wait(s.t.Context())
		told <- errors.Join(err, place.Leave(s.t.Context(), fleet.Result{Result: "good"}))
	}
	if waits {
		other, _ := s.works("1", 3)
		go deploys(second)
		testparts.WaitFor(s.t, "a host in the line", func() bool { return s.read().Count(fleet.HostWaiting) == 1 })
		s.leaves(other, "good")
	} else {
		go deploys(second)
	}
	select {
	case <-net.lost:
	case err := <-told:
		s.t.Fatal(err)
	}
	s.r.Parallel = fleet.Hosts(1)
	go deploys(s.enter(s.entry("1", 2)))
	testparts.WaitFor(s.t, "its limit to hold", func() bool { return s.read().Limits.Parallel == 1 })
	net.down.Store(false)
	s.leaves(first, "good")
	s.gets(told, nil)
	s.gets(told, nil)
	if state := s.read(); state.Phase == fleet.Stopped || state.Count(fleet.HostDied) > 0 {
		s.t.Errorf("%+v", state)
	}
}
