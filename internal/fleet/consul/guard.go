package consul

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/fleet"
)

// guard is what a host has seen of holders that others may have to stand in for. It
// reckons by the host's own clock, which does not jump.
type guard struct {
	seen     map[string]sight // by the key of the turn
	patience time.Duration    // at least, whatever is written
}

func newGuard(patience time.Duration) *guard {
	return &guard{seen: map[string]sight{}, patience: patience}
}

// sight is a turn that is not held by a session.
type sight struct {
	index uint64 // of Consul, or for a turn that is gone how often it was restored: somebody was there
	since time.Time
}

// overdue tells whether a turn has been without its host for too long. One that works
// may go on for a lease without Consul; one that has not taken its turn does not work.
func (g *guard) overdue(key string, pair *api.KVPair, lease time.Duration, restored int) (over bool, left bool,
	state turnState) {
	var t turn
	index, patience := uint64(max(restored, 0)), max(lease, g.patience)
	if pair != nil {
		index = pair.ModifyIndex
		if decode(pair.Value, &t) == nil && t.State != turnWorking {
			patience /= 2
		}
		if pair.Session != "" {
			delete(g.seen, key)
			return false, false, t.State
		}
	}
	return g.missed(key, index) >= patience, true, t.State
}

// missed notes that nobody is there, and tells for how long that has been so.
func (g *guard) missed(key string, index uint64) time.Duration {
	if s, ok := g.seen[key]; !ok || s.index != index {
		g.seen[key] = sight{index, time.Now()}
	}
	return time.Since(g.seen[key].since)
}

// look does what waiting hosts have to do now and then, and tells when to look again.
func (p *Place) look(ctx context.Context) (time.Duration, error) {
	if err := p.advance(ctx); err != nil {
		return 0, err
	}
	s, alone, err := p.watchOver(ctx)
	if err != nil {
		return 0, err
	}
	if s.has(p.ticket, p.entry.Node) { // it has not been told: what it waits on may be a dead connection
		pair, err := p.get(ctx, p.turnKey())
		return about(p.lease / 8), p.turned(ctx, change{pair, err})
	}
	// Each host behind looks less often: all together they cost little.
	behind := max(p.ticket-s.Serving, 0)
	if behind == 0 {
		if err := p.countSilent(ctx, p.head, p.entry.Node); err != nil {
			return 0, err
		}
	}
	next := about(p.lease/4 + p.lease/8*time.Duration(min(behind, 80)))
	switch {
	case p.head.Phase == fleet.Pause:
		next = p.head.soon(p.spot, p.lease)
	case p.head.Phase == draining && p.ticket < 2, alone:
		next = about(p.lease / 8)
	}
	return next, errKept
}

// watchOver looks after the holders of the host's own shard, and hands out slots that
// nobody has. alone tells whether one of them is missed.
func (p *Place) watchOver(ctx context.Context) (s shard, alone bool, err error) {
	alone, err = p.relieve(ctx, p.head.past(), p.shard, &p.guard)
	if err == nil {
		err = p.settle(ctx, p.head.Gen, p.shard)
	}
	if err == nil {
		err = p.relieveBeside(ctx, p.head, p.shard, &p.guard)
	}
	if err == nil && p.head.Phase == fleet.Canary && p.shard != canaryShard {
		err = p.promote(ctx)
	}
	if err == nil {
		s, _, err = p.readShard(ctx, p.shardKey(p.head.Gen, p.shard))
	}
	return s, alone, err
}

// relieveBeside looks after the shard beside another one, in which nobody may be left:
// who died there, or failed and died before that was summed, counts for all.
func (l *ledger) relieveBeside(ctx context.Context, h *head, name string, g *guard) error {
	beside := h.beside(name)
	if beside == "" {
		return nil
	}
	return l.relieveAll(ctx, h.past(), beside, g)
}

// advance brings the rollout to its next phase, when its time has come.
func (p *Place) advance(ctx context.Context) error {
	h, index, err := p.readHead(ctx)
	if err != nil {
		return err
	}
	if err := p.still(h); err != nil {
		return err
	}
	same := h.Phase == p.head.Phase
	p.head, p.headIndex = h, index
	switch {
	case !same:
		return nil
	case h.Phase == fleet.Pause: // this host has waited for as long
		h.Phase = fleet.Open
	case h.Phase == draining:
		drained, err := p.drained(ctx, h, &p.guard)
		if err != nil || !drained {
			return err
		}
		if err := handsOut(ctx, p.ledger, h, index); err != nil {
			return err
		}
		return learn(ctx, p)
	default:
		return nil
	}
	if _, err := p.commit(ctx, casOp(p.headKey(), encode(h), index)); err != nil {
		return err
	}
	return learn(ctx, p)
}

// learn has the host know how its rollout stands now.
func learn(ctx context.Context, p *Place) error {
	h, index, err := p.readHead(ctx)
	if err == nil {
		err = p.still(h)
	}
	if err == nil {
		p.head, p.headIndex = h, index
	}
	return err
}

// promote makes the host a canary, when there is room for one: others have left.
func (p *Place) promote(ctx context.Context) error {
	if err := p.relieveAll(ctx, p.head.past(), canaryShard, &p.guard); err != nil {
		return err
	}
	s, _, err := p.readShard(ctx, p.shardKey(p.head.Gen, canaryShard))
	if err != nil || !p.head.room(s) {
		return err
	}
	// While the head is the same, its own shard gives it no slot.
	ok, err := p.commit(ctx, sameOp(p.headKey(), p.headIndex), deleteOp(p.turnKey()))
	if err == nil && ok {
		err = errAgain
	}
	return err
}

// relieveAll is relieve and settle.
func (l *ledger) relieveAll(ctx context.Context, of past, name string, g *guard) error {
	_, err := l.relieve(ctx, of, name, g)
	if err == nil {
		err = l.settle(ctx, of.Gen, name)
	}
	return err
}

// relieve takes the slots of holders away that have been missed for too long. missed
// tells whether there are others that may have to go.
func (l *ledger) relieve(ctx context.Context, of past, name string, g *guard) (missed bool, _ error) {
	gen := of.Gen
	s, index, err := l.readShard(ctx, l.shardKey(gen, name))
	if err != nil {
		return false, err
	}
	var list []string
	for _, h := range s.Held {
		list = append(list, l.turnKeyOf(gen, name, h.Ticket))
	}
	turns, err := l.getAll(ctx, list)
	if err != nil {
		return false, err
	}
	for i, h := range slices.Clone(s.Held) {
		over, gone, state := g.overdue(list[i], turns[list[i]], of.lease(), s.Touched)
		if !over {
			missed = missed || gone
			continue
		}
		if err := l.dismiss(ctx, of, name, &s, index, h, turns[list[i]], state); err != nil {
			return false, err
		}
		delete(g.seen, list[i])
		return true, nil // the shard has changed: the next one next time
	}
	return missed, nil
}

// dismiss takes away the slot of one holder. One that had gone to work has died; it
// says so itself when it comes back.
func (l *ledger) dismiss(ctx context.Context, of past, name string, s *shard, index uint64, h held,
	pair *api.KVPair, state turnState) error {
	s.drop(h.Ticket)
	key := l.turnKeyOf(of.Gen, name, h.Ticket)
	ops := []*api.KVTxnOp{goneOp(key)}
	if pair != nil {
		ops = []*api.KVTxnOp{deleteCASOp(key, pair.ModifyIndex)}
	}
	if pair != nil && state != turnWorking {
		s.Skipped++
	} else {
		s.Died++
		s.Check = true
		tell, err := l.obituary(ctx, of, h.Node, pair)
		if err != nil {
			return err
		}
		stop, err := l.stopIfCurrent(ctx, of.Gen, name, *s)
		if err != nil {
			return err
		}
		ops = append(append(ops, tell...), stop...)
		l.log("host %q had a slot and is heard of no more: it is counted as failed", h.Node)
	}
	ops = append(ops, casOp(l.shardKey(of.Gen, name), encode(s), index))
	_, err := l.commit(ctx, ops...)
	return err
}

// stopIfCurrent is stopping, for a generation that may be the current one.
func (l *ledger) stopIfCurrent(ctx context.Context, gen, name string, s shard) ([]*api.KVTxnOp, error) {
	h, index, err := l.readHead(ctx)
	if err != nil || h == nil || h.Gen != gen {
		if !errors.Is(err, fleet.ErrUnreachable) {
			err = nil // a head that is spoilt stops everybody
		}
		return nil, err
	}
	return l.stopping(ctx, h, index, name, s)
}

// obituary writes the result of a host that can't tell its own, unless it has since it
// got its turn. What it has nobody knows: it may have died before it changed anything, or
// after. It is of that run, which may come back and say more, and of no other one.
func (l *ledger) obituary(ctx context.Context, of past, node string, pair *api.KVPair) ([]*api.KVTxnOp, error) {
	if of.Series == "" {
		of.Series = noSeries
	}
	key := l.resultKey(of.Series, node)
	told, err := l.get(ctx, key)
	if err != nil {
		return nil, err
	}
	r := fleet.Result{Name: l.name, Rollout: of.ID, Node: node, Result: string(fleet.HostDied), Error: unheard}
	index := uint64(0)
	if told != nil {
		if pair == nil || told.ModifyIndex > pair.CreateIndex {
			return nil, nil
		}
		index = told.ModifyIndex
	}
	h, _, err := l.readHead(ctx)
	if err != nil && errors.Is(err, fleet.ErrUnreachable) {
		return nil, err
	}
	if h != nil && h.ID == of.ID {
		r.Version = h.Version
	}
	var t turn
	if pair != nil && decode(pair.Value, &t) == nil {
		r.Run = t.Run
	}
	data, err := r.Encode()
	return []*api.KVTxnOp{casOp(key, data, index)}, err
}

// drained tells whether no host of an earlier generation is at work any more.
func (l *ledger) drained(ctx context.Context, h *head, g *guard) (bool, error) {
	unknown, left, patience := false, false, time.Duration(0)
	for _, old := range h.Drain {
		if old.Gen == "" {
			unknown, patience = true, max(patience, old.lease())
			continue
		}
		all, err := l.readShards(ctx, old.Gen, old.Shards)
		if errors.Is(err, errSpoilt) { // somebody has removed them
			unknown, patience = true, max(patience, old.lease(), g.patience)
		} else if err != nil {
			return false, err
		}
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if len(all[name].Held) == 0 {
				continue
			}
			left = true
			if _, err := l.relieve(ctx, old, name, g); err != nil && !errors.Is(err, errSpoilt) {
				return false, err
			}
		}
	}
	if left || !unknown {
		return !left, nil
	}
	return l.nobody(ctx, g, patience)
}

// nobody tells whether no session of a host at work is left, and has been for so long.
// It asks for all sessions there are: it does so only when what the rollouts had
// written is gone.
func (l *ledger) nobody(ctx context.Context, g *guard, patience time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*requestTime)
	defer cancel()
	sessions, meta, err := l.api.Session().List(consistent(ctx))
	if err = l.listed(sessionRead, "list sessions", meta, err); err != nil {
		return false, err
	}
	for _, s := range sessions {
		if s.Name == l.sessionName() {
			delete(g.seen, l.sessionName())
			return false, nil
		}
	}
	return g.missed(l.sessionName(), 0) >= patience, nil
}
