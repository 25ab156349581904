package consul

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/fleet"
)

// How it is found that a host is silent: no host has seen the whole time go by, and
// their clocks differ. So two must agree that the timeout is over: the clock of who
// looks, by the time at which the rollout began, and Consul's own. That is a session
// of half the timeout, which nobody renews, and which holds the key clock.

func (l limits) timeout() time.Duration { return time.Duration(l.TimeoutMS) * time.Millisecond }

// overdue tells whether hosts that have not come by now are silent, by this host's clock.
func (h *head) overdue(now time.Time) bool {
	return h.Limits.TimeoutMS > 0 && h.begun() && now.Sub(h.Began) >= h.Limits.timeout()
}

// What stands in the key clock.
const (
	clockRuns    = "silent hosts are not counted yet"
	clockCounted = "silent hosts are counted"
)

// startClock starts Consul's clock for a generation, unless it runs. Where it can't have
// a session, as of who may not make any, the clock of who looks must do.
func (l *ledger) startClock(ctx context.Context, h *head) error {
	const least = 10 * time.Second // that Consul takes, as a rule
	key := l.clockKey(h.Gen)
	set := setOp(key, []byte(clockRuns))
	if id, err := l.createSession(ctx, l.clockName(), sessionWay{}, max(h.Limits.timeout()/2, least)); err == nil {
		set = lockOp(key, []byte(clockRuns), id)
	}
	_, err := l.commit(ctx, goneOp(key), set)
	return err
}

// countSilent counts the members that have not come in time among those that failed:
// once in a generation, by a host that comes or waits later, which is left out. So the cost is one
// host's, and a rollout in which nobody waits any more counts nobody.
func (l *ledger) countSilent(ctx context.Context, h *head, but string) error {
	for h.overdue(time.Now()) {
		clock, err := l.get(ctx, l.clockKey(h.Gen))
		if err != nil || clock == nil || clock.Session != "" || string(clock.Value) != clockRuns {
			return err
		}
		silent, err := l.silent(ctx, h, but)
		if err != nil {
			return err
		}
		key := l.shardKey(h.Gen, canaryShard) // any would do
		s, index, err := l.readShard(ctx, key)
		if err != nil {
			return err
		}
		s.Silent, s.Check = silent, s.Check || silent > 0
		ops, err := l.stopIfCurrent(ctx, h.Gen, canaryShard, s) // nobody may be left to look after that shard
		if err != nil {
			return err
		}
		ok, err := l.commit(ctx, append(ops, casOp(key, encode(s), index),
			casOp(clock.Key, []byte(clockCounted), clock.ModifyIndex))...)
		if err != nil {
			return err
		}
		if ok {
			return l.settle(ctx, h.Gen, canaryShard)
		}
		if !pause(ctx, upTo(perHost)) {
			return ctx.Err()
		}
	}
	return nil
}

// silent is how many members have not come, but one that has just now, and but those who
// nobody waits for.
func (l *ledger) silent(ctx context.Context, h *head, but string) (n int, _ error) {
	answered, others, err := words(ctx, l, h)
	if err != nil {
		return 0, err
	}
	came, asked := map[string]bool{}, map[string]bool{}
	for _, node := range append(answered, but) {
		came[strings.ToLower(node)] = true
	}
	for _, node := range others {
		asked[strings.ToLower(node)] = true
	}
	turns, err := l.list(ctx, l.genKey(h.Gen)+"t/")
	if err != nil {
		return 0, err
	}
	for _, pair := range turns {
		var t turn
		if decode(pair.Value, &t) == nil {
			came[strings.ToLower(t.Node)] = true
		}
	}
	members, err := l.formerMembers(ctx, h.Gen)
	for _, m := range members {
		node := strings.ToLower(m.Node)
		if !m.Excused && !came[node] && (asked[node] || !h.Only || h.Silent) {
			n++
		}
	}
	return n, err
}

// tellOutsider warns when the host is not of the group. It deploys all the same: a new
// machine often comes up before it is registered.
func tellOutsider(ctx context.Context, p *Place) {
	if p.warned {
		return
	}
	if is, err := p.outside(ctx, p.entry.Node, p.entry.Rollout); err == nil {
		if p.warned = true; is {
			p.log("this host, %q, is not of the group, %s: it deploys in turn, and counts, as if it were",
				p.entry.Node, p.entry.Rollout.Group())
		}
	}
}

// outside tells whether the host is not of the group, as Consul knows it now. It asks
// for its own node alone.
func (c *Client) outside(ctx context.Context, node string, r fleet.Rollout) (bool, error) {
	if len(r.Hosts) > 0 {
		return !slices.ContainsFunc(r.Hosts, func(host string) bool { return strings.EqualFold(host, node) }), nil
	}
	if r.Service == "" {
		meta, err := c.nodeMeta(ctx, node)
		for key, value := range r.NodeMeta {
			if err == nil && meta[key] != value {
				return true, nil
			}
		}
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	found, meta, err := c.api.Catalog().NodeServiceList(node, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return false, unreached("ask for the services of this host", err)
	}
	is := func(s *api.AgentService) bool { return s.Service == r.Service }
	if found != nil && slices.ContainsFunc(found.Services, is) {
		return false, nil
	}
	return !meta.ResultsFilteredByACLs, nil // what it may not see may be that service
}
