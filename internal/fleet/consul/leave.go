package consul

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/fleet"
)

// Leave ends the host's part in the rollout: its slot, if it has one, goes to the next
// in the line, and its result is written, whether it had one or not. The work has ended
// when it is called. It tries for as long as patience says, and gives up when ctx ends.
func (p *Place) Leave(ctx context.Context, r fleet.Result) error {
	if p.finish != nil {
		p.finish()
	}
	if r.Name == "" { // who says no more means what it came with
		r.Name, r.Version = p.entry.Name, p.entry.Version
	}
	r.Rollout, r.Run, r.Node, r.Zone = p.entry.ID, p.entry.Run, p.entry.Node, p.entry.Zone
	r.Machine = p.entry.Machine
	if r.Node == "" {
		return errors.New("the host does not know which node of consul's it is")
	}
	ctx, cancel := context.WithTimeout(ctx, patience(p))
	defer cancel()
	said := false
	for tries, began := 0, time.Now(); ; tries++ {
		err := p.leave(ctx, r)
		if until, _ := ctx.Deadline(); errors.Is(err, fleet.ErrUnreachable) && !said && time.Since(began) > firstSaid {
			said = true
			p.log("the group has yet to hear how this host fared, which it tries to tell until %s: %v", clock(until), err)
		}
		if !errors.Is(err, fleet.ErrUnreachable) {
			return cmp.Or(err, p.endSession(ctx)) // whatever is left without it goes to others
		}
		if errors.Is(err, fleet.ErrBarred) && tries > 0 || !pause(ctx, backOff(p.lease, tries)) {
			return err
		}
	}
}

// patience is for how long a host tries to leave: not for long where it has never had an
// answer, or has had none for some time. While a leader is elected, there will be one.
func patience(p *Place) time.Duration {
	short := min(p.lease, requestTime/2)
	switch {
	case p.head == nil:
		return short
	case !p.since.IsZero():
		return max(short, p.lease/4-time.Since(p.since))
	}
	if p.holds { // others don't have its slot before that
		return 2 * p.lease
	}
	return p.lease
}

func (p *Place) leave(ctx context.Context, r fleet.Result) error {
	standing := fleet.StandingOf(r.Result)
	for len(p.maybe) > 0 {
		if err := p.abandon(ctx, p.maybe[0]); err != nil {
			return err
		}
		p.maybe = p.maybe[1:]
	}
	if p.shard == "" {
		return leaveUnplaced(ctx, p, r)
	}
	if !p.holds && standing != fleet.HostFailed {
		standing = ""
	}
	say := func(h *head) (*api.KVTxnOp, error) { return p.saying(ctx, seriesFor(p, h), r, worked(p)) }
	if err := p.giveBack(ctx, p.spot, standing, say); err != nil {
		return err
	}
	if p.shard != canaryShard && (standing == "" || standing == fleet.HostGood) {
		return nil
	}
	return p.settleIfThere(ctx, p.gen, p.shard)
}

// leaveUnplaced tells the result of a host that has never had a place in the line.
func leaveUnplaced(ctx context.Context, p *Place, r fleet.Result) error {
	if stays, err := stays(ctx, p, r); err != nil || stays {
		return err
	}
	if fleet.StandingOf(r.Result) == fleet.HostFailed {
		if counted, err := p.count(ctx, r); counted || err != nil {
			return err
		}
	}
	return p.tell(ctx, r)
}

// settleIfThere is settle, for who does not mind when all is gone.
func (l *ledger) settleIfThere(ctx context.Context, gen, name string) error {
	err := l.settle(ctx, gen, name)
	if errors.Is(err, fleet.ErrStopped) {
		return nil
	}
	return err
}

// tell writes the result of a host that has no place in any generation.
func (p *Place) tell(ctx context.Context, r fleet.Result) error {
	for tries := 0; ; tries++ {
		h, _, err := p.readHead(ctx)
		if errors.Is(err, fleet.ErrUnreachable) {
			return err
		}
		if p.Late && (h == nil || h.ID != p.entry.ID) { // its rollout is past
			return nil
		}
		op, err := p.saying(ctx, seriesFor(p, h), r, worked(p))
		if err != nil {
			return err
		}
		if ok, err := p.commit(ctx, op); err != nil || ok {
			return err
		}
		if !pause(ctx, upTo(perHost<<min(tries, 6))) {
			return ctx.Err()
		}
	}
}

// quitEarlier gives back what the host may have in earlier generations of its rollout:
// the current one waits until nobody has a slot in those, and takes a host for dead that
// has one there and waits here, or is not asked.
func quitEarlier(ctx context.Context, p *Place) error {
	for i, m := range slices.Backward(p.maybe) {
		if m.gen == p.head.Gen {
			continue
		}
		if err := p.abandon(ctx, m); err != nil {
			return err
		}
		p.maybe = slices.Delete(p.maybe, i, i+1)
	}
	return nil
}

// abandon gives back what the host may have got without knowing.
func (p *Place) abandon(ctx context.Context, m spot) error {
	if p.gen == m.gen && p.shard == m.shard && p.ticket == m.ticket {
		return nil
	}
	pair, err := p.get(ctx, p.turnKeyOf(m.gen, m.shard, m.ticket))
	var t turn
	if err != nil || pair == nil || decode(pair.Value, &t) != nil || !p.mine(t) {
		return err
	}
	if t.State == turnWaiting && m.gen != p.head.Gen { // nobody gets a slot there any more, nor waits for it
		return nil
	}
	if err := p.giveBack(ctx, m, "", nil); err != nil {
		return err
	}
	return p.settleIfThere(ctx, m.gen, m.shard)
}

// giveBack leaves the line, or gives the slot back, and hands it to the next. With
// it is written what else there is to say, by the head as it is then.
func (p *Place) giveBack(ctx context.Context, at spot, standing fleet.Standing,
	say func(*head) (*api.KVTxnOp, error)) error {
	for tries := 0; ; tries++ {
		h, headIndex, err := p.readHead(ctx)
		if errors.Is(err, fleet.ErrUnreachable) {
			return err
		}
		ops, err := release(ctx, p, h, headIndex, at, standing)
		if err != nil && !errors.Is(err, errSpoilt) { // where nothing is left, there is nothing to give back
			return err
		}
		if say != nil {
			op, err := say(h)
			if err != nil {
				return err
			}
			ops = append(ops, op)
		}
		if len(ops) == 0 {
			return nil
		}
		if ok, err := p.commit(ctx, ops...); err != nil || ok {
			return err
		}
		if !pause(ctx, upTo(perHost<<min(tries, 6))) {
			return ctx.Err()
		}
	}
}

// release makes what gives a slot back. A failure is counted, and the slot handed out
// only when it has been summed: see settle.
func release(ctx context.Context, p *Place, h *head, headIndex uint64, at spot,
	standing fleet.Standing) ([]*api.KVTxnOp, error) {
	key, turn := p.shardKey(at.gen, at.shard), p.turnKeyOf(at.gen, at.shard, at.ticket)
	s, index, err := p.readShard(ctx, key)
	switch {
	case errors.Is(err, errSpoilt):
		return []*api.KVTxnOp{deleteOp(turn)}, err
	case err != nil:
		return nil, err
	case !s.has(at.ticket, p.entry.Node) && (standing != fleet.HostFailed || at.ticket < s.Serving):
		return quit(ctx, p, turn)
	case !s.has(at.ticket, p.entry.Node): // it has failed in the line, and counts as if it had at work
		ops, err := quit(ctx, p, turn)
		if err != nil || len(ops) == 0 {
			return ops, err
		}
		s.Failed, s.Check = s.Failed+1, true
		return append(ops, casOp(key, encode(s), index)), nil
	}
	s.drop(at.ticket)
	switch standing {
	case fleet.HostGood:
		s.Good++
	case "", fleet.HostStopped:
		s.Skipped++
	default:
		s.Failed++
		s.Check = true
	}
	ops := []*api.KVTxnOp{deleteOp(turn)}
	if h != nil && h.Gen == at.gen {
		further, err := p.consequences(ctx, h, headIndex, at.shard, &s)
		if err != nil {
			return nil, err
		}
		ops = append(ops, further...)
	}
	return append(ops, casOp(key, encode(s), index)), nil
}

// quit makes what lets a host without a slot leave the line. Its turn may come at the
// same time: then it has a slot to give back. What is not its own it leaves alone.
func quit(ctx context.Context, p *Place, key string) ([]*api.KVTxnOp, error) {
	pair, err := p.get(ctx, key)
	if err != nil || pair == nil {
		return nil, err
	}
	var t turn
	if decode(pair.Value, &t) == nil && !p.mine(t) {
		return nil, nil
	}
	return []*api.KVTxnOp{deleteCASOp(key, pair.ModifyIndex)}, nil
}
