package gate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"stretcher/internal/fleet"
	"stretcher/internal/fleet/consul"
	"stretcher/internal/fleet/gate"
	"stretcher/internal/testparts"
)

// atWork is a run that has its turn, what interrupts it, and what steals its slot.
func atWork(t *testing.T) (g *gate.Gate, run context.Context, interrupt context.CancelCauseFunc, steal func()) {
	t.Helper()
	a := testparts.Consul(t, "-hcl", `session_ttl_min = "1s"`)
	t.Setenv("CONSUL_HTTP_ADDR", a.HTTPAddr)
	t.Setenv("CONSUL_HTTP_TOKEN", a.Token)
	g = gate.New(fleet.Entry{Name: "web", Version: "1", ID: "1", Node: "web-1",
		Rollout: fleet.Rollout{Hosts: []string{"web-1"}, Lease: fleet.Span(2 * time.Second)}},
		slog.New(slog.NewTextHandler(io.Discard, nil)))
	run, interrupt = context.WithCancelCause(t.Context())
	t.Cleanup(func() { interrupt(nil) })
	if err := g.Wait(run, interrupt); err != nil {
		t.Fatal(err)
	}
	return g, run, interrupt, func() {
		for _, key := range strings.Split(a.Get("/v1/kv/stretcher/fleet/web/?keys=", a.Token), `"`) {
			if strings.Contains(key, "/t/") || strings.Contains(key, "/s/") {
				req, err := http.NewRequest(http.MethodDelete, fmt.Sprintf("http://%s/v1/kv/%s", a.HTTPAddr, key), nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("X-Consul-Token", a.Token)
				if resp, err := http.DefaultClient.Do(req); err == nil {
					resp.Body.Close()
				}
			}
		}
		for _, id := range strings.Split(a.Get("/v1/session/list", a.Token), `"`) {
			if len(id) == len("00000000-0000-0000-0000-000000000000") {
				a.Put(t, "/v1/session/destroy/"+id, "")
			}
		}
	}
}

// TestLost: a run that loses its slot ends, and what it still does at dest, whether the
// slot is lost before or after the run was interrupted, and before or after that began.
func TestLost(t *testing.T) {
	for _, interrupted := range []bool{false, true} {
		for _, begun := range []bool{false, true} {
			t.Run(fmt.Sprintf("interrupted %v, begun %v", interrupted, begun), func(t *testing.T) {
				g, run, interrupt, steal := atWork(t)
				if err := g.Sure(t.Context()); err != nil {
					t.Fatal(err)
				}
				if interrupted {
					interrupt(errors.New("SIGTERM"))
				}
				working, stop := context.Background(), func() {}
				if begun {
					working, stop = g.Working(t.Context())
				}
				steal()
				testparts.WaitFor(t, "a slot that is lost", func() bool { return g.Sure(t.Context()) != nil })
				if !begun {
					working, stop = g.Working(t.Context())
				}
				defer stop()
				<-working.Done()
				<-run.Done()
				if cause := context.Cause(working); !errors.Is(cause, fleet.ErrLost) {
					t.Errorf("what it still does ends by %v", cause)
				}
				if cause := context.Cause(run); errors.Is(cause, fleet.ErrLost) == interrupted {
					t.Errorf("it ends by %v", cause)
				}
				g.Leave(t.Context(), false, fleet.Result{Result: "failed"})
			})
		}
	}
}

// TestWorkingGoesOn: what a run does at dest goes on when it has no rollout, and when
// it leaves.
func TestWorkingGoesOn(t *testing.T) {
	g, _, _, _ := atWork(t)
	for _, g := range []*gate.Gate{nil, g} {
		working, stop := g.Working(t.Context())
		defer stop()
		if err := g.Sure(t.Context()); err != nil {
			t.Error(err)
		}
		g.Leave(t.Context(), true, fleet.Result{Result: "good"})
		if err := context.Cause(working); err != nil {
			t.Errorf("it ends by %v", err)
		}
	}
}

// TestLeavesOnce: a run tells once how it went.
func TestLeavesOnce(t *testing.T) {
	g, _, _, _ := atWork(t)
	g.Leave(t.Context(), false, fleet.Result{Result: "good"})
	g.Leave(t.Context(), false, fleet.Result{Result: "failed", Error: "too late"})
	c, err := consul.Open(consul.Config{})
	if err != nil {
		t.Fatal(err)
	}
	state, err := c.Read(t.Context(), "web")
	if err != nil || len(state.Hosts) != 1 || state.Hosts[0].Result.Result != "good" {
		t.Errorf("%+v, %v", state, err)
	}
}
