package consul

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/fleet"
)

func sampleHead() *head {
	h := &head{ID: "id", Gen: newGen(), Version: "1", Began: time.Unix(0, 0).UTC(), Phase: fleet.Open}
	h.limit(fleet.Rollout{Parallel: fleet.Hosts(40), Canary: 2}, 100)
	h.follows(nil)
	return h
}

// TestSplit: the shards together have as many slots as the rollout, and none has many.
func TestSplit(t *testing.T) {
	for parallel := 1; parallel < 200; parallel++ {
		h := &head{}
		h.limit(fleet.Rollout{Parallel: fleet.Hosts(int64(parallel)), Canary: 3}, 1000)
		sum := 0
		for name, s := range h.split() {
			if name != canaryShard {
				sum += s.Cap
			}
			if s.Cap < 1 || s.Cap > shardSize || name == canaryShard && s.Cap > parallel {
				t.Errorf("parallel %d: shard %s has %d slots", parallel, name, s.Cap)
			}
		}
		if sum != parallel {
			t.Errorf("parallel %d: %d slots", parallel, sum)
		}
	}
}

// TestBegins: before the group is known, nobody may take a rollout for good.
func TestBegins(t *testing.T) {
	for phase, ended := range map[fleet.Phase]bool{
		beginning: false, draining: false, fleet.Open: false, fleet.Stopped: true,
	} {
		s := newFindings(nil).state("web", &head{ID: "1", Gen: "a", Phase: phase})
		if s.Ended() != ended || s.Verdict() == fleet.VerdictGood {
			t.Errorf("%s: ended %v, %s", phase, s.Ended(), s.Verdict())
		}
	}
}

// TestFollows: what came before is remembered, but not for ever, and nobody is
// forgotten who may be at work.
func TestFollows(t *testing.T) {
	var old *head
	for i := range 40 {
		h := sampleHead()
		h.ID = fmt.Sprint(i / 2) // each twice
		h.Phase = fleet.Open
		if i%3 == 0 {
			h.Phase = draining
		}
		h.follows(old)
		if err := h.check(); err != nil {
			t.Fatalf("%d: %v: %+v", i, err, h)
		}
		waits := false
		for _, p := range h.Drain {
			waits = waits || p.Gen == "" || p.Gen == old.Gen
		}
		if !waits {
			t.Errorf("%d: it does not wait for the one before", i)
		}
		old = h
	}
	ids := map[string]bool{}
	for _, p := range old.Past {
		ids[p.ID] = true
	}
	if len(old.Past) != maxPast || len(ids) != maxPast || !old.was("5") || old.was("3") {
		t.Errorf("%d are remembered, of %d rollouts", len(old.Past), len(ids))
	}
}

// TestSeries: repeats of a rollout are one with it, unless another was between them.
func TestSeries(t *testing.T) {
	var old *head
	of := map[string]int{}
	for i, id := range strings.Split("aaabaacdefffffffff", "") {
		h := sampleHead()
		h.ID = id
		h.follows(old)
		if first := h.Series == h.Gen; first != (old == nil || old.ID != id) {
			t.Errorf("%d: the first of a series: %v", i, first)
		}
		if of[h.Series]++; len(h.kept()) > keptSeries || h.kept()[0] != h.Series || !h.keeps(h.Series) {
			t.Errorf("%d: kept are %q", i, h.kept())
		}
		old = h
	}
	if len(of) != 7 || len(old.kept()) != keptSeries || len(old.Past) != 7 {
		t.Errorf("%d series, %d kept, %d past", len(of), len(old.kept()), len(old.Past))
	}
}

// TestCanariesEnd: canaries have ended when those that went are good.
func TestCanariesEnd(t *testing.T) {
	h := sampleHead()
	for _, c := range []struct {
		s           shard
		ended, room bool
	}{
		{shard{Next: 0}, false, true},
		{shard{Next: 2, Good: 1, Held: []held{{}}}, false, false},
		{shard{Next: 2, Good: 2}, true, false},
		{shard{Next: 3, Good: 1, Skipped: 1, Held: []held{{}}}, false, false},
		{shard{Next: 2, Good: 1, Skipped: 1}, true, true},
		{shard{Next: 2, Skipped: 2}, false, true},
	} {
		c.s.Serving = c.s.Next
		if h.canariesEnd(c.s) != c.ended || h.room(c.s) != c.room {
			t.Errorf("%+v: ended %v, room %v", c.s, h.canariesEnd(c.s), h.room(c.s))
		}
	}
}

// FuzzDocuments: what others have written into KV never panics, and what is taken is
// of a bounded size.
func FuzzDocuments(f *testing.F) {
	f.Add(encode(sampleHead()))
	f.Add(encode(shard{Cap: 2, Next: 3, Serving: 2, Held: []held{{1, "web-1"}}}))
	f.Add(encode(turn{Node: "web-1", Nonce: "n", State: turnYours}))
	f.Add([]byte(`{"id":"x","gen":"0","phase":"open","shards":99999999999}`))
	f.Add([]byte(`{"cap":-1,"next":1e9,"held":[{"t":-5}]}`))
	f.Add([]byte(`[{"n":"web-1"}]`))
	f.Add([]byte(strings.Repeat(`{"past":[`, 1000)))
	f.Fuzz(func(t *testing.T, data []byte) {
		var h head
		if decode(data, &h) == nil {
			if h.Shards > maxShards || len(h.split()) != h.Shards+1 {
				t.Errorf("%d shards", h.Shards)
			}
			_, _ = h.was("x"), h.first()
			n := &head{}
			n.follows(&h)
		}
		var s shard
		if decode(data, &s) == nil {
			held := len(s.Held)
			for _, at := range s.Held {
				if s.find(at.Ticket) < 0 {
					t.Errorf("ticket %d is not found", at.Ticket)
				}
			}
			if s.drop(0); len(s.Held) < held-1 || s.load() < 0 {
				t.Errorf("%+v", s)
			}
		}
		var turn turn
		_ = decode(data, &turn) // it must not panic
		found := newFindings(sampleHead())
		found.members(pairOf(data))
		found.turn(pairOf(data))
		if s, ok := heard("a", string(data), pairOf(data)); ok {
			found.result(s)
		}
		for _, host := range found.state("web", nil).Hosts {
			if host.Node == "" {
				t.Error("a host has no name")
			}
		}
	})
}

func pairOf(data []byte) *api.KVPair { return &api.KVPair{Value: data} }
