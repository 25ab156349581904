package consul

import (
	"errors"
	"testing"

	"stretcher/internal/fleet"
	"stretcher/internal/testparts"
)

// TestIdentify: what the entry does not say of a host, its agent says, or the catalog
// where the node is not the agent's own; what it does say stays, and nobody is asked.
func TestIdentify(t *testing.T) {
	a := testparts.Consul(t, "-node-meta", "rack:r7")
	a.Register(t, "web-1", "web", map[string]string{"rack": "r1"})
	const nobody = "127.0.0.1:1"
	for name, c := range map[string]struct {
		address, node, zone, key string
		wantNode, wantZone       string
		agents                   bool
	}{
		"nothing is said":         {a.HTTPAddr, "", "", "", "test", "", true},
		"a zone is wanted":        {a.HTTPAddr, "", "", "node_meta.rack", "test", "r7", true},
		"its own, in capitals":    {a.HTTPAddr, "TEST", "", "node_meta.rack", "TEST", "r7", true},
		"another node":            {a.HTTPAddr, "web-1", "", "node_meta.rack", "web-1", "r1", false},
		"a node that is not":      {a.HTTPAddr, "web-9", "", "node_meta.rack", "web-9", "", false},
		"the zone is said":        {a.HTTPAddr, "", "mine", "node_meta.rack", "test", "mine", true},
		"all is said":             {nobody, "web-1", "mine", "node_meta.rack", "web-1", "mine", false},
		"the node, and no zone":   {nobody, "web-1", "", "", "web-1", "", false},
		"the node, an idle zone":  {nobody, "web-1", "mine", "", "web-1", "mine", false},
		"no zone key, zone given": {a.HTTPAddr, "", "mine", "", "test", "mine", true},
	} {
		client, err := Open(Config{Address: c.address, Token: a.Token})
		if err != nil {
			t.Fatal(err)
		}
		p, err := client.Enter(t.Context(), fleet.Entry{Name: "web", ID: "1", Node: c.node, Zone: c.zone,
			Rollout: fleet.Rollout{Zone: c.key}})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.identify(t.Context()); err != nil || p.entry.Node != c.wantNode || p.entry.Zone != c.wantZone ||
			p.agents != c.agents {
			t.Errorf("%s: %q in %q, the agent's %v, %v", name, p.entry.Node, p.entry.Zone, p.agents, err)
		}
	}
	p := &Place{ledger: bench(t)}
	if err := p.Leave(t.Context(), fleet.Result{Result: "good"}); err == nil {
		t.Error("a host that nobody knows has left")
	}
}

// TestAbandon: what a host got without knowing it gives back, but for its own place, and
// for what is another host's.
func TestAbandon(t *testing.T) {
	l := bench(t)
	two := shard{Cap: 2, Next: 2, Serving: 2, Held: []held{{0, "web-1"}, {1, "web-1"}}}
	for name, c := range map[string]struct {
		own  spot // where it knows that it is
		text string
		held int
	}{
		"a second one":       {spot{gen: "now", shard: "0", ticket: 1}, "", 1},
		"its only one":       {spot{}, "", 1},
		"its own":            {spot{gen: "now", shard: "0", ticket: 0}, "", 2},
		"the same of others": {spot{gen: "now", shard: "1", ticket: 0}, "", 1},
		"the same of later":  {spot{gen: newGen(), shard: "0", ticket: 0}, "", 1},
		"spoilt":             {spot{}, "{", 2},
		"another host's":     {spot{}, `{"node":"web-2","nonce":"theirs","state":"working"}`, 2},
		"gone":               {spot{}, "-", 2},
	} {
		s := l.play(t, nil, map[string]shard{"0": two, "1": two})
		s.at("0", 0, turnWorking)
		switch c.text {
		case "":
		case "-":
			s.do(deleteOp(s.p.turnKey()))
		default:
			s.do(setOp(s.p.turnKey(), []byte(c.text)))
		}
		if s.p.spot = c.own; c.own.gen == "now" {
			s.p.gen = s.h.Gen
		}
		if err := s.p.abandon(t.Context(), spot{gen: s.h.Gen, shard: "0", ticket: 0}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if now := s.shardNow("0"); len(now.Held) != c.held {
			t.Errorf("%s: %+v", name, now)
		}
	}
}

// TestCounts: the failure of a host that never asked for a slot counts in the rollout
// that goes on, and in no other.
func TestCounts(t *testing.T) {
	l := bench(t)
	for name, c := range map[string]struct {
		change func(*head)
		want   bool
	}{
		"open":     {func(*head) {}, true},
		"canaries": {func(h *head) { h.Phase = fleet.Canary }, true},
		"stopped":  {func(h *head) { h.Phase = fleet.Stopped }, false},
		"newer":    {func(h *head) { h.ID, h.Serial = "2", 2 }, false},
	} {
		s := l.play(t, func(h *head) { h.Limits.MaxFailed = 3; c.change(h) }, map[string]shard{"0": {Cap: 1}})
		s.p.entry.Serial, s.p.head = 1, nil
		counted, err := s.p.count(t.Context(), fleet.Result{Result: "failed"})
		if err != nil || counted != c.want || (s.shardNow("0").Failed == 1) != c.want {
			t.Errorf("%s: counted %v, %+v, %v", name, counted, s.shardNow("0"), err)
		}
	}
	away, err := Open(Config{Address: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := away.Enter(t.Context(), fleet.Entry{Name: "web", ID: "1", Node: "web-1"})
	if err != nil {
		t.Fatal(err)
	}
	counted, err := p.count(t.Context(), fleet.Result{Result: "failed"})
	if counted || !errors.Is(err, fleet.ErrUnreachable) {
		t.Errorf("without Consul: counted %v, %v", counted, err)
	}
}
