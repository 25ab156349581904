package consul

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/fleet"
	"stretcher/internal/testparts"
)

// scene is a rollout as it is written, and a host of it.
type scene struct {
	*ledger
	t *testing.T
	h *head
	p *Place
}

// play writes a rollout with these shards. The host is in none of them yet.
func (l *ledger) play(t *testing.T, change func(*head), shards map[string]shard) *scene {
	t.Helper()
	h := &head{ID: "1", Gen: newGen(), Phase: fleet.Open, Members: 100, Shards: len(shards)}
	h.Limits = limits{Parallel: 16 * len(shards), LeaseMS: time.Minute.Milliseconds()}
	if change != nil {
		change(h)
	}
	ops := []*api.KVTxnOp{setOp(l.headKey(), encode(h)), setOp(l.shardKey(h.Gen, canaryShard), encode(shard{Cap: 1}))}
	for name, s := range shards {
		ops = append(ops, setOp(l.shardKey(h.Gen, name), encode(s)))
	}
	if err := l.write(t.Context(), ops...); err != nil {
		t.Fatal(err)
	}
	h, index, err := l.readHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, err := l.Enter(t.Context(), fleet.Entry{Name: "web", ID: "1", Version: "1", Node: "web-1",
		Rollout: fleet.Rollout{Parallel: fleet.Hosts(100), MaxFailed: fleet.Hosts(100), Lease: fleet.Span(time.Minute)}})
	if err != nil {
		t.Fatal(err)
	}
	p.head, p.headIndex = h, index
	return &scene{l, t, h, p}
}

// holder is a shard in which one host has the only slot, and nobody waits.
func oneHolder(node string) shard {
	return shard{Cap: 1, Next: 1, Serving: 1, Held: []held{{0, node}}}
}

// at puts the host on a ticket of a shard, with a turn in that state.
func (s *scene) at(shard string, ticket int, state turnState) {
	s.t.Helper()
	s.p.gen, s.p.shard, s.p.ticket = s.h.Gen, shard, ticket
	if err := s.write(s.t.Context(), setOp(s.p.turnKey(), s.p.own(state))); err != nil {
		s.t.Fatal(err)
	}
}

// dies has who holds a turn of shard 0 counted as died: it has long been missed.
func (s *scene) dies(key string) {
	s.t.Helper()
	pair, err := s.get(s.t.Context(), key)
	if err != nil || pair == nil {
		s.t.Fatal(pair, err)
	}
	s.p.guard.seen[key] = sight{pair.ModifyIndex, time.Now().Add(-time.Hour)}
	if _, err := s.relieve(s.t.Context(), s.h.past(), "0", &s.p.guard); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) now() *head {
	s.t.Helper()
	h, _, err := s.readHead(s.t.Context())
	if err != nil || h == nil {
		s.t.Fatal(h, err)
	}
	return h
}

func (s *scene) shardNow(name string) shard {
	s.t.Helper()
	now, _, err := s.readShard(s.t.Context(), s.shardKey(s.h.Gen, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return now
}

// has tells whether the host's turn is there.
func (s *scene) hasTurn() bool {
	s.t.Helper()
	pair, err := s.get(s.t.Context(), s.p.turnKey())
	if err != nil {
		s.t.Fatal(err)
	}
	return pair != nil
}

// TestStopsAtOnce: a failure that is one too many stops the rollout in the transaction
// that counts it: whoever counts it may die right then.
func TestStopsAtOnce(t *testing.T) {
	l := bench(t)
	full := map[string]shard{"0": oneHolder("web-1"), "1": oneHolder("web-2")}
	for name, c := range map[string]struct {
		most, before int
		canary       bool
		stops        bool
	}{
		"one too many":               {0, 0, false, true},
		"as many as may":             {1, 0, false, false},
		"with that of another shard": {1, 1, false, true},
		"a canary":                   {5, 0, true, true},
	} {
		shards := map[string]shard{"0": full["0"], "1": full["1"]}
		other := shards["1"]
		other.Failed = c.before
		shards["1"] = other
		s := l.play(t, func(h *head) {
			if h.Limits.MaxFailed = c.most; c.canary {
				h.Phase, h.Limits.Canary = fleet.Canary, 1
			}
		}, shards)
		in := "0"
		if c.canary {
			in = canaryShard
			if err := l.write(t.Context(), setOp(l.shardKey(s.h.Gen, in), encode(oneHolder("web-1")))); err != nil {
				t.Fatal(err)
			}
		}
		s.at(in, 0, turnWorking)
		if err := s.p.giveBack(t.Context(), s.p.spot, fleet.HostFailed, nil); err != nil {
			t.Fatal(err)
		}
		if got := s.now(); (got.Phase == fleet.Stopped) != c.stops || c.stops != (got.Why != "") {
			t.Errorf("%s: it is %s: %s", name, got.Phase, got.Why)
		}
		if now := s.shardNow(in); now.Failed != 1 || !now.Check || len(now.Held) > 0 || s.hasTurn() {
			t.Errorf("%s: %+v", name, now)
		}
	}
}

// TestDeathStopsAtOnce: so does a host that is found dead, whoever finds it.
func TestDeathStopsAtOnce(t *testing.T) {
	l := bench(t)
	for most, stops := range map[int]bool{0: true, 1: false} {
		s := l.play(t, func(h *head) { h.Limits.MaxFailed = most }, map[string]shard{"0": oneHolder("web-9")})
		s.p.guard.seen[s.turnKeyOf(s.h.Gen, "0", 0)] = sight{0, time.Now().Add(-time.Hour)}
		if _, err := s.relieve(t.Context(), s.h.past(), "0", &s.p.guard); err != nil {
			t.Fatal(err)
		}
		if now := s.now(); (now.Phase == fleet.Stopped) != stops {
			t.Errorf("%d may fail: it is %s", most, now.Phase)
		}
		if now := s.shardNow("0"); now.Died != 1 {
			t.Errorf("%+v", now)
		}
	}
}

// TestCountStopsAtOnce: so does the failure of a host that never asked for a slot.
func TestCountStopsAtOnce(t *testing.T) {
	l := bench(t)
	s := l.play(t, nil, map[string]shard{"0": {Cap: 1}})
	if counted, err := s.p.count(t.Context(), fleet.Result{Result: "failed"}); err != nil || !counted {
		t.Fatal(counted, err)
	}
	if now := s.now(); now.Phase != fleet.Stopped {
		t.Errorf("it is %s", now.Phase)
	}
}

// TestSilenceStopsAtOnce: so do hosts that have not come in time. Who counts them dies
// right after that.
func TestSilenceStopsAtOnce(t *testing.T) {
	a := testparts.Consul(t)
	c, err := Open(Config{Address: a.HTTPAddr})
	if err != nil {
		t.Fatal(err)
	}
	s := c.ledger("web").play(t, func(h *head) {
		h.Began, h.Limits.TimeoutMS = time.Now().Add(-2*time.Hour), time.Hour.Milliseconds()
	}, map[string]shard{"0": {Cap: 1}})
	s.do(setOp(s.clockKey(s.h.Gen), []byte(clockRuns)))
	s.do(memberOps(s.keys, s.h.Gen, []member{{Node: "web-1"}, {Node: "web-2"}})...)
	ctx, die := context.WithCancel(t.Context())
	dying := &dies{after: "/clock", die: die}
	client, err := Open(Config{Address: a.HTTPAddr, Wrap: dying.wrap})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.ledger("web").countSilent(ctx, s.h, "web-1"); err == nil {
		t.Error("it has not died")
	}
	if now := s.now(); now.Phase != fleet.Stopped || s.shardNow(canaryShard).Silent != 1 {
		t.Errorf("it is %s, %+v", now.Phase, s.shardNow(canaryShard))
	}
}

// dies ends a host as soon as it has written something.
type dies struct {
	after string // in the keys
	die   func()
	next  http.RoundTripper
}

func (d *dies) wrap(next http.RoundTripper) http.RoundTripper {
	d.next = next
	return d
}

// RoundTrip sends a request.
func (d *dies) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	resp, err := d.next.RoundTrip(req)
	if strings.Contains(string(body), d.after) {
		d.die()
	}
	return resp, err
}

// TestLooksBeside: a shard in which nobody is left is looked after from the one before
// it: a failure that nobody has summed, and a host that died.
func TestLooksBeside(t *testing.T) {
	l := bench(t)
	unsummed := shard{Cap: 1, Next: 1, Serving: 1, Failed: 1, Check: true}
	for name, beside := range map[string]shard{"failed": unsummed, "died": oneHolder("web-9")} {
		s := l.play(t, nil, map[string]shard{"0": beside, "1": oneHolder("web-1")})
		s.at("1", 0, turnWorking)
		s.p.guard.seen[s.turnKeyOf(s.h.Gen, "0", 0)] = sight{0, time.Now().Add(-time.Hour)}
		if _, _, err := s.p.watchOver(t.Context()); err != nil {
			t.Fatal(err)
		}
		if now := s.now(); now.Phase != fleet.Stopped {
			t.Errorf("%s: it is %s, %+v", name, now.Phase, s.shardNow("0"))
		}
	}
	for shards, want := range map[int]string{1: "", 2: "0", 3: "2"} {
		if got := (&head{Shards: shards}).beside("1"); got != want {
			t.Errorf("of %d: beside 1 is %q", shards, got)
		}
	}
	if got := (&head{Shards: 3}).beside(canaryShard); got != "" {
		t.Errorf("beside the canaries is %q", got)
	}
}

// TestAsksForItsTurn: a host that does not hear of its turn, since the connection on
// which it waits is dead and nobody says so, finds it when it looks around.
func TestAsksForItsTurn(t *testing.T) {
	l := bench(t)
	for _, state := range []turnState{turnYours, turnWaiting} {
		s := l.play(t, nil, map[string]shard{"0": oneHolder("web-1")})
		s.at("0", 0, state)
		_, err := s.p.look(t.Context())
		if state == turnYours && (err != nil || !s.p.holds) || state == turnWaiting && !errors.Is(err, errKept) {
			t.Errorf("%s: %v, it has its slot: %v", state, err, s.p.holds)
		}
	}
}

// TestPromotedInTime: a host that wants to be a canary keeps its turn when the canaries
// have ended meanwhile: it may have been given its slot.
func TestPromotedInTime(t *testing.T) {
	l := bench(t)
	for _, late := range []bool{false, true} {
		s := l.play(t, func(h *head) { h.Phase, h.Limits.Canary = fleet.Canary, 1 }, map[string]shard{"0": {Cap: 1, Next: 1}})
		s.at("0", 0, turnWaiting)
		if late {
			now := *s.h
			now.Phase = fleet.Open
			if err := l.write(t.Context(), setOp(l.headKey(), encode(&now))); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.p.promote(t.Context()); errors.Is(err, errAgain) == late || s.hasTurn() != late {
			t.Errorf("late %v: %v, its turn is there: %v", late, err, s.hasTurn())
		}
	}
}

// TestGarbageWhileGoing: a head that goes back to its beginning, and has no shards, is of
// somebody who has no business to write: hosts that come, wait or count do not go by it.
func TestGarbageWhileGoing(t *testing.T) {
	l := bench(t)
	garbage := func(s *scene) {
		now := *s.h
		now.Phase, now.Shards = beginning, 0
		if err := l.write(t.Context(), setOp(l.headKey(), encode(&now))); err != nil {
			t.Fatal(err)
		}
	}
	s := l.play(t, nil, map[string]shard{"0": {Cap: 1}})
	garbage(s)
	if err := s.p.arrive(t.Context()); !errors.Is(err, errAgain) {
		t.Errorf("who comes: %v", err)
	}
	s.at("0", 0, turnYours)
	pair, err := l.get(t.Context(), s.p.turnKey())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.p.take(t.Context(), pair.ModifyIndex); !errors.Is(err, errAgain) || s.p.holds {
		t.Errorf("who takes its turn: %v", err)
	}
	if counted, err := countIn(t.Context(), s.p, fleet.Result{Result: "failed"}); counted || err != nil {
		t.Errorf("who counts: %v, %v", counted, err)
	}
}

// TestDrainOfMany: when too many rollouts have to end, the longest of their leases holds.
func TestDrainOfMany(t *testing.T) {
	h, old := &head{}, sampleHead()
	for i := range maxPast {
		old.Drain = append(old.Drain, past{Gen: newGen(), Shards: 1, Lease: int64(1000 * (i%7 + 1))})
	}
	old.Limits.LeaseMS = 1
	if h.follows(old); len(h.Drain) != 1 || h.Drain[0] != (past{Lease: 7000}) {
		t.Errorf("%+v", h.Drain)
	}
}
