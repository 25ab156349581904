package consul_test

import (
	"context"
	"errors"
	"testing"

	"stretcher/internal/fleet"
	"stretcher/internal/fleet/consul"
)

// by prepares a host behind a line of its own.
func (s *scene) by(l *line, i int) *consul.Place {
	s.t.Helper()
	client, err := consul.Open(consul.Config{Address: l.addr, Token: s.agent.Token, Log: s.t.Logf})
	if err != nil {
		s.t.Fatal(err)
	}
	place, err := client.Enter(s.t.Context(), s.entry("1", i))
	if err != nil {
		s.t.Fatal(err)
	}
	return place
}

// turn is what a host is told at last.
type turn struct {
	work context.Context
	err  error
}

// wait has a host wait for its turn.
func (s *scene) wait(place *consul.Place) <-chan turn {
	told := make(chan turn, 1)
	go func() {
		work, err := place.Wait(s.t.Context())
		told <- turn{work, err}
	}()
	return told
}

// TestPartitionAtWork: the network of a host at work is cut, by TCP's own means: it has
// ended before another one begins, and each tells its result.
func TestPartitionAtWork(t *testing.T) {
	t.Parallel()
	a := agent(t)
	register(t, a, 4)
	for name, how := range map[string]lineFault{"refused": refused, "black hole": hole, "one way": deaf} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, l := newScene(t, a, name, 4), newLine(t, a.HTTPAddr)
			first := s.by(l, 0)
			its := <-s.wait(first)
			if its.err != nil {
				t.Fatal(its.err)
			}
			second := s.enter(s.entry("1", 1))
			told := s.wait(second)
			l.set(how)
			<-its.work.Done()
			if cause := context.Cause(its.work); !errors.Is(cause, fleet.ErrLost) {
				t.Errorf("its work ends by %v", cause)
			}
			next := <-told
			if next.err != nil || its.work.Err() == nil {
				t.Errorf("the next one: %v; the first one has ended: %v", next.err, its.work.Err())
			}
			l.set(sound)
			s.leaves(first, "failed")
			s.leaves(second, "good")
			if state := s.read(); state.Count(fleet.HostGood) != 1 || state.Count(fleet.HostFailed) != 1 {
				t.Errorf("%+v", state)
			}
		})
	}
}

// TestPartitionWhileWaiting: the network of a host that waits is cut in the middle of its
// blocking queries: it has its turn all the same, and after one that is none of its
// own a slot is lost to nobody.
func TestPartitionWhileWaiting(t *testing.T) {
	t.Parallel()
	a := agent(t)
	register(t, a, 4)
	for name, cut := range map[string]func(*line){
		"reset": (*line).reset, "dead connections": (*line).freeze,
		"black hole": func(l *line) { l.sever(lease/2, hole) },
		"one way":    func(l *line) { l.sever(lease/2, deaf) },
		"refused":    func(l *line) { l.sever(lease/2, refused) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, l := newScene(t, a, "waiting "+name, 4), newLine(t, a.HTTPAddr)
			first, _ := s.works("1", 0)
			second := s.by(l, 1)
			told := s.wait(second)
			s.inLine(1)
			cut(l)
			s.leaves(first, "good")
			if next := <-told; next.err != nil {
				t.Fatal(next.err)
			}
			third := s.enter(s.entry("1", 2))
			late := s.wait(third)
			s.inLine(1)
			s.leaves(second, "good")
			if next := <-late; next.err != nil {
				t.Fatal(next.err)
			}
			s.leaves(third, "good")
			if state := s.read(); state.Count(fleet.HostGood) != 3 {
				t.Errorf("%+v", state)
			}
		})
	}
}
