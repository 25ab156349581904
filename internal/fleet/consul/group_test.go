package consul_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"stretcher/internal/fleet"
	"stretcher/internal/fleet/consul"
	"stretcher/internal/testparts"
	"stretcher/internal/text/failure"
)

// TestNobodyIn: a group that Consul does not know is no group of one. No host deploys;
// when its service is registered, the same event begins the rollout.
func TestNobodyIn(t *testing.T) {
	a := agent(t)
	register(t, a, 2)
	for name, r := range map[string]fleet.Rollout{
		"service":   {Service: "wbe"},
		"node_meta": {NodeMeta: map[string]string{"rack": "r9"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, a, name, 2)
			s.r = r
			for i := range 2 {
				s.unbegun(i, "consul knows no ")
			}
			state := s.read()
			if state.Phase != fleet.Stopped || state.Verdict() != fleet.VerdictFailed || !state.Ended() ||
				!strings.HasPrefix(state.Why, "it could not begin: consul knows no ") || state.Count(fleet.HostStopped) != 2 {
				t.Errorf("%+v", state)
			}
			if err := s.c.Stop(t.Context(), s.name, "me"); !errors.Is(err, fleet.ErrAlready) {
				t.Errorf("stop: %v", err)
			}
			for _, again := range []func() error{
				func() error { return s.c.Resume(t.Context(), s.name, "me") },
				func() error { return s.c.Retry(t.Context(), s.name, "me") },
			} {
				if err := again(); err == nil || failure.Hint(err) == "" || !strings.Contains(err.Error(), "it could not begin") {
					t.Errorf("again: %v", err)
				}
			}
			for i := range 2 {
				a.Register(t, fmt.Sprint("web-", i), cmp.Or(r.Service, "web"), r.NodeMeta)
			}
			for i := range 2 {
				place, _ := s.works("1", i)
				s.leaves(place, "good")
			}
			if state := s.read(); state.Verdict() != fleet.VerdictGood || len(state.Hosts) != 2 {
				t.Errorf("%+v", state)
			}
		})
	}
}

// unbegun is a host whose rollout does not begin.
func (s *scene) unbegun(i int, why string) {
	s.t.Helper()
	place := s.enter(s.entry("1", i))
	_, err := place.Wait(s.t.Context())
	if !errors.Is(err, fleet.ErrStopped) || !strings.Contains(err.Error(), why) || failure.Hint(err) == "" {
		s.t.Errorf("host %d: %v, %s", i, err, failure.Hint(err))
	}
	s.leaves(place, "stopped")
}

// TestNobodyInAtOnce: of many hosts that come at once, few ask for the group.
func TestNobodyInAtOnce(t *testing.T) {
	a := agent(t)
	s := newScene(t, a, "web", 0)
	s.r = fleet.Rollout{Service: "wbe", OnUnreachable: fleet.Proceed}
	told := make(chan error, 20)
	for i := range cap(told) {
		place := s.enter(s.entry("1", i))
		go func() {
			_, err := place.Wait(t.Context())
			told <- err
		}()
	}
	for range cap(told) {
		s.gets(told, fleet.ErrStopped)
	}
}

// TestGroupIsHidden: a group of which Consul keeps hosts from the token is not taken
// for a smaller one; the error says which right is missing.
func TestGroupIsHidden(t *testing.T) {
	a := testparts.ConsulWithACL(t, "-hcl", `session_ttl_min = "1s"`)
	register(t, a, 3)
	const host = "key_prefix \"\" {policy = \"write\"}\nsession_prefix \"\" {policy = \"write\"}\n" +
		"agent_prefix \"\" {policy = \"read\"}\n"
	rules := map[string]string{
		"all":     host + `node_prefix "" {policy = "read"} service_prefix "" {policy = "read"}`,
		"nodes":   host + `node_prefix "" {policy = "read"}`,
		"service": host + `service_prefix "" {policy = "read"}`,
		"one":     host + `node "web-1" {policy = "read"} service_prefix "" {policy = "read"}`,
	}
	tokens := map[string]string{}
	for name, text := range rules {
		tokens[name] = a.NewToken(t, name, text)
	}
	service, meta := fleet.Rollout{Service: "web"}, fleet.Rollout{NodeMeta: map[string]string{"rack": "r1"}}
	for i, c := range []struct {
		token string
		r     fleet.Rollout
		lacks string // "" = nothing
	}{
		{"all", service, ""}, {"all", meta, ""}, {"all", fleet.Rollout{Hosts: hosts(3)}, ""},
		{"nodes", service, `service:read for "web"`}, {"service", service, "node:read"}, {"one", service, "node:read"},
		{"service", meta, "node:read"}, {"one", meta, ""}, {"nodes", meta, ""},
		{"service", fleet.Rollout{Hosts: hosts(3)}, "node:read"}, {"one", fleet.Rollout{Hosts: hosts(3)}, "node:read"},
		{"one", fleet.Rollout{Hosts: []string{"WEB-1"}}, ""},
	} {
		client, err := consul.Open(consul.Config{Address: a.HTTPAddr, Token: tokens[c.token], Log: t.Logf})
		if err != nil {
			t.Fatal(err)
		}
		e := entry("1", 1, c.r)
		e.Name, e.Rollout.OnUnreachable = fmt.Sprint("case", i), fleet.Proceed
		place, err := client.Enter(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		_, err = place.Wait(t.Context())
		if c.lacks == "" && err != nil || c.lacks != "" && (!errors.Is(err, fleet.ErrStopped) ||
			!strings.Contains(err.Error(), c.lacks)) || place.Unlimited() {
			t.Errorf("%s, %s: %v", c.token, c.r.Group(), err)
		}
		if err := place.Leave(t.Context(), fleet.Result{Result: "good"}); err != nil {
			t.Errorf("%s, %s: %v", c.token, c.r.Group(), err)
		}
	}
}

// TestWhoCounts: shares are of the healthy members; who waits for the others, and what
// is told of them, depends on how the group is named.
func TestWhoCounts(t *testing.T) {
	a := agent(t)
	half := fleet.Rollout{Parallel: fleet.Percent(50), MaxFailed: fleet.Hosts(9)}
	for name, c := range map[string]struct {
		group    fleet.Rollout
		parallel int
		missing  int // of the six
		verdict  fleet.Verdict
	}{
		"service":                       {fleet.Rollout{Service: "web"}, 2, 2, fleet.VerdictGood},
		"node_meta":                     {fleet.Rollout{NodeMeta: map[string]string{"of": "web"}}, 2, 2, fleet.VerdictGood},
		"hosts":                         {fleet.Rollout{Hosts: append(hosts(6), "gone")}, 2, 3, fleet.VerdictMissing},
		"none is healthy, of a service": {fleet.Rollout{Service: "sick"}, 1, 2, fleet.VerdictMissing},
		"none is known, of a list":      {fleet.Rollout{Hosts: []string{"x", "y", "z", "u"}}, 2, 4, fleet.VerdictMissing},
	} {
		t.Run(name, func(t *testing.T) {
			registerIll(t, a)
			s := newScene(t, a, name, 0)
			s.r = c.group
			s.r.Parallel, s.r.MaxFailed = half.Parallel, half.MaxFailed
			for i := range 4 {
				place, _ := s.works("1", i)
				s.leaves(place, "good")
			}
			state := s.read()
			for i, h := range state.Hosts {
				if h.Standing == fleet.HostExpected { // it is missing as soon as it has had the time to come
					state.Hosts[i].Standing = fleet.HostMissing
				}
			}
			if state.Limits.Parallel != c.parallel || state.Count(fleet.HostMissing) != c.missing ||
				state.Verdict() != c.verdict || state.Ended() != (c.verdict == fleet.VerdictGood) {
				t.Errorf("%+v", state)
			}
			for _, h := range state.Hosts {
				outsider := !strings.HasPrefix(h.Node, "web-") || name == "none is known, of a list" || c.parallel == 1
				switch {
				case h.Standing == fleet.HostMissing && h.Note == "", h.Standing == fleet.HostGood && !outsider && h.Note != "",
					h.Standing == fleet.HostGood && outsider && h.Note != "not of the group":
					t.Errorf("%+v", h)
				}
			}
		})
	}
}

// registerIll makes six nodes known, of which the last two have failed, and two whose
// service has. Consul forgets nodes after a minute whose agents have failed: it is
// done again for each test.
func registerIll(t *testing.T, a testparts.ConsulAgent) {
	t.Helper()
	for i := range 6 {
		a.Register(t, fmt.Sprint("web-", i), "web", map[string]string{"of": "web"})
		a.Register(t, fmt.Sprint("ill-", i%2), "sick", nil)
	}
	fail(t, a, "web-4", "serfHealth", "")
	fail(t, a, "web-5", "serfHealth", "")
	fail(t, a, "ill-0", "up", "sick")
	fail(t, a, "ill-1", "up", "sick")
}

// fail has a check of a node fail.
func fail(t testing.TB, a testparts.ConsulAgent, node, check, service string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"Node": node, "Address": "127.0.0.1", "SkipNodeUpdate": true,
		"Check": map[string]string{"CheckID": check, "Name": check, "Status": "critical", "ServiceID": service}})
	if err != nil {
		t.Fatal(err)
	}
	a.Put(t, "/v1/catalog/register", string(body))
}
