package consul

import (
	"cmp"
	"errors"
	"testing"

	"stretcher/internal/fleet"
)

// TestQuitEarlier: who comes anew gives back what it has in earlier generations, whatever
// state that is in, and keeps what it has in the current one.
func TestQuitEarlier(t *testing.T) {
	l := bench(t)
	for name, c := range map[string]struct {
		state   turnState
		current bool
		held    int
		turn    bool
	}{
		"it has been given a turn":       {turnYours, false, 0, false},
		"it has taken one":               {turnWorking, false, 0, false},
		"it waits":                       {turnWaiting, false, 1, true},
		"it has been given one here":     {turnYours, true, 1, true},
		"it has taken one here":          {turnWorking, true, 1, true},
		"what it had there is another's": {turnWorking, false, 1, true},
	} {
		its := oneHolder("web-1")
		if c.state == turnWaiting {
			its = shard{Cap: 1, Next: 2, Serving: 1, Held: []held{{0, "web-2"}}}
		}
		s := l.play(t, nil, map[string]shard{"0": its})
		s.at("0", its.Next-1, c.state)
		key := s.p.turnKey()
		if c.turn && !c.current && c.state != turnWaiting {
			s.do(setOp(key, encode(turn{Node: "web-1", Nonce: "theirs", State: c.state})))
		}
		comesAnew(s.p)
		s.p.shard = "0"
		comesAnew(s.p)
		if !c.current {
			later := *s.h
			later.Gen, later.Drain = newGen(), []past{s.h.past()}
			s.do(setOp(s.headKey(), encode(&later)))
			s.p.head = &later
		}
		if err := quitEarlier(t.Context(), s.p); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		pair, err := s.get(t.Context(), key)
		if now := s.shardNow("0"); err != nil || len(now.Held) != c.held || now.bad() > 0 || (pair != nil) != c.turn ||
			(len(s.p.maybe) == 1) != c.current {
			t.Errorf("%s: %+v, turn %v, %+v, %v", name, now, pair, s.p.maybe, err)
		}
	}
}

// TestQuitsBeforeAdmitted: a host that got a slot without hearing of it is not taken for one
// that died there, which a retry would be for: it gives the slot back first.
func TestQuitsBeforeAdmitted(t *testing.T) {
	l := bench(t)
	s := l.play(t, nil, map[string]shard{"0": oneHolder("web-1")})
	s.at("0", 0, turnWorking)
	comesAnew(s.p)
	retry := *s.h
	retry.Gen, retry.again, retry.Drain = newGen(), again{Only: true, Since: s.h.Gen}, []past{s.h.past()}
	s.do(setOp(s.headKey(), encode(&retry)))
	if err := s.p.join(t.Context()); !errors.Is(err, fleet.ErrNotAsked) {
		t.Errorf("it is told %v", err)
	}
	if now := s.shardNow("0"); len(now.Held) > 0 || now.bad() > 0 {
		t.Errorf("%+v", now)
	}
}

// TestWordAfterObituary: a host that was taken for dead has the last word of its own run,
// though it has not been at work; a run that gave way does not take back that another died.
func TestWordAfterObituary(t *testing.T) {
	l := bench(t)
	for run, want := range map[string]string{"b": "stopped", "a": "died", "c": "died"} {
		s := l.play(t, func(h *head) { h.Series, h.Limits.MaxFailed = newGen(), 5 },
			map[string]shard{"0": oneHolder("web-1")})
		key := s.turnKeyOf(s.h.Gen, "0", 0)
		s.do(setOp(key, encode(turn{Node: "web-1", Run: "b", State: turnWorking})))
		s.dies(key)
		s.p.entry.Run = run
		if err := s.p.Leave(t.Context(), fleet.Result{Result: "stopped"}); err != nil {
			t.Fatal(err)
		}
		r, _, err := s.toldBefore(t.Context(), s.h.Series, "web-1")
		if err != nil || r.Result != want {
			t.Errorf("run %s: %+v, %v", run, r, err)
		}
	}
}

// TestAdopt: what has been done of what a host sent, it goes on with; what has not comes to
// nothing when it arrives late, though nothing else has changed.
func TestAdopt(t *testing.T) {
	l := bench(t)
	for name, c := range map[string]struct {
		done, gen      string
		adopted, holds bool
	}{
		"it has its slot":           {done: "locked", adopted: true, holds: true},
		"its session has ended":     {done: "left", adopted: true},
		"it has a ticket":           {done: "waiting", adopted: true},
		"nothing has been done":     {},
		"it was for an earlier one": {gen: newGen()},
	} {
		s := l.play(t, nil, map[string]shard{"0": {Cap: 1}})
		if err := s.p.makeSession(t.Context()); err != nil {
			t.Fatal(err)
		}
		session, at := s.p.session, spot{gen: cmp.Or(c.gen, s.h.Gen), shard: "0"}
		key, work := s.turnKeyOf(at.gen, "0", 0), s.p.own(turnWorking)
		switch c.done {
		case "locked":
			s.do(lockOp(key, work, session))
		case "left":
			s.do(setOp(key, work))
		case "waiting":
			s.do(setOp(key, s.p.own(turnWaiting)))
		}
		s.p.maybe = []spot{at}
		adopted, err := s.p.adopt(t.Context())
		if err != nil || adopted != c.adopted || s.p.holds != c.holds || adopted != (s.p.spot.gen == s.h.Gen) {
			t.Errorf("%s: adopted %v, %+v, %v", name, adopted, s.p.spot, err)
		}
		if late, err := s.commit(t.Context(), goneOp(key), lockOp(key, work, session)); err != nil || late {
			t.Errorf("%s: it has a slot without knowing: %v", name, err)
		}
	}
}
