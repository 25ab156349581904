package consul

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/fleet"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
)

// How all of a name is removed. One transaction does it, with checks that the head and
// the shards are as they were read: a host that comes changes a shard, and whoever begins
// a rollout the head. Where there are more shards than a transaction has room for, the
// rollout is stopped first: no host takes part in it any more then.

// forgetting is that of one name.
type forgetting struct {
	*ledger
	fleet.Forgetting
	guard *guard
	was   string // the generation that was there first; "" = nobody has looked yet
	told  fleet.Forgotten
}

// kept is all that there is of a name at some moment.
type kept struct {
	head   *head // nil = there is none, or it is spoilt
	index  uint64
	gens   api.KVPairs // what is below the generations
	beside api.KVPairs
	keys   []string // all keys of the name's rollouts

	going  []string // why it is not over
	unsure []string // hosts that have a slot, and no session
}

// Forget removes all that Consul has of a name whose rollout is over. Of several who do
// so at the same time each is told that it is done: the first, or fleet.ErrAlready.
// fleet.ErrBegun when another rollout has begun meanwhile: that stays.
func (c *Client) Forget(ctx context.Context, f fleet.Forgetting) (fleet.Forgotten, error) {
	o := &forgetting{ledger: c.ledger(f.Name), Forgetting: f, guard: newGuard(0)}
	for tries := 0; tries < manyTries; {
		found, err := o.find(ctx)
		if err != nil {
			return o.told, err
		}
		if o.Force {
			found.unsure = nil
		}
		switch {
		case len(found.going) > 0 && !o.Force:
			changed, err := o.hasChanged(ctx, found)
			if err != nil {
				return o.told, err
			}
			if tries++; changed {
				continue
			}
			return o.told, failure.Hinted("stretcher fleet stop ends the waiting of hosts; --force removes it all the same",
				fmt.Errorf("the rollout goes on: %s", strings.Join(found.going, "; ")))
		case len(found.unsure) > 0:
			if err := o.wait(ctx, found); err != nil || o.DryRun {
				return o.told, err
			}
			continue
		case o.DryRun:
			return o.told, nil
		}
		if done, err := o.remove(ctx, found); err != nil || done {
			return o.told, err
		}
		tries++
	}
	return o.told, errRestless
}

// hasChanged tells whether the head is another one by now. What was read after it may be
// of another moment then: somebody else may have removed a part of it.
func (o *forgetting) hasChanged(ctx context.Context, k *kept) (bool, error) {
	_, index, err := o.readHead(ctx)
	if errors.Is(err, fleet.ErrUnreachable) {
		return false, err
	}
	return index != k.index, nil
}

// find reads what there is. The head comes first: whatever is written later has another.
func (o *forgetting) find(ctx context.Context) (*kept, error) {
	k := new(kept)
	h, index, spoilt := o.readHead(ctx)
	if errors.Is(spoilt, fleet.ErrUnreachable) {
		return nil, spoilt
	}
	k.head, k.index = h, index
	var err error
	if k.gens, err = o.list(ctx, o.gensKey()); err != nil {
		return nil, err
	}
	if k.keys, err = o.keysBelow(ctx, o.base, ""); err != nil {
		return nil, err
	}
	beside, err := o.getAll(ctx, o.Beside) // by a transaction, which takes a key with dots as it is
	if err != nil {
		return nil, err
	}
	for _, key := range o.Beside {
		if pair := beside[key]; pair != nil {
			k.beside = append(k.beside, pair)
		}
	}
	if err := o.same(k); err != nil {
		return nil, err
	}
	s := fleet.State{Name: o.Name}
	if spoilt != nil {
		s.Phase, s.Why = fleet.Stopped, failure.Text(spoilt)
	} else if s, err = o.Read(ctx, o.Name); errors.Is(err, fleet.ErrUnknown) {
		s, err = fleet.State{Name: o.Name}, nil
	}
	if err != nil {
		return nil, err
	}
	k.going, k.unsure = k.reasons(o.keys, &s, o.guard)
	if o.told.Parts == nil { // stopping it for this changes how it stands
		o.told.State = s
	}
	o.told.Parts, o.told.Going = k.parts(o.keys), k.going
	return k, nil
}

// same tells whether it is still what it was when it was looked at first.
func (o *forgetting) same(k *kept) error {
	was, is := o.was, "none"
	if k.head != nil {
		is = k.head.Gen
	} else if k.index > 0 {
		is = "spoilt"
	}
	o.was = is
	switch none := len(k.keys)+len(k.beside) == 0; {
	case none && was == "":
		return fmt.Errorf("%w: %q", fleet.ErrUnknown, o.Name)
	case none:
		return fmt.Errorf("%w: somebody else has removed it", fleet.ErrAlready)
	case was == "" || was == is:
		return nil
	case k.head != nil:
		return fmt.Errorf("%w: version %q", fleet.ErrBegun, k.head.Version)
	}
	return nil
}

// parts are the keys by what they are for.
func (k *kept) parts(of keys) (parts []fleet.Part) {
	count := map[string]int{}
	for _, key := range k.keys {
		switch {
		case strings.HasPrefix(key, of.gensKey()):
			key = of.gensKey()
		case strings.HasPrefix(key, of.seriesKey()):
			key = of.seriesKey()
		case key != of.headKey():
			key = of.base
		}
		count[key]++
	}
	for _, key := range []string{of.headKey(), of.gensKey(), of.seriesKey(), of.base} {
		if count[key] > 0 {
			parts = append(parts, fleet.Part{Key: key, Keys: count[key]})
		}
	}
	for _, pair := range k.beside {
		parts = append(parts, fleet.Part{Key: pair.Key, Keys: 1})
	}
	return parts
}

// reasons are why the rollout is not over, and the hosts of which nobody knows whether
// they are at work.
func (k *kept) reasons(of keys, s *fleet.State, g *guard) (going, unsure []string) {
	working, unsure := k.holders(of, g)
	say := func(what string, nodes []string) {
		if len(nodes) > 0 {
			going = append(going, what+": "+some(nodes))
		}
	}
	say("hosts at work", working)
	say("hosts that wait for their turn", nodesThat(s, fleet.HostWaiting))
	if k.head != nil && s.Phase != fleet.Stopped && s.Phase != fleet.Done {
		say("hosts that have yet to come", nodesThat(s, fleet.HostExpected, fleet.HostMissing))
	}
	if s.Begins {
		going = append(going, "it is about to begin, by "+strconv.Quote(k.head.By))
	}
	for _, pair := range k.beside {
		if k.head != nil && pair.ModifyIndex > k.index {
			going = append(going, pair.Key+" is newer, and hosts may be about to go by it")
		}
	}
	return going, unsure
}

// nodesThat are the hosts that stand so, but those whom nobody waits for.
func nodesThat(s *fleet.State, standings ...fleet.Standing) (nodes []string) {
	for _, h := range s.Hosts {
		if slices.Contains(standings, h.Standing) && !(h.Standing == fleet.HostMissing && h.Excused) {
			nodes = append(nodes, h.Node)
		}
	}
	return nodes
}

// some names the first of them.
func some(nodes []string) string {
	const most = 5
	var named []string
	for _, node := range nodes[:min(len(nodes), most)] {
		named = append(named, strconv.Quote(printable.Line(node)))
	}
	text := strings.Join(named, ", ")
	if more := len(nodes) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// holders are the hosts that have a slot of any generation: those whose session is alive,
// and those that may go on without.
func (k *kept) holders(of keys, g *guard) (working, unsure []string) {
	at := map[string]*api.KVPair{}
	for _, pair := range k.gens {
		at[pair.Key] = pair
	}
	for _, pair := range k.gens {
		part := strings.Split(strings.TrimPrefix(pair.Key, of.gensKey()), "/") // GEN/s/SHARD, GEN/t/SHARD/TICKET
		switch {
		case len(part) == 4 && part[1] == "t" && pair.Session != "":
			var t turn
			if decode(pair.Value, &t) != nil || t.Node == "" {
				t.Node = pair.Key
			}
			working = append(working, t.Node)
		case len(part) == 3 && part[1] == "s":
			unsure = append(unsure, k.without(of, part[0], part[2], pair, at, g)...)
		}
	}
	return working, unsure
}

// without are the holders of a shard that have no session, and that have not been
// without for a lease.
func (k *kept) without(of keys, gen, name string, pair *api.KVPair, at map[string]*api.KVPair,
	g *guard) (nodes []string) {
	var s shard
	if decode(pair.Value, &s) != nil {
		return nil
	}
	for _, h := range s.Held {
		key := of.turnKeyOf(gen, name, h.Ticket)
		if over, left, _ := g.overdue(key, at[key], k.lease(), s.Touched); left && !over {
			nodes = append(nodes, h.Node)
		}
	}
	return nodes
}

// lease is the longest of those that hosts may have.
func (k *kept) lease() time.Duration {
	if k.head == nil {
		return fleet.Rollout{}.Leased()
	}
	lease := k.head.past().lease()
	for _, p := range k.head.Drain {
		lease = max(lease, p.lease())
	}
	return lease
}

// wait lets some time go by for hosts of which nobody hears, and says so once.
func (o *forgetting) wait(ctx context.Context, k *kept) error {
	if o.Waits != nil {
		o.Waits(k.unsure, time.Now().Add(k.lease()))
		o.Waits = nil
	}
	if !o.DryRun && !pause(ctx, about(k.lease()/8)) {
		return context.Cause(ctx)
	}
	return nil
}

// remove removes all of it; false = something has changed, or has had to.
func (o *forgetting) remove(ctx context.Context, k *kept) (bool, error) {
	ops := []*api.KVTxnOp{goneOp(o.headKey())}
	if k.index > 0 {
		ops[0] = sameOp(o.headKey(), k.index)
	}
	for _, pair := range k.beside {
		ops = append(ops, deleteCASOp(pair.Key, pair.ModifyIndex))
	}
	ops = append(ops, deleteTreeOp(o.base))
	if h := k.head; h != nil && h.begun() && h.Phase != fleet.Stopped && !o.Force { // hosts may still come
		shards := k.shards(o.shardKey(h.Gen, ""))
		if len(ops)+len(shards) > mostOps {
			stopped := *h
			stopped.halt("it is being forgotten")
			_, err := o.commit(ctx, casOp(o.headKey(), encode(&stopped), k.index))
			return false, err
		}
		ops = append(shards, ops...)
	}
	return o.commit(ctx, ops...)
}

// shards are checks that the shards of a generation are as they were.
func (k *kept) shards(prefix string) (checks []*api.KVTxnOp) {
	for _, pair := range k.gens {
		if strings.HasPrefix(pair.Key, prefix) {
			checks = append(checks, sameOp(pair.Key, pair.ModifyIndex))
		}
	}
	return checks
}
