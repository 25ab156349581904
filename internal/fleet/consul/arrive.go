package consul

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/fleet"
)

// Over how long hosts spread when all of them come at once: so long for each of a
// shard, and for each of the group. It is a little more than a busy Consul takes for
// one, so that few are in the way of each other, however many there are.
const (
	perHost   = 25 * time.Millisecond
	perMember = 10 * time.Millisecond
)

// spread is over how long the hosts of a rollout spread.
func (h *head) spread() time.Duration {
	return max(perHost*time.Duration(h.Members/max(h.Shards, 1)), perMember*time.Duration(h.Members))
}

// arrive takes a slot when one is free, and a ticket else.
func (p *Place) arrive(ctx context.Context) error {
	if p.head.Gen != p.began && !pause(ctx, upTo(p.head.spread())) {
		return ctx.Err()
	}
	tellOutsider(ctx, p)
	if err := p.countSilent(ctx, p.head, p.entry.Node); err != nil {
		return err
	}
	for tries := 0; ; tries++ {
		if done, err := p.tryArrive(ctx); err != nil || done {
			return err
		}
		// Who was in the way of whom is at random: a few times what a try takes, and
		// more each time.
		if !pause(ctx, upTo(2*perHost<<min(tries, 8))) {
			return ctx.Err()
		}
		if tries%3 != 0 {
			continue // it is the shard that has changed, as a rule
		}
		h, index, err := p.readHead(ctx)
		if err != nil {
			return err
		}
		if h == nil || h.Gen != p.head.Gen || h.Phase == fleet.Stopped {
			return errAgain
		}
		if err := p.still(h); err != nil {
			return err
		}
		p.head, p.headIndex = h, index
	}
}

// tryArrive takes a slot or a ticket; false = others were first.
func (p *Place) tryArrive(ctx context.Context) (bool, error) {
	if adopted, err := p.adopt(ctx); err != nil || adopted {
		return adopted, err
	}
	name, s, index, err := p.choose(ctx)
	if err != nil {
		return false, err
	}
	free := s.Serving == s.Next && p.head.free(name, &s) && p.head.hands(name)
	ticket := s.Next
	s.Next++
	key := p.turnKeyOf(p.head.Gen, name, ticket)
	if free {
		s.Serving++
		s.Held = append(s.Held, held{ticket, cut(p.entry.Node)})
		return p.takeSlot(ctx, name, ticket, s, index)
	}
	ok, err := p.commit(ctx, sameOp(p.headKey(), p.headIndex), casOp(p.shardKey(p.head.Gen, name), encode(s), index),
		casOp(key, p.own(turnWaiting), 0))
	if err != nil {
		p.maybe = append(p.maybe, spot{gen: p.head.Gen, shard: name, ticket: ticket})
	}
	if ok {
		p.gen, p.shard, p.ticket = p.head.Gen, name, ticket
		tellLine(p, s)
		return true, nil
	}
	return false, err
}

// takeSlot takes a ticket and goes to work with it at once.
func (p *Place) takeSlot(ctx context.Context, name string, ticket int, s shard, index uint64) (bool, error) {
	if err := p.makeSession(ctx); err != nil {
		return false, err
	}
	sent := now()
	key := p.turnKeyOf(p.head.Gen, name, ticket)
	ok, err := p.commit(ctx, sameOp(p.headKey(), p.headIndex), casOp(p.shardKey(p.head.Gen, name), encode(s), index),
		goneOp(key), lockOp(key, p.own(turnWorking), p.session))
	if err != nil {
		p.maybe = append(p.maybe, spot{gen: p.head.Gen, shard: name, ticket: ticket})
	}
	if !ok {
		return false, err
	}
	p.gen, p.shard, p.ticket = p.head.Gen, name, ticket
	p.holds, p.confirmed = true, sent
	return true, nil
}

// adopt looks, after a broken connection, whether what was sent has been done. Where it
// has not, it may be on its way: without the session it comes to nothing.
func (p *Place) adopt(ctx context.Context) (bool, error) {
	if len(p.maybe) == 0 {
		return false, nil
	}
	adopted, err := adoptDone(ctx, p)
	if adopted || err != nil || p.session == "" {
		return adopted, err
	}
	if err := p.endSession(ctx); err != nil {
		return false, err
	}
	return adoptDone(ctx, p)
}

// adoptDone has the host go on where what it sent has been done.
func adoptDone(ctx context.Context, p *Place) (bool, error) {
	for _, m := range p.maybe {
		if m.gen != p.head.Gen {
			continue
		}
		pair, err := p.get(ctx, p.turnKeyOf(m.gen, m.shard, m.ticket))
		if err != nil {
			return false, err
		}
		var t turn
		if pair == nil || decode(pair.Value, &t) != nil || !p.mine(t) {
			continue
		}
		p.gen, p.shard, p.ticket = m.gen, m.shard, m.ticket
		if t.State == turnWorking && pair.Session == p.session && p.session != "" {
			sent := now()
			alive, err := p.renew(ctx, p.session)
			p.holds, p.confirmed = err == nil && alive, sent
		}
		return true, nil
	}
	return false, nil
}

// choose reads the shard whose line the host joins: that of the canaries as long as
// there is room, and else the shorter of two.
func (p *Place) choose(ctx context.Context) (name string, s shard, index uint64, err error) {
	if p.head.Phase == fleet.Canary {
		s, index, err = p.readShard(ctx, p.shardKey(p.head.Gen, canaryShard))
		if err != nil || p.head.room(s) {
			return canaryShard, s, index, err
		}
	}
	one := rand.IntN(p.head.Shards)
	name = strconv.Itoa(one)
	if s, index, err = p.readShard(ctx, p.shardKey(p.head.Gen, name)); err != nil || p.head.Shards == 1 {
		return name, s, index, err
	}
	two := (one + 1 + rand.IntN(p.head.Shards-1)) % p.head.Shards
	other, otherIndex, err := p.readShard(ctx, p.shardKey(p.head.Gen, strconv.Itoa(two)))
	if err == nil && other.load()*max(s.Cap, 1) < s.load()*max(other.Cap, 1) {
		return strconv.Itoa(two), other, otherIndex, nil
	}
	return name, s, index, err
}

// readShard reads a shard. Where there is none, somebody has removed what the rollout
// had written: nothing is safe then but to stop.
func (c *Client) readShard(ctx context.Context, key string) (s shard, index uint64, err error) {
	pair, err := c.get(ctx, key)
	switch {
	case err != nil:
		return s, 0, err
	case pair == nil:
		return s, 0, fmt.Errorf("%w: %w: %s", fleet.ErrStopped, errSpoilt, key)
	}
	if err := decode(pair.Value, &s); err != nil {
		return s, 0, fmt.Errorf("%w: %w: %s: %w", fleet.ErrStopped, errSpoilt, key, err)
	}
	return s, pair.ModifyIndex, nil
}

// makeSession makes the session by which the host will hold its turn, when it has none
// that is alive. It ends when it is not renewed for a lease, or when its node leaves,
// or is found dead by the others where the node is the agent's own.
func (p *Place) makeSession(ctx context.Context) error {
	if p.session != "" && time.Since(p.renewed) < p.lease/5 {
		return nil
	}
	sent := time.Now()
	if p.session != "" {
		alive, err := p.renew(ctx, p.session)
		if err != nil {
			return err
		}
		if alive {
			p.renewed = sent
			return nil
		}
		p.session = ""
	}
	for _, way := range sessionWays(p.entry.Node, p.agents) {
		id, err := p.createSession(ctx, p.sessionName(), way, p.lease)
		if err == nil {
			p.session, p.renewed = id, sent
			return nil
		}
		var status api.StatusError
		if way == (sessionWay{}) || !errors.As(err, &status) || status.Code != http.StatusInternalServerError {
			return err
		}
	}
	return nil
}

// sessionWay is what a session is bound to.
type sessionWay struct {
	node  string // "" = the agent's
	check string // of the node's health; "" = none
}

// serfHealth is the check by which the agents of a cluster tell of each other.
const serfHealth = "serfHealth"

// sessionWays are what the host's session may be bound to, the best first. A node that
// has no agent has no health.
func sessionWays(node string, isAgents bool) (ways []sessionWay) {
	if isAgents {
		ways = append(ways, sessionWay{node, serfHealth})
	}
	return append(ways, sessionWay{node: node}, sessionWay{})
}

func (c *Client) createSession(ctx context.Context, name string, way sessionWay, ttl time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	entry := &api.SessionEntry{
		Name: name, Node: way.node, TTL: min(ttl, longestTTL).String(),
		Behavior: api.SessionBehaviorRelease, LockDelay: time.Millisecond,
	}
	create := c.api.Session().CreateNoChecks
	if way.check != "" {
		entry.NodeChecks, create = []string{way.check}, c.api.Session().Create
	}
	id, _, err := create(entry, (&api.WriteOptions{}).WithContext(ctx))
	if err != nil {
		return "", c.failed(sessionWrite, "make a session", err)
	}
	c.granted(sessionWrite)
	return id, nil
}

// renew keeps a session; false = it is gone.
func (c *Client) renew(ctx context.Context, id string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	// Not by api.Session, which says of no error what Consul says of it.
	var entries []api.SessionEntry
	_, err := c.api.Raw().Write("/v1/session/renew/"+id, nil, &entries, (&api.WriteOptions{}).WithContext(ctx))
	var status api.StatusError
	gone := errors.As(err, &status) && status.Code == http.StatusNotFound
	if err != nil && !gone {
		return false, c.failed(sessionWrite, "renew the session", err)
	}
	c.granted(sessionWrite)
	return !gone && len(entries) > 0, nil
}

// endSession ends the host's session, if there is one.
func (p *Place) endSession(ctx context.Context) error {
	if p.session == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	if _, err := p.api.Session().Destroy(p.session, (&api.WriteOptions{}).WithContext(ctx)); err != nil {
		return p.failed(sessionWrite, "end the session", err)
	}
	p.session = ""
	return nil
}
