package consul_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"stretcher/internal/fleet"
	"stretcher/internal/fleet/consul"
	"stretcher/internal/testparts"
)

// meter counts the requests of a host.
type meter struct {
	next http.RoundTripper
	n    atomic.Int64
}

// RoundTrip counts a request.
func (m *meter) RoundTrip(req *http.Request) (*http.Response, error) {
	m.n.Add(1)
	return m.next.RoundTrip(req)
}

// TestOneWakes: a slot that is given back wakes the next in the line, and nobody else.
func TestOneWakes(t *testing.T) {
	a := agent(t)
	const n = 20
	register(t, a, n)
	s := newScene(t, a, "web", n)
	s.r.Lease, s.r.Timeout = fleet.Span(10*time.Minute), fleet.Span(time.Hour) // nobody looks after others meanwhile
	first, _ := s.works("1", 0)
	meters := make([]*meter, n)
	told := make(chan int, n)
	places := make([]*consul.Place, n)
	for i := 1; i < n; i++ {
		m := &meter{}
		meters[i] = m
		c, err := consul.Open(consul.Config{Address: a.HTTPAddr, Wrap: func(next http.RoundTripper) http.RoundTripper {
			m.next = next
			return m
		}})
		if err != nil {
			t.Fatal(err)
		}
		if places[i], err = c.Enter(t.Context(), s.entry("1", i)); err != nil {
			t.Fatal(err)
		}
		go func() {
			if _, err := places[i].Wait(t.Context()); err == nil {
				told <- i
			}
		}()
	}
	quiet := func() bool { // all have their two blocking queries
		before := sum(meters)
		time.Sleep(200 * time.Millisecond)
		return sum(meters) == before && s.read().Count(fleet.HostWaiting) == n-1
	}
	testparts.WaitFor(t, "all to wait", quiet)
	before := make([]int64, n)
	for i := 1; i < n; i++ {
		before[i] = meters[i].n.Load()
	}
	s.leaves(first, "good")
	next := <-told
	testparts.WaitFor(t, "quiet", func() bool {
		was := sum(meters)
		time.Sleep(200 * time.Millisecond)
		return sum(meters) == was
	})
	for i := 1; i < n; i++ {
		if asked := meters[i].n.Load() - before[i]; i != next && asked > 0 {
			t.Errorf("host %d asked %d times, and it is the turn of %d", i, asked, next)
		}
	}
	s.leaves(places[next], "good")
}

func sum(meters []*meter) (n int64) {
	for _, m := range meters {
		if m != nil {
			n += m.n.Load()
		}
	}
	return n
}
