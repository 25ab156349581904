package consul

import (
	"testing"
	"time"

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
		s.p.comesAnew()
		s.p.comesAnew()
		if !c.current {
			later := *s.h
			later.Gen, later.Drain = newGen(), []past{s.h.past()}
			s.do(setOp(s.headKey(), encode(&later)))
			s.p.head = &later
		}
		if err := s.p.quitEarlier(t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		pair, err := s.get(t.Context(), key)
		if now := s.shardNow("0"); err != nil || len(now.Held) != c.held || now.bad() > 0 || (pair != nil) != c.turn ||
			(len(s.p.maybe) == 1) != c.current {
			t.Errorf("%s: %+v, turn %v, %+v, %v", name, now, pair, s.p.maybe, err)
		}
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
		pair, err := s.get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		s.p.guard.seen[key] = sight{pair.ModifyIndex, time.Now().Add(-time.Hour)}
		if _, err := s.relieve(t.Context(), s.h.past(), "0", &s.p.guard); err != nil {
			t.Fatal(err)
		}
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
