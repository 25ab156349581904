package consul

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stretcher/internal/fleet"
	"stretcher/internal/testparts"
)

// faltering is a network that fails so many times.
type faltering struct {
	fails atomic.Int64
	next  http.RoundTripper
}

// RoundTrip sends a request, or fails.
func (f *faltering) RoundTrip(req *http.Request) (*http.Response, error) {
	if f.fails.Load() > 0 && f.fails.Add(-1) >= 0 {
		return nil, errors.New("the network falters")
	}
	return f.next.RoundTrip(req)
}

// TestGoesOn: a host at work that does not reach Consul for a moment tries again, and
// has its slot.
func TestGoesOn(t *testing.T) {
	a := testparts.Consul(t, "-hcl", `session_ttl_min = "1s"`)
	net := &faltering{}
	c, err := Open(Config{Address: a.HTTPAddr, Token: a.Token, Log: t.Logf,
		Wrap: func(next http.RoundTripper) http.RoundTripper { net.next = next; return net }})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Enter(t.Context(), fleet.Entry{Name: "web", Version: "1", ID: "1", Run: "r", Node: "web-1",
		Rollout: fleet.Rollout{Hosts: []string{"web-1"}, Lease: fleet.Span(10 * time.Second)}})
	if err != nil {
		t.Fatal(err)
	}
	work, err := p.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		net.fails.Store(3)
		testparts.WaitFor(t, "requests that failed", func() bool { return net.fails.Load() <= 0 })
		confirmedAgain(t, p)
	}
	if work.Err() != nil {
		t.Errorf("its work ended by %v", context.Cause(work))
	}
	if err := p.Leave(t.Context(), fleet.Result{Result: "good"}); err != nil {
		t.Error(err)
	}
}

// TestLeavesLate: a host that ended while Consul was away tells how it fared when it is
// back, and says once that it tries; it ends when it is told to.
func TestLeavesLate(t *testing.T) {
	a := testparts.Consul(t, "-hcl", `session_ttl_min = "1s"`)
	for _, back := range []bool{true, false} {
		net, said := &faltering{}, make(chan string, 100)
		c, err := Open(Config{Address: a.HTTPAddr, Token: a.Token,
			Log:  func(format string, args ...any) { said <- format },
			Wrap: func(next http.RoundTripper) http.RoundTripper { net.next = next; return net }})
		if err != nil {
			t.Fatal(err)
		}
		p, err := c.Enter(t.Context(), fleet.Entry{Name: "late", Version: "1", ID: fmt.Sprint(back), Run: "r", Node: "web-1",
			Rollout: fleet.Rollout{Hosts: []string{"web-1"}, Lease: fleet.Span(time.Minute)}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		net.fails.Store(math.MaxInt64)
		ctx, stop := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() { left <- p.Leave(ctx, fleet.Result{Result: "good"}) }()
		if text := <-said; !strings.Contains(text, "has yet to hear") {
			t.Errorf("it says %q", text)
		}
		if back {
			net.fails.Store(0)
		} else {
			stop()
		}
		if err := <-left; (err == nil) != back || len(said) > 0 {
			t.Errorf("Consul is back: %v: %v, and it says %d more", back, err, len(said))
		}
		stop()
	}
}

// TestRest: who holds a slot rests between two looks, unless the machine stood still, or
// its work is over.
func TestRest(t *testing.T) {
	const d = 50 * time.Millisecond
	h := &holder{lease: time.Hour, confirmed: now()}
	began := time.Now()
	if !h.rest(t.Context(), d) || time.Since(began) < d {
		t.Errorf("it rested for %s", time.Since(began))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if h.rest(ctx, time.Hour) || h.rest(ctx, 0) {
		t.Error("it rests, and its work is over")
	}
	h.confirmed.boot -= time.Hour
	if !h.rest(t.Context(), time.Hour) { // it does not return for an hour else
		t.Error("it does not look, and the machine stood still")
	}
}
