package consul

import (
	"errors"
	"testing"

	"stretcher/internal/fleet"
)

// TestAdvance: a host that waits brings the rollout to its next phase when the time has
// come: after a pause that it has waited for itself, and when nobody of those before is
// at work.
func TestAdvance(t *testing.T) {
	l := bench(t)
	busy := l.play(t, nil, map[string]shard{"0": oneHolder("web-9")}).h.past()
	idle := l.play(t, nil, map[string]shard{"0": {Cap: 1}}).h.past()
	for name, c := range map[string]struct {
		knew, now, then fleet.Phase
		canary          int
		drain           []past
		err             error
	}{
		"the pause is over":           {fleet.Pause, fleet.Pause, fleet.Open, 1, nil, nil},
		"the pause has just begun":    {fleet.Canary, fleet.Pause, fleet.Pause, 1, nil, nil},
		"canaries go":                 {fleet.Canary, fleet.Canary, fleet.Canary, 1, nil, nil},
		"it is open":                  {fleet.Open, fleet.Open, fleet.Open, 0, nil, nil},
		"others are at work":          {draining, draining, draining, 0, []past{idle, busy}, nil},
		"others have ended":           {draining, draining, fleet.Open, 0, []past{idle}, nil},
		"others have ended: canaries": {draining, draining, fleet.Canary, 1, []past{idle}, nil},
		"it is stopped":               {fleet.Open, fleet.Stopped, fleet.Stopped, 0, nil, fleet.ErrStopped},
	} {
		s := l.play(t, func(h *head) {
			h.Phase, h.Limits.Canary, h.Drain = c.now, c.canary, c.drain
		}, map[string]shard{"0": {Cap: 1}})
		s.p.head.Phase = c.knew
		if err := s.p.advance(t.Context()); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
		now := s.now()
		if now.Phase != c.then || c.err == nil && s.p.head.Phase != c.then || c.then != draining && now.Drain != nil {
			t.Errorf("%s: it is %s, and the host knows %s", name, now.Phase, s.p.head.Phase)
		}
	}
}

// TestPromotes: who waits becomes a canary while canaries go and there is room for one,
// unless it is one.
func TestPromotes(t *testing.T) {
	l := bench(t)
	for name, c := range map[string]struct {
		phase    fleet.Phase
		shard    string
		room     bool
		promoted bool
	}{
		"there is room":     {fleet.Canary, "0", true, true},
		"there is no room":  {fleet.Canary, "0", false, false},
		"they have ended":   {fleet.Open, "0", true, false},
		"it is one already": {fleet.Canary, canaryShard, true, false},
	} {
		s := l.play(t, func(h *head) { h.Phase, h.Limits.Canary = c.phase, 2 }, map[string]shard{"0": {Next: 1}})
		canaries := shard{Next: 1}
		if !c.room {
			canaries.Next = 2
		}
		s.do(setOp(s.shardKey(s.h.Gen, canaryShard), encode(canaries)))
		s.at(c.shard, 0, turnWaiting)
		if _, _, err := s.p.watchOver(t.Context()); errors.Is(err, errAgain) != c.promoted || !c.promoted && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if s.hasTurn() == c.promoted {
			t.Errorf("%s: its turn is there: %v", name, !c.promoted)
		}
	}
}

// TestObituary: of a host that died is told that, unless it has told more since it got
// its turn.
func TestObituary(t *testing.T) {
	l := bench(t)
	result, err := fleet.Result{Node: "web-9", Result: "good", Run: "its own"}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, own := range map[string]bool{"nothing": false, "before": false, "since": true} {
		s := l.play(t, func(h *head) {
			h.Series, h.Limits.MaxFailed = newGen(), 5
		}, map[string]shard{"0": oneHolder("web-9")})
		said := setOp(s.resultKey(s.h.Series, "web-9"), result)
		work := encode(turn{Node: "web-9", Run: "the dead one", State: turnWorking})
		key := s.turnKeyOf(s.h.Gen, "0", 0)
		switch name {
		case "before":
			s.do(said)
			s.do(setOp(key, work))
		case "since":
			s.do(setOp(key, work))
			s.do(said)
		default:
			s.do(setOp(key, work))
		}
		s.dies(key)
		told, err := s.get(t.Context(), said.Key)
		if err != nil || told == nil {
			t.Fatalf("%s: %v, %v", name, told, err)
		}
		r, err := fleet.DecodeResult(told.Value)
		if err != nil || (r.Run == "its own") != own ||
			!own && (r.Result != string(fleet.HostDied) || r.Run != "the dead one") {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if now := s.shardNow("0"); now.Died != 1 || len(now.Held) > 0 {
			t.Errorf("%s: %+v", name, now)
		}
	}
}

// TestLeaves: how a host counts that leaves, whether it has been at work, has a slot that
// it has not taken, or none; what follows from a failure is settled when it has left.
func TestLeaves(t *testing.T) {
	l := bench(t)
	for name, c := range map[string]struct {
		in, result            string
		holds                 bool
		good, failed, skipped int
	}{
		"at work, good":       {"0", "good", true, 1, 0, 0},
		"at work, failed":     {"0", "failed", true, 0, 1, 0},
		"at work, stopped":    {"0", "stopped", true, 0, 0, 1},
		"not taken, good":     {"0", "good", false, 0, 0, 1},
		"not taken, failed":   {"0", "failed", false, 0, 1, 0},
		"not taken, stopped":  {"0", "stopped", false, 0, 0, 1},
		"in no line, failed":  {"", "failed", false, 0, 1, 0},
		"in no line, good":    {"", "good", false, 0, 0, 0},
		"in no line, stopped": {"", "stopped", false, 0, 0, 0},
	} {
		s := l.play(t, func(h *head) {
			h.Series, h.Limits.MaxFailed = newGen(), 5
		}, map[string]shard{"0": oneHolder("web-1")})
		if s.at("0", 0, turnYours); c.in == "" {
			s.p.shard = ""
		}
		s.p.holds = c.holds
		if err := s.p.Leave(t.Context(), fleet.Result{Result: c.result}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		now := s.shardNow("0")
		if now.Good != c.good || now.Failed != c.failed || now.Skipped != c.skipped || now.Check ||
			(len(now.Held) > 0) != (c.in == "") {
			t.Errorf("%s: %+v", name, now)
		}
		if told, err := s.get(t.Context(), s.resultKey(s.h.Series, "web-1")); err != nil || told == nil {
			t.Errorf("%s: it is told %v, %v", name, told, err)
		}
	}
}
