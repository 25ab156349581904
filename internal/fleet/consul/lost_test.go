package consul

import (
	"testing"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/fleet"
)

// TestUndone: hosts in a line are taken for dead only where there is something that they
// would do.
func TestUndone(t *testing.T) {
	held := map[int]*api.KVPair{0: {Session: "s"}, 1: {}}
	waits := oneHolder("web-1")
	waits.Next = 2
	free := shard{Cap: 1, Next: 1}
	unsummed := waits
	unsummed.Check = true
	for name, c := range map[string]struct {
		phase  fleet.Phase
		canary int
		line   line
		want   bool
	}{
		"who is at work is there":         {fleet.Open, 0, line{shard: waits, turns: held}, false},
		"who is at work is missed":        {fleet.Open, 0, line{shard: waits, turns: map[int]*api.KVPair{0: {}}}, true},
		"its turn is gone":                {fleet.Open, 0, line{shard: waits}, true},
		"a slot is free":                  {fleet.Open, 0, line{shard: free}, true},
		"a failure is not summed":         {fleet.Open, 0, line{shard: unsummed, turns: held}, true},
		"a canary is at work":             {fleet.Canary, 2, line{shard: waits, turns: held}, false},
		"there is room for a canary":      {fleet.Canary, 3, line{shard: waits, turns: held}, false},
		"it pauses":                       {fleet.Pause, 1, line{shard: waits, turns: held}, true},
		"hosts of another one are waited": {draining, 0, line{shard: free}, false},
		"it is stopped":                   {fleet.Stopped, 0, line{shard: free}, false},
		"the canaries are good":           {fleet.Canary, 1, line{shard: shard{Cap: 1, Next: 1, Serving: 1, Good: 1}}, true},
	} {
		h := &head{Phase: c.phase, Shards: 1, Limits: limits{Canary: c.canary}}
		if got := h.undone(&c.line); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
