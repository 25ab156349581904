package consul_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stretcher/internal/fleet"
	"stretcher/internal/fleet/consul"
	"stretcher/internal/testparts"
)

// lease is that of the tests: hosts are missed in seconds.
const lease = 2 * time.Second

// agent starts a Consul that takes sessions as short as that.
func agent(t testing.TB) testparts.ConsulAgent {
	t.Helper()
	return testparts.Consul(t, "-hcl", `session_ttl_min = "1s"`, "-hcl", "limits { http_max_conns_per_client = 4000 }")
}

func open(t testing.TB, a testparts.ConsulAgent) *consul.Client {
	t.Helper()
	log := func(format string, args ...any) {
		if t.Context().Err() == nil { // hosts that a test leaves at work go on until its end, and may say so later
			t.Logf(format, args...)
		}
	}
	c, err := consul.Open(consul.Config{Address: a.HTTPAddr, Token: a.Token, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// entry is that of a host of the test.
func entry(version string, i int, r fleet.Rollout) fleet.Entry {
	if r.Lease == 0 {
		r.Lease = fleet.Span(lease)
	}
	return fleet.Entry{
		Name: "web", Version: version, ID: "id-" + version,
		Run: fmt.Sprintf("run-%d", i), Node: fmt.Sprintf("web-%d", i), Rollout: r,
	}
}

// register makes so many nodes known.
func register(t testing.TB, a testparts.ConsulAgent, n int) {
	t.Helper()
	for i, host := range hosts(n) {
		a.Register(t, host, "web", map[string]string{"rack": fmt.Sprint("r", i%3)})
	}
}

// hosts lists so many of them by name.
func hosts(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("web-%d", i))
	}
	return names
}

// observer counts who is at work.
type observer struct {
	now, most atomic.Int64
}

func (o *observer) work(ctx context.Context, d time.Duration) error {
	n := o.now.Add(1)
	defer o.now.Add(-1)
	for was := o.most.Load(); n > was && !o.most.CompareAndSwap(was, n); was = o.most.Load() {
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// deploy is what a host does; result says how its work ends.
func deploy(t testing.TB, c *consul.Client, e fleet.Entry, o *observer, result string) error {
	place, err := c.Enter(t.Context(), e)
	if err != nil {
		t.Error(err)
		return err
	}
	work, err := place.Wait(t.Context())
	r := fleet.Result{Result: result, Started: time.Now(), Finished: time.Now()}
	if err == nil {
		err = o.work(work, 20*time.Millisecond)
	} else {
		r.Result, r.Error = "stopped", err.Error()
	}
	if left := place.Leave(t.Context(), r); left != nil {
		t.Errorf("host %s leaves: %v", e.Node, left)
	}
	return err
}

// TestRollout: all hosts have their turn, no more than parallel at once, and each says
// how it went.
func TestRollout(t *testing.T) {
	a := agent(t)
	const n = 30
	register(t, a, n)
	for _, parallel := range []int64{1, 4, 20} {
		t.Run(fmt.Sprint(parallel), func(t *testing.T) {
			var o observer
			var all sync.WaitGroup
			version := fmt.Sprint("v", parallel)
			for i := range n {
				all.Go(func() {
					e := entry(version, i, fleet.Rollout{Hosts: hosts(n), Parallel: fleet.Hosts(parallel)})
					if err := deploy(t, open(t, a), e, &o, "good"); err != nil {
						t.Errorf("host %d: %v", i, err)
					}
				})
			}
			all.Wait()
			s, err := open(t, a).Read(t.Context(), "web")
			if err != nil || s.Count(fleet.HostGood) != n || s.Version != version {
				t.Errorf("%+v, %v", s, err)
			}
			if most := o.most.Load(); most > parallel {
				t.Errorf("%d at work, of %d", most, parallel)
			}
			if err := open(t, a).Stop(t.Context(), "web", "by hand"); err == nil {
				t.Error("it is stopped after its end")
			}
			if s, err = open(t, a).Read(t.Context(), "web"); err != nil || s.Phase != fleet.Done {
				t.Errorf("then it is %v, %v", s.Phase, err)
			}
		})
	}
}

// TestCanariesAlone: a rollout ends whose hosts are all canaries; nobody is left to
// wait for the pause after them.
func TestCanariesAlone(t *testing.T) {
	a := agent(t)
	register(t, a, 2)
	var o observer
	for i := range 2 {
		e := entry("v1", i, fleet.Rollout{Hosts: hosts(2), Canary: 2, Pause: fleet.Span(time.Hour)})
		if err := deploy(t, open(t, a), e, &o, "good"); err != nil {
			t.Fatal(err)
		}
	}
	s, err := open(t, a).Read(t.Context(), "web")
	if err != nil || s.Phase != fleet.Done || s.Verdict() != fleet.VerdictGood {
		t.Errorf("%+v, %v", s, err)
	}
}
