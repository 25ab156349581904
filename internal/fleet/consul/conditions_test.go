package consul

import (
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/fleet"
)

// session makes one of a host at work.
func (s *scene) session() string {
	s.t.Helper()
	id, err := s.createSession(s.t.Context(), s.sessionName(), sessionWay{}, time.Minute)
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

func (s *scene) do(ops ...*api.KVTxnOp) {
	s.t.Helper()
	if err := s.write(s.t.Context(), ops...); err != nil {
		s.t.Fatal(err)
	}
}

// turnNow is the host's turn; nil = it is gone.
func (s *scene) turnNow() *api.KVPair {
	s.t.Helper()
	pair, err := s.get(s.t.Context(), s.p.turnKey())
	if err != nil {
		s.t.Fatal(err)
	}
	return pair
}

// TestConfirm: a host has its slot as long as its own session holds its own turn. It
// takes it again where nobody else has it, and the shard says that it is its own.
func TestConfirm(t *testing.T) {
	l := bench(t)
	free := func(s *scene) { s.do(deleteOp(s.p.turnKey()), setOp(s.p.turnKey(), s.p.own(turnWorking))) }
	ended := func(s *scene) {
		if _, err := s.api.Session().Destroy(s.p.session, nil); err != nil {
			t.Fatal(err)
		}
	}
	has := func(held ...held) func(*scene) {
		return func(s *scene) {
			s.do(setOp(s.shardKey(s.h.Gen, "0"), encode(shard{Cap: 1, Next: 9, Serving: 9, Held: held})))
		}
	}
	theirs := string(encode(turn{Node: "web-2", Nonce: "theirs", State: turnWaiting}))
	says := func(text string) func(*scene) {
		return func(s *scene) { s.do(setOp(s.p.turnKey(), []byte(text))) }
	}
	gone := func(s *scene) { s.do(deleteTreeOp(s.base)) }
	for name, c := range map[string]struct {
		change []func(*scene)
		lost   bool
	}{
		"all is well":               {nil, false},
		"its session has ended":     {[]func(*scene){ended}, false},
		"its turn is free":          {[]func(*scene){free}, false},
		"both":                      {[]func(*scene){ended, free}, false},
		"its turn is spoilt":        {[]func(*scene){ended, says("{")}, false},
		"another host has its turn": {[]func(*scene){ended, says(theirs)}, true},
		"another session holds it": {[]func(*scene){func(s *scene) {
			s.do(deleteOp(s.p.turnKey()), lockOp(s.p.turnKey(), s.p.own(turnWorking), s.session()))
		}}, true},
		"another host has its slot":     {[]func(*scene){ended, has(held{0, "web-2"})}, true},
		"another ticket has its slot":   {[]func(*scene){ended, has(held{1, "web-1"})}, true},
		"nobody has its slot":           {[]func(*scene){ended, has()}, true},
		"its turn is gone":              {[]func(*scene){func(s *scene) { s.do(deleteOp(s.p.turnKey())) }}, false},
		"its turn is gone and its slot": {[]func(*scene){func(s *scene) { s.do(deleteOp(s.p.turnKey())) }, has()}, true},
		"all is gone":                   {[]func(*scene){gone}, false},
		"all is gone and its session":   {[]func(*scene){ended, gone}, true},
	} {
		s := l.play(t, nil, map[string]shard{"0": oneHolder("web-1")})
		s.p.shard, s.p.session = "0", s.session()
		s.do(lockOp(s.p.turnKey(), s.p.own(turnWorking), s.p.session))
		for _, change := range c.change {
			change(s)
		}
		err := s.p.confirm(t.Context())
		if errors.Is(err, fleet.ErrLost) != c.lost || (err != nil) != c.lost {
			t.Errorf("%s: %v", name, err)
		}
		turn := s.turnNow()
		if name != "all is gone" && !c.lost && (turn == nil || turn.Session != s.p.session) {
			t.Errorf("%s: it does not hold its turn: %+v", name, turn)
		}
		if c.lost && turn != nil && turn.Session == s.p.session {
			t.Errorf("%s: it holds its turn", name)
		}
		if restored := name == "its turn is gone"; restored && s.shardNow("0").Touched != 1 {
			t.Errorf("%s: nobody sees that it was there", name)
		}
	}
}

// TestGivesBackItsOwn: who leaves gives back its slot, and leaves the line, and touches
// nothing that is another host's.
func TestGivesBackItsOwn(t *testing.T) {
	l := bench(t)
	theirs := encode(turn{Node: "web-2", Nonce: "theirs", State: turnWaiting})
	for name, c := range map[string]struct {
		shard         shard
		own           bool // the turn is
		held, skipped int
		stays         bool // the turn does
	}{
		"its slot":                {oneHolder("web-1"), true, 0, 1, false},
		"another host's slot":     {oneHolder("web-2"), false, 1, 0, true},
		"another host's, its own": {oneHolder("web-2"), true, 1, 0, false},
		"in the line":             {shard{Cap: 1, Next: 1}, true, 0, 0, false},
		"another host's place":    {shard{Cap: 1, Next: 1}, false, 0, 0, true},
		"it was passed by":        {shard{Cap: 1, Next: 1, Serving: 1}, true, 0, 0, false},
	} {
		s := l.play(t, nil, map[string]shard{"0": c.shard})
		if s.at("0", 0, turnWaiting); !c.own {
			s.do(setOp(s.p.turnKey(), theirs))
		}
		if err := s.p.giveBack(t.Context(), s.p.spot, "", nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if now := s.shardNow("0"); len(now.Held) != c.held || now.Skipped != c.skipped || s.hasTurn() != c.stays {
			t.Errorf("%s: %+v, its turn is there: %v", name, now, s.hasTurn())
		}
	}
}

// TestHandsOut: slots are given in the order of the line to those that wait, as many as
// there are, in a phase that has them, and none before failures have been summed.
func TestHandsOut(t *testing.T) {
	l := bench(t)
	waits := func(n string) []byte { return encode(turn{Node: n, Nonce: n, State: turnWaiting}) }
	line := map[int][]byte{1: []byte("{"), 2: encode(turn{Node: "w", State: turnWorking}), 3: waits("a"), 4: waits("b"),
		5: waits("c")}
	full := shard{Cap: 2, Next: 6}
	taken := func(held ...held) func(*shard) {
		return func(s *shard) { s.Serving, s.Held = 3, held }
	}
	for name, c := range map[string]struct {
		phase   fleet.Phase
		change  func(*shard)
		serving int
		held    []held
	}{
		"two":                  {fleet.Open, func(*shard) {}, 5, []held{{3, "a"}, {4, "b"}}},
		"one":                  {fleet.Open, func(s *shard) { s.Cap = 1 }, 4, []held{{3, "a"}}},
		"one is taken":         {fleet.Open, taken(held{0, "x"}), 4, []held{{0, "x"}, {3, "a"}}},
		"none is left":         {fleet.Open, taken(held{0, "x"}, held{1, "y"}), 3, []held{{0, "x"}, {1, "y"}}},
		"more than those":      {fleet.Open, func(s *shard) { s.Cap = 9 }, 6, []held{{3, "a"}, {4, "b"}, {5, "c"}}},
		"while canaries go":    {fleet.Canary, func(*shard) {}, 0, nil},
		"while it is stopped":  {fleet.Stopped, func(*shard) {}, 0, nil},
		"while it has a pause": {fleet.Pause, func(*shard) {}, 0, nil},
	} {
		s := l.play(t, func(h *head) { h.Phase = c.phase }, map[string]shard{"0": full})
		for ticket, text := range line {
			s.do(setOp(s.turnKeyOf(s.h.Gen, "0", ticket), text))
		}
		sh := full
		c.change(&sh)
		ops, err := s.handOut(t.Context(), s.h, "0", &sh)
		if err != nil || sh.Serving != c.serving || len(sh.Held) != len(c.held) {
			t.Fatalf("%s: %+v, %v", name, sh, err)
		}
		given := 0
		for i, h := range c.held {
			if sh.Held[i] != h {
				t.Errorf("%s: %+v", name, sh.Held)
			}
			if h.Ticket >= 3 {
				given++
			}
		}
		if len(ops) != given {
			t.Errorf("%s: %d are told, of %d", name, len(ops), given)
		}
	}
	checked := full
	checked.Check = true
	if s := l.play(t, nil, map[string]shard{"0": full}); s.free("0", checked) {
		t.Error("a failure has not been summed, and a slot is free")
	}
}

// free tells whether a shard has a slot for somebody.
func (s *scene) free(name string, sh shard) bool { return s.h.free(name, &sh) }

// TestDrained: a rollout waits for those before it as long as one of their hosts may be
// at work.
func TestDrained(t *testing.T) {
	l := bench(t)
	idle := l.play(t, nil, map[string]shard{"0": {Cap: 1}}).h.past()
	busy := l.play(t, nil, map[string]shard{"0": oneHolder("web-9")}).h.past()
	missing := past{Gen: newGen(), Shards: 1, Lease: 1}
	patient := past{Lease: time.Hour.Milliseconds()}
	for name, c := range map[string]struct {
		drain   []past
		session bool
		want    bool
	}{
		"nothing":                  {nil, false, true},
		"nobody":                   {[]past{idle}, false, true},
		"nobody, and a session":    {[]past{idle}, true, true},
		"somebody":                 {[]past{idle, busy}, false, false},
		"unknown":                  {[]past{{}}, false, true},
		"unknown, and a session":   {[]past{{}}, true, false},
		"unknown, and somebody":    {[]past{{}, busy}, false, false},
		"unknown, not yet":         {[]past{patient}, false, false},
		"spoilt: not yet":          {[]past{missing}, false, false},
		"spoilt, and a session":    {[]past{missing}, true, false},
		"nobody, unknown, not yet": {[]past{idle, patient}, false, false},
	} {
		s := l.play(t, nil, map[string]shard{"0": {Cap: 1}})
		s.h.Drain = c.drain
		id := ""
		if c.session {
			id = s.session()
		}
		g := newGuard(time.Minute)
		if drained, err := s.drained(t.Context(), s.h, g); err != nil || drained != c.want {
			t.Errorf("%s: %v, %v", name, drained, err)
		}
		if id == "" {
			continue
		}
		if _, err := s.api.Session().Destroy(id, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStop: what is stopped is the generation that was meant, once, and not one that
// begins.
func TestStop(t *testing.T) {
	l := bench(t)
	for name, c := range map[string]struct {
		phase fleet.Phase
		other bool // it is another generation by now
		want  string
	}{
		"open": {fleet.Open, false, "why"}, "canary": {fleet.Canary, false, "why"}, "pause": {fleet.Pause, false, "why"},
		"draining": {draining, false, "why"}, "beginning": {beginning, false, ""},
		"stopped before": {fleet.Stopped, false, "before"}, "another one": {fleet.Open, true, ""},
	} {
		s := l.play(t, func(h *head) {
			if h.Phase = c.phase; c.phase == fleet.Stopped {
				h.Why = "before"
			}
		}, map[string]shard{"0": {Cap: 1}})
		gen := s.h.Gen
		if c.other {
			gen = newGen()
		}
		if err := l.stop(t.Context(), gen, "why"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if now := s.now(); now.Why != c.want || (now.Phase == fleet.Stopped) != (c.want != "") {
			t.Errorf("%s: it is %s: %q", name, now.Phase, now.Why)
		}
	}
	if err := errors.Join(l.write(t.Context(), deleteTreeOp(l.base)), l.stop(t.Context(), newGen(), "why")); err != nil {
		t.Error(err)
	}
}

// TestLooksAgain: how soon a host looks again depends on how far behind it is, on the
// phase, and on whether it misses somebody.
func TestLooksAgain(t *testing.T) {
	l := bench(t)
	const lease = time.Minute
	for name, c := range map[string]struct {
		phase       fleet.Phase
		ticket      int
		missing     bool
		least, most time.Duration
	}{
		"next in the line":      {fleet.Open, 1, false, lease * 3 / 16, lease * 5 / 16},
		"tenth in the line":     {fleet.Open, 10, false, lease, lease * 2},
		"somebody is missed":    {fleet.Open, 10, true, lease * 3 / 32, lease * 5 / 32},
		"while there's a pause": {fleet.Pause, 1, false, time.Hour, time.Hour + lease/100},
		"others are at work":    {draining, 1, false, lease * 3 / 32, lease * 5 / 32},
		"others, and far back":  {draining, 10, false, lease, lease * 2},
	} {
		busy := l.play(t, nil, map[string]shard{"0": oneHolder("web-9")})
		busy.do(lockOp(busy.turnKeyOf(busy.h.Gen, "0", 0), []byte("{}"), busy.session()))
		s := l.play(t, func(h *head) {
			h.Limits.PauseMS = time.Hour.Milliseconds()
			if h.Phase = c.phase; c.phase == draining {
				h.Drain = []past{busy.h.past()}
			}
		}, map[string]shard{"0": {Cap: 1, Next: 20, Serving: 1, Held: []held{{0, "web-9"}}}})
		if !c.missing {
			s.do(lockOp(s.turnKeyOf(s.h.Gen, "0", 0), []byte("{}"), s.session()))
		}
		s.at("0", c.ticket, turnWaiting)
		if c.phase == fleet.Pause { // else it is over, and the host says so
			s.p.head.Phase = fleet.Canary
		}
		next, err := s.p.look(t.Context())
		if !errors.Is(err, errKept) || next < c.least || next > c.most {
			t.Errorf("%s: it looks again after %s, %v", name, next, err)
		}
	}
}
