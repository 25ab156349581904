package consul

import (
	"testing"
	"time"

	"stretcher/internal/fleet"
)

// TestLimit: what a rollout says comes to so many hosts of a group, and is never more
// than it was before.
func TestLimit(t *testing.T) {
	const lease, timeout = 120_000, 3_600_000
	for name, c := range map[string]struct {
		r       fleet.Rollout
		members int
		before  limits
		want    limits
		shards  int
	}{
		"nothing is said": {fleet.Rollout{}, 30, limits{},
			limits{Parallel: 1, LeaseMS: lease, TimeoutMS: timeout}, 1},
		"shares": {fleet.Rollout{Parallel: fleet.Percent(10), MaxFailed: fleet.Percent(20)}, 39, limits{},
			limits{Parallel: 3, MaxFailed: 7, LeaseMS: lease, TimeoutMS: timeout}, 1},
		"shares of few": {fleet.Rollout{Parallel: fleet.Percent(10), MaxFailed: fleet.Percent(10)}, 9, limits{},
			limits{Parallel: 1, MaxFailed: 0, LeaseMS: lease, TimeoutMS: timeout}, 1},
		"all that can be said": {fleet.Rollout{Parallel: fleet.Hosts(17), MaxFailed: fleet.Hosts(2), Canary: 3,
			Pause: fleet.Span(time.Minute), Lease: fleet.Span(time.Hour), Timeout: fleet.Span(2 * time.Hour)}, 100, limits{},
			limits{17, 2, 3, 60_000, 3_600_000, 7_200_000}, 2},
		"a full shard": {fleet.Rollout{Parallel: fleet.Hosts(16)}, 100, limits{},
			limits{Parallel: 16, LeaseMS: lease, TimeoutMS: timeout}, 1},
		"canaries beyond the group": {fleet.Rollout{Canary: 5}, 2, limits{},
			limits{Parallel: 1, Canary: 2, LeaseMS: lease, TimeoutMS: timeout}, 1},
		"canaries of nobody": {fleet.Rollout{Canary: 5}, 0, limits{},
			limits{Parallel: 1, Canary: 1, LeaseMS: lease, TimeoutMS: timeout}, 1},
		"more than before": {fleet.Rollout{Parallel: fleet.Hosts(40), MaxFailed: fleet.Hosts(4), Canary: 4}, 50,
			limits{Parallel: 2, MaxFailed: 1, Canary: 3},
			limits{Parallel: 2, MaxFailed: 1, Canary: 3, LeaseMS: lease, TimeoutMS: timeout}, 1},
		"less than before": {fleet.Rollout{Parallel: fleet.Hosts(2), MaxFailed: fleet.Hosts(1), Canary: 1}, 50,
			limits{Parallel: 20, MaxFailed: 10, Canary: 3},
			limits{Parallel: 2, MaxFailed: 1, Canary: 1, LeaseMS: lease, TimeoutMS: timeout}, 1},
	} {
		h := &head{Limits: c.before}
		h.limit(c.r, c.members)
		if h.Limits != c.want || h.Shards != c.shards || h.Members != c.members {
			t.Errorf("%s: %+v, %d shards of %d members", name, h.Limits, h.Shards, h.Members)
		}
	}
}

// TestCounted: shares are of the healthy members, of those that Consul knows where none
// is, and of all listed where it knows none.
func TestCounted(t *testing.T) {
	for _, c := range []struct {
		healthy, ill, unknown, want int
	}{{2, 3, 4, 2}, {1, 9, 0, 1}, {0, 3, 4, 3}, {0, 0, 4, 4}, {0, 0, 0, 0}} {
		var all []member
		for was, n := range map[health]int{healthy: c.healthy, ill: c.ill, unknown: c.unknown} {
			for range n {
				all = append(all, member{Was: was})
			}
		}
		if got := counted(all); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// TestHands: the canaries' shard hands out slots while these go, the others after that.
func TestHands(t *testing.T) {
	for _, phase := range []fleet.Phase{
		beginning, unbegun, draining, fleet.Canary, fleet.Pause, fleet.Open, fleet.Stopped, fleet.Done,
	} {
		h := &head{Phase: phase}
		if h.hands(canaryShard) != (phase == fleet.Canary) || h.hands("0") != (phase == fleet.Open) {
			t.Errorf("%s: %v, canaries %v", phase, h.hands("0"), h.hands(canaryShard))
		}
		if h.begun() == (phase == beginning || phase == unbegun) {
			t.Errorf("%s: begun %v", phase, h.begun())
		}
	}
	if first := (&head{Limits: limits{Canary: 1}}).first(); first != fleet.Canary {
		t.Errorf("with canaries it begins as %s", first)
	}
	if first := (&head{}).first(); first != fleet.Open {
		t.Errorf("without it begins as %s", first)
	}
}

// TestBesides: each shard is looked after by that before it, the first one by the last.
func TestBesides(t *testing.T) {
	for _, c := range []struct {
		shards     int
		name, want string
	}{
		{3, "0", "1"}, {3, "1", "2"}, {3, "2", "0"}, {2, "1", "0"}, {1, "0", ""}, {3, canaryShard, ""},
	} {
		if got := (&head{Shards: c.shards}).beside(c.name); got != c.want {
			t.Errorf("%d shards: beside %q is %q", c.shards, c.name, got)
		}
	}
}

// TestFree: a shard has a free slot as long as fewer have one than it may give, and no
// failure is to be summed.
func TestFree(t *testing.T) {
	h := &head{Shards: 1, Limits: limits{Parallel: 2}}
	for name, c := range map[string]struct {
		s    shard
		want bool
	}{
		"one of two":   {shard{Cap: 2, Held: make([]held, 1)}, true},
		"two of two":   {shard{Cap: 2, Held: make([]held, 2)}, false},
		"it has one":   {shard{Cap: 1, Held: make([]held, 1)}, false},
		"it says more": {shard{Cap: 9, Held: make([]held, 2)}, false},
		"unsummed":     {shard{Cap: 2, Check: true}, false},
	} {
		if got := h.free("0", &c.s); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	s := shard{Next: 7, Serving: 4, Held: make([]held, 2)}
	if s.load() != 5 || s.bad() != 0 || (&shard{Failed: 1, Died: 2, Before: 4, Silent: 8}).bad() != 7 {
		t.Errorf("load %d, bad %d", s.load(), s.bad())
	}
}
