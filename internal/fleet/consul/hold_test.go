package consul

import (
	"context"
	"errors"
	"testing"
	"time"

	"stretcher/internal/fleet"
	"stretcher/internal/testparts"
)

// atWork is a host of an agent of its own that has its turn, and what ends its run.
func atWork(t *testing.T, r fleet.Rollout) (p *Place, work context.Context, interrupt func()) {
	t.Helper()
	a := testparts.Consul(t, "-hcl", `session_ttl_min = "1s"`)
	c, err := Open(Config{Address: a.HTTPAddr, Token: a.Token, Log: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	testparts.WaitFor(t, "the health of the agent's node", func() bool {
		checks, _, err := c.api.Health().State("passing", nil)
		return err == nil && len(checks) > 0
	})
	r.Hosts, r.Lease = []string{"web-1"}, fleet.Span(2*time.Second)
	p, err = c.Enter(t.Context(), fleet.Entry{Name: "web", Version: "1", ID: "1", Run: "r", Rollout: r})
	if err != nil {
		t.Fatal(err)
	}
	run, interrupt := context.WithCancel(t.Context())
	t.Cleanup(func() {
		interrupt()
		_ = p.Leave(run, fleet.Result{Result: "failed"})
	})
	if work, err = p.Wait(run); err != nil {
		t.Fatal(err)
	}
	return p, work, interrupt
}

// confirmedAgain waits until the host has confirmed its slot once more.
func confirmedAgain(t *testing.T, p *Place) {
	t.Helper()
	until := p.Until()
	testparts.WaitFor(t, "a slot that is confirmed", func() bool { return p.Until().After(until) })
}

// TestHeldToTheEnd: who is interrupted at work, or takes too long, has its slot until it
// leaves: what it had begun is brought to an end in it.
func TestHeldToTheEnd(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"interrupted": time.Hour, "too long": time.Second} {
		t.Run(name, func(t *testing.T) {
			p, work, interrupt := atWork(t, fleet.Rollout{Timeout: fleet.Span(timeout)})
			if timeout == time.Hour {
				interrupt()
			}
			<-work.Done()
			for range 3 {
				confirmedAgain(t, p)
			}
			if err := p.Sure(t.Context()); err != nil || p.Slot().Err() != nil {
				t.Errorf("it has lost its slot: %v", err)
			}
			if err := p.Leave(t.Context(), fleet.Result{Result: "failed"}); err != nil {
				t.Error(err)
			}
			if errors.Is(context.Cause(p.Slot()), fleet.ErrLost) || p.Slot().Err() == nil {
				t.Errorf("it has left, and its slot is %v", context.Cause(p.Slot()))
			}
		})
	}
}

// TestStoodStill: who stood still makes sure that the slot is its own before it begins
// anything, whether others have it meanwhile or not.
func TestStoodStill(t *testing.T) {
	for _, taken := range []bool{false, true} {
		p, work, _ := atWork(t, fleet.Rollout{})
		if taken { // by a session that is not its own
			id, err := p.createSession(t.Context(), "another", sessionWay{}, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			theirs := lockOp(p.turnKey(), encode(turn{State: turnWorking}), id)
			if err := p.write(t.Context(), deleteOp(p.turnKey()), theirs); err != nil {
				t.Fatal(err)
			}
		}
		p.mu.Lock()
		p.confirmed.boot -= p.lease
		p.mu.Unlock()
		if err := p.Sure(t.Context()); errors.Is(err, fleet.ErrLost) != taken || (err != nil) != taken {
			t.Errorf("taken %v: it is sure: %v", taken, err)
		}
		if taken {
			<-work.Done()
		}
		if cause := context.Cause(work); errors.Is(cause, fleet.ErrLost) != taken {
			t.Errorf("taken %v: its work ends by %v", taken, cause)
		}
	}
}

// TestSessionsHealth: the session of an agent's own node ends with the node's health;
// that of a node which has none does not need it.
func TestSessionsHealth(t *testing.T) {
	p, _, _ := atWork(t, fleet.Rollout{})
	own, _, err := p.api.Session().Info(p.session, nil)
	if err != nil || own == nil || len(own.NodeChecks) != 1 || own.NodeChecks[0] != serfHealth || own.TTL == "" {
		t.Errorf("%+v, %v", own, err)
	}
	other := &Place{ledger: p.ledger, agents: true, holder: holder{lease: p.lease}}
	other.entry.Node = "nobody"
	if err := other.makeSession(t.Context()); err != nil {
		t.Fatal(err)
	}
	if without, _, err := p.api.Session().Info(other.session, nil); err != nil || len(without.NodeChecks) > 0 {
		t.Errorf("%+v, %v", without, err)
	}
}
