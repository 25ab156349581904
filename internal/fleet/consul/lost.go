package consul

import (
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/fleet"
)

// How it is found that a host died while it waited: it has no session that would end.
// Where others are left, they pass it by when its turn comes. Where none is, something
// stays undone that any host in the line would do, as it looks now and then.

// unheardWaiting is what is told of such a host.
const unheardWaiting = "it waited for its turn, and was heard of no more"

// lost tells whether the host of a turn that it has not taken must have died, or is cut off: it has
// been told to end for longer than a lease, it has waited for longer than a host does, or
// nobody is left in its line.
func (f *findings) lost(t turn, pair *api.KVPair) bool {
	h := f.head
	over := func(seconds int64, limit time.Duration) bool {
		return seconds > 0 && time.Since(time.Unix(seconds, 0)).Abs() >= limit
	}
	lease := h.past().lease()
	return h.Phase == fleet.Stopped && over(h.Stopped, lease) ||
		h.Limits.TimeoutMS > 0 && over(t.Came, h.Limits.timeout()+lease) ||
		t.State == turnWaiting && f.dead[path.Base(path.Dir(pair.Key))]
}

// line is a shard with the turns of its tickets.
type line struct {
	shard
	turns map[int]*api.KVPair
	index uint64 // when something of it was written last
}

// lines are the shards of a generation, of all that there is of it.
func lines(k keys, gen string, pairs api.KVPairs) map[string]*line {
	all := map[string]*line{}
	for _, pair := range pairs { // keys of shards come before those of turns
		name, is := strings.CutPrefix(pair.Key, k.shardKey(gen, ""))
		found := &line{turns: map[int]*api.KVPair{}, index: pair.ModifyIndex}
		if is && decode(pair.Value, &found.shard) == nil {
			all[name] = found
			continue
		}
		rest, is := strings.CutPrefix(pair.Key, k.genKey(gen)+"t/")
		name, number, _ := strings.Cut(rest, "/")
		ticket, err := strconv.Atoi(number)
		if is && err == nil && all[name] != nil {
			all[name].turns[ticket], all[name].index = pair, max(all[name].index, pair.ModifyIndex)
		}
	}
	return all
}

// deadLines are the shards in which nothing has been done, for longer than those in the
// line take to do it, since Read saw first that there is something to do.
func deadLines(l *ledger, h *head, pairs api.KVPairs) map[string]bool {
	dead, all := map[string]bool{}, lines(l.keys, h.Gen, pairs)
	for name, its := range all {
		first, index := its, its.index
		if canaries := all[canaryShard]; h.Phase == fleet.Canary && canaries != nil { // all look after these
			first, index = canaries, max(index, canaries.index)
		}
		what := l.shardKey(h.Gen, name) + " " + string(h.Phase)
		room := name != canaryShard && h.Phase == fleet.Canary && h.room(first.shard) // who waits elsewhere becomes one
		if room || h.undone(first) {
			dead[name] = l.unchanged(what, index) >= h.longestLook(&its.shard)
		} else {
			l.unchanged(what, 0)
		}
	}
	return dead
}

// undone tells whether there is something to do for hosts that wait: a slot is free, or
// its host is missed, a failure is to be summed, or the next phase has come.
func (h *head) undone(of *line) bool {
	s := &of.shard
	switch {
	case h.Phase == fleet.Pause:
		return true
	case h.Phase == fleet.Canary && h.canariesEnd(*s):
		return true
	case h.Phase != fleet.Canary && h.Phase != fleet.Open:
		return false
	case s.Check, len(s.Held) < s.Cap && s.Serving < s.Next:
		return true
	}
	for _, held := range s.Held {
		if turn := of.turns[held.Ticket]; turn == nil || turn.Session == "" {
			return true
		}
	}
	return false
}

// longestLook is for how long who waits may leave something undone: the last in the line
// looks around seldom, and waits for a lease when it misses somebody.
func (h *head) longestLook(s *shard) time.Duration {
	lease := h.past().lease()
	d := 2*lease + 2*(lease/4+lease/8*time.Duration(min(s.Next-s.Serving, 80)))
	if h.Phase == fleet.Pause {
		d += h.soon(spot{shard: strconv.Itoa(h.Shards), ticket: s.Next}, lease)
	}
	return d
}
