package consul

import (
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/fleet"
	"stretcher/internal/testparts"
)

// TestLooser: a rollout as it is in KV lets no more be done than the manifest.
func TestLooser(t *testing.T) {
	r := fleet.Rollout{Service: "web", Parallel: fleet.Percent(10), MaxFailed: fleet.Hosts(2)}
	for name, c := range map[string]struct {
		change func(*head, *fleet.Rollout)
		wrong  bool
	}{
		"the same":            {func(*head, *fleet.Rollout) {}, false},
		"fewer at once":       {func(h *head, _ *fleet.Rollout) { h.Limits.Parallel-- }, false},
		"more at once":        {func(h *head, _ *fleet.Rollout) { h.Limits.Parallel++ }, true},
		"more failed":         {func(h *head, _ *fleet.Rollout) { h.Limits.MaxFailed++ }, true},
		"more shards":         {func(h *head, _ *fleet.Rollout) { h.Shards++ }, true},
		"a shorter lease":     {func(h *head, _ *fleet.Rollout) { h.Limits.LeaseMS-- }, true},
		"a longer lease":      {func(h *head, _ *fleet.Rollout) { h.Limits.LeaseMS++ }, false},
		"a policy with less":  {func(_ *head, r *fleet.Rollout) { r.Parallel = fleet.Hosts(3) }, true},
		"a policy with more":  {func(_ *head, r *fleet.Rollout) { r.Parallel = fleet.Hosts(30) }, false},
		"fewer hosts by name": {func(_ *head, r *fleet.Rollout) { r.Hosts = make([]string, 50) }, true},
	} {
		h, r := &head{Phase: fleet.Open}, r
		h.limit(r, 100)
		c.change(h, &r)
		if h.looser(r) != c.wrong {
			t.Errorf("%s: looser %v", name, !c.wrong)
		}
	}
}

// TestSlots: a shard that says that it has more slots than it can have has no more.
func TestSlots(t *testing.T) {
	h := &head{}
	h.limit(fleet.Rollout{Parallel: fleet.Hosts(17), Canary: 2}, 100)
	for name, most := range map[string]int{"0": 9, "1": 8, canaryShard: 2} {
		s := &shard{Cap: 1000}
		for h.free(name, s) && len(s.Held) < 1000 {
			s.Held = append(s.Held, held{})
		}
		if len(s.Held) != most {
			t.Errorf("%s: %d slots, not %d", name, len(s.Held), most)
		}
	}
}

// TestOverdue: a turn that is gone, restored and gone again was not gone all the time.
func TestOverdue(t *testing.T) {
	const patience = time.Hour
	for name, c := range map[string]struct {
		pair     *api.KVPair
		restored int
		over     bool
	}{
		"gone all the time":      {nil, 1, true},
		"restored, gone again":   {nil, 2, false},
		"taken, free again":      {&api.KVPair{ModifyIndex: 7}, 1, false},
		"held":                   {&api.KVPair{ModifyIndex: 1, Session: "s"}, 1, false},
		"free for the same time": {&api.KVPair{ModifyIndex: 1}, 2, true},
	} {
		g := newGuard(patience)
		g.seen["k"] = sight{1, time.Now().Add(-2 * patience)}
		if over, _, _ := g.overdue("k", c.pair, time.Millisecond, c.restored); over != c.over {
			t.Errorf("%s: overdue %v", name, over)
		}
	}
	for text, over := range map[string]bool{
		`{"state":"yours"}`: true, `{"state":"waiting"}`: true, `{"state":"working"}`: false, `{`: false,
	} {
		g := newGuard(patience)
		g.seen["k"] = sight{1, time.Now().Add(-patience * 3 / 5)}
		pair := &api.KVPair{Value: []byte(text), ModifyIndex: 1}
		if got, left, _ := g.overdue("k", pair, time.Millisecond, 0); got != over || !left {
			t.Errorf("%s for more than half of the lease: overdue %v, nobody there %v", text, got, left)
		}
	}
	if over, _, _ := newGuard(patience).overdue("k", nil, 0, 0); over {
		t.Error("a lease of nothing is believed")
	}
}

// bench is a ledger at a real Consul.
func bench(t *testing.T) *ledger {
	t.Helper()
	a := testparts.Consul(t)
	c, err := Open(Config{Address: a.HTTPAddr, Token: a.Token, Log: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	return c.ledger("web")
}

// write writes a head, and returns it with its index.
func (l *ledger) writeHead(t *testing.T, id string, old *head) (*head, uint64) {
	t.Helper()
	h := &head{ID: id, Gen: newGen(), Phase: fleet.Open}
	h.limit(fleet.Rollout{Parallel: fleet.Hosts(1)}, 3)
	h.follows(old)
	if err := l.write(t.Context(), setOp(l.headKey(), encode(h))); err != nil {
		t.Fatal(err)
	}
	read, index, err := l.readHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return read, index
}

// TestCleanAfterwards: who begins a rollout that has been replaced meanwhile removes
// nothing of the newer one; who begins the current one removes what is not told of.
func TestCleanAfterwards(t *testing.T) {
	l := bench(t)
	first, _ := l.writeHead(t, "1", nil)
	second, index := l.writeHead(t, "2", first)
	third, now := l.writeHead(t, "3", second)
	stray := newGen()
	for _, gen := range []string{third.Gen, stray} {
		if err := l.write(t.Context(), setOp(l.shardKey(gen, "0"), encode(shard{Cap: 1}))); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.clean(t.Context(), second, index); err != nil {
		t.Fatal(err)
	}
	if gens, err := l.below(t.Context(), l.gensKey()); err != nil || len(gens) != 2 {
		t.Errorf("of the newer one is left %v, %v", gens, err)
	}
	if err := l.clean(t.Context(), third, now); err != nil {
		t.Fatal(err)
	}
	if gens, err := l.below(t.Context(), l.gensKey()); err != nil || len(gens) != 1 || gens[0] != third.Gen {
		t.Errorf("left is %v, %v", gens, err)
	}
}

// TestSettlePassesMany: however many have left the line, who is behind them has its
// turn; so it is when nobody is behind them.
func TestSettlePassesMany(t *testing.T) {
	l := bench(t)
	for _, behind := range []bool{true, false} {
		h, _ := l.writeHead(t, "1", nil)
		ops := []*api.KVTxnOp{setOp(l.shardKey(h.Gen, "0"), encode(shard{Cap: 1, Next: 100}))}
		key := l.turnKeyOf(h.Gen, "0", 99)
		if behind {
			ops = append(ops, setOp(key, encode(turn{Node: "web-1", Nonce: "n", State: turnWaiting})))
		}
		if err := l.write(t.Context(), ops...); err != nil {
			t.Fatal(err)
		}
		if err := l.settle(t.Context(), h.Gen, "0"); err != nil {
			t.Fatal(err)
		}
		s, _, err := l.readShard(t.Context(), l.shardKey(h.Gen, "0"))
		if err != nil || s.Serving != 100 || (len(s.Held) == 1) != behind {
			t.Errorf("behind %v: %+v, %v", behind, s, err)
		}
	}
}

// TestBeginsAnew: who has begun a rollout that goes on by now writes no shards of it
// again, when it begins it with narrower limits; who has not come so far does.
func TestBeginsAnew(t *testing.T) {
	l := bench(t)
	for _, phase := range []fleet.Phase{fleet.Open, beginning} {
		h, _ := l.writeHead(t, "1", nil)
		h.Phase = phase
		s := shard{Cap: 1, Next: 1, Serving: 1, Held: []held{{0, "web-1"}}}
		if err := l.write(t.Context(), setOp(l.headKey(), encode(h)), setOp(l.shardKey(h.Gen, "0"), encode(s))); err != nil {
			t.Fatal(err)
		}
		_, index, err := l.readHead(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p := &Place{ledger: l, began: h.Gen, guard: *newGuard(time.Minute), holder: holder{lease: time.Minute},
			entry: fleet.Entry{Name: "web", ID: "1", Node: "web-1", Rollout: fleet.Rollout{Hosts: []string{"web-1"}}}}
		if err := p.begin(t.Context(), h, index); err != nil {
			t.Fatal(err)
		}
		now, _, err := l.readShard(t.Context(), l.shardKey(h.Gen, "0"))
		if err != nil || (len(now.Held) == 1) != (phase == fleet.Open) {
			t.Errorf("%s: %+v, %v", phase, now, err)
		}
	}
}

// TestForgetsOneMoment: what was read beside a head that is another one by now, or gone,
// is no reason to refuse; beside one that stands it is.
func TestForgetsOneMoment(t *testing.T) {
	l := bench(t)
	for name, c := range map[string]struct {
		then    func()
		changed bool
	}{
		"stands":   {func() {}, false},
		"replaced": {func() { l.writeHead(t, "2", nil) }, true},
		"gone": {func() {
			if err := l.write(t.Context(), deleteTreeOp(l.base)); err != nil {
				t.Fatal(err)
			}
		}, true},
	} {
		_, index := l.writeHead(t, "1", nil)
		o := &forgetting{ledger: l, Forgetting: fleet.Forgetting{Name: "web"}, guard: newGuard(0)}
		c.then()
		if changed, err := o.hasChanged(t.Context(), &kept{index: index}); changed != c.changed || err != nil {
			t.Errorf("%s: changed: %v, error %v", name, changed, err)
		}
	}
}
