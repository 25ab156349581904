package consul

import (
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/fleet"
)

// turn says that a host waits or is at work. When the host has come again since it got
// that turn, or told its result, the turn is left of a run that died. Of several runs
// of a host that go on, one is told of: that which is at work, or the one that came last.
//
// Hosts count others as died after a lease. When no host is left to do so, who asks sees
// it all the same.
func (f *findings) turn(pair *api.KVPair) {
	var t turn
	if decode(pair.Value, &t) != nil || t.Node == "" {
		return
	}
	node, h := strings.ToLower(t.Node), f.host(t.Node)
	held := t.State == turnWorking && pair.Session != ""
	switch other, is := f.going[node]; {
	case is && other.held, !is && f.past(t, pair, h.Result):
		return
	case is && !held && other.index > pair.CreateIndex:
		return
	}
	if t.State != turnWorking && f.lost(t, pair) {
		if h.Result.Result == "" {
			h.Standing, h.Note = fleet.HostMissing, unheardWaiting
		}
		return
	}
	f.going[node] = going{pair.CreateIndex, held}
	h.Result = fleet.Result{}
	if told := t.Runs != "" || t.Mixed; told && f.latest[node] < pair.CreateIndex {
		h.Runs, h.Mixed = t.Runs, t.Mixed
	}
	switch {
	case t.State == turnWaiting:
		h.Standing = fleet.HostWaiting
	case pair.Session == "" && (t.State == turnWorking || f.missed(pair)):
		h.Standing = fleet.HostDied
		h.Result = fleet.Result{Run: t.Run, Node: t.Node, Result: string(fleet.HostDied), Error: unheard}
		if t.State == turnWorking { // nobody knows how far it came
			h.Runs, h.Mixed = "", false
		}
	default:
		h.Standing = fleet.HostWorking
	}
}

// going is a run of a host that has not told its result.
type going struct {
	index uint64 // when it came, as Consul counts
	held  bool   // it is at work
}

// past tells whether a turn is left of a run that has ended, by what its host has told
// since. What an older run has told, as one that gave way to this one, says nothing of it;
// and who is at work while a newer one could not do anything still is.
func (f *findings) past(t turn, pair *api.KVPair, told fleet.Result) bool {
	switch {
	case f.latest[strings.ToLower(t.Node)] <= pair.CreateIndex:
		return false
	case t.Run == "" || told.Run == "" || told.Run == t.Run:
		return true
	case told.Run < t.Run: // ids of runs are in the order of time
		return false
	}
	return pair.Session == "" || fleet.StandingOf(told.Result) == fleet.HostGood
}

// unheard is what is told of a host that can't do it itself.
const unheard = "it had a slot, and was heard of no more"

// missed tells whether a host has not taken a turn that it was given, since Read saw
// it first, longer ago than a lease.
func (c *Client) missed(turn *api.KVPair, lease time.Duration) bool {
	return c.unchanged(turn.Key, turn.ModifyIndex) >= lease
}

// unchanged tells for how long something has been as it is, since Read saw it first.
func (c *Client) unchanged(what string, index uint64) time.Duration {
	c.seen.Lock()
	defer c.seen.Unlock()
	seen, ok := c.given[what]
	if !ok || seen.index != index {
		seen = sight{index, time.Now()}
		c.given[what] = seen
	}
	return time.Since(seen.since)
}
