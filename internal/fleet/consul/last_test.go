package consul_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"stretcher/internal/fleet"
	"stretcher/internal/testparts"
)

// TestLastHostDies: who asks hears that a host has died, when no other host is left
// that could count it; and what it tells when it has come again.
func TestLastHostDies(t *testing.T) {
	a := agent(t)
	register(t, a, 2)
	for name, play := range map[string]func(*scene){"at work": lastAtWork, "waiting": lastWaiting} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, a, name, 2)
			play(s)
			state := s.stands(fleet.HostDied, fleet.HostGood)
			if !state.Ended() || state.Verdict() != fleet.VerdictFailed || state.Hosts[0].Result.Error == "" ||
				state.Hosts[0].Result.Run != "run-1" {
				t.Errorf("%+v", state)
			}
			s.r.Timeout = fleet.Span(testparts.Limit(20 * lease))
			again, _ := s.works("1", 1)
			s.stands(fleet.HostWorking, fleet.HostGood)
			s.leaves(again, "good")
			if state := s.stands(fleet.HostGood, fleet.HostGood); state.Verdict() != fleet.VerdictGood {
				t.Errorf("%+v", state)
			}
		})
	}
}

// TestRetryOfTheDead: a rollout that is repeated is also for a host that died at work and
// was not counted yet.
func TestRetryOfTheDead(t *testing.T) {
	a := agent(t)
	register(t, a, 2)
	s := newScene(t, a, "web", 2)
	s.r.Timeout = fleet.Span(testparts.Limit(20 * lease))
	lastAtWork(s)
	if err := s.c.Retry(t.Context(), "web", "me"); err == nil || !strings.Contains(err.Error(), "hosts at work: 1") {
		t.Errorf("while it may be alive: %v", err)
	}
	s.stands(fleet.HostDied, fleet.HostGood)
	if err := s.c.Retry(t.Context(), "web", "me"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.enter(s.entry("1", 0)).Wait(t.Context()); !errors.Is(err, fleet.ErrNotAsked) {
		t.Errorf("who was good: %v", err)
	}
	again, _ := s.works("1", 1)
	s.leaves(again, "good")
	s.stands(fleet.HostGood, fleet.HostGood)
}

// lastAtWork: the last host dies at work.
func lastAtWork(s *scene) {
	first, _ := s.works("1", 0)
	s.leaves(first, "good")
	ctx, kill := context.WithCancel(s.t.Context())
	place := s.enter(s.entry("1", 1))
	if _, err := place.Wait(ctx); err != nil {
		s.t.Fatal(err)
	}
	kill()
	if err := place.Leave(ctx, fleet.Result{Result: "good"}); err == nil {
		s.t.Error("it has told its result, and is dead")
	}
}

// lastWaiting: the last host dies while it waits, and is given the slot later.
func lastWaiting(s *scene) {
	first, _ := s.works("1", 0)
	ctx, kill := context.WithCancel(s.t.Context())
	place, told := s.enter(s.entry("1", 1)), make(chan error, 1)
	go func() {
		_, err := place.Wait(ctx)
		told <- err
	}()
	testparts.WaitFor(s.t, "a host in the line", func() bool { return s.read().Count(fleet.HostWaiting) > 0 })
	kill()
	if err := <-told; !errors.Is(err, context.Canceled) {
		s.t.Fatal(err)
	}
	s.leaves(first, "good")
}

// stands waits until the two hosts stand so, the worse first.
func (s *scene) stands(worse, better fleet.Standing) (state *fleet.State) {
	s.t.Helper()
	deadline := time.Now().Add(40 * time.Second)
	testparts.WaitFor(s.t, string(worse+" and "+better), func() bool {
		if time.Now().After(deadline) {
			s.t.Fatalf("%+v", s.read())
		}
		state = s.read()
		return len(state.Hosts) == 2 && state.Hosts[0].Standing == worse && state.Hosts[1].Standing == better
	})
	return state
}
