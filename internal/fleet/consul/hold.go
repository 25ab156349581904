package consul

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/fleet"
)

// work returns a context for the host's work, and holds the slot until the host leaves:
// what has to be undone when the work is interrupted is work, too.
func (p *Place) work(ctx context.Context) context.Context {
	slot, lose := context.WithCancelCause(context.WithoutCancel(ctx))
	work, cancel := context.WithCancelCause(ctx)
	work, end := context.WithTimeoutCause(work, p.entry.Rollout.WaitsFor(), fleet.ErrOvertime)
	context.AfterFunc(slot, func() { cancel(context.Cause(slot)) })
	p.slot, p.lose = slot, lose
	p.finish = func() {
		end()
		lose(nil)
		p.holding.Wait()
	}
	p.holding.Go(func() { p.hold(slot) })
	return work
}

// Slot is a context that ends when the host has its slot no more; its cause is
// fleet.ErrLost when it has not left itself. It does not end with the run. Nil = it
// has never had one.
func (h *holder) Slot() context.Context { return h.slot }

// Until is when others may have the slot, unless it is confirmed again.
func (h *holder) Until() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.confirmed.Add(h.lease - h.confirmed.slept())
}

// Sure makes sure that the host still has its slot, before it begins something. A
// process or a machine that stood still has not seen how the time went by.
func (p *Place) Sure(ctx context.Context) error {
	if p.slot == nil {
		return nil
	}
	if p.stoodStill() {
		_ = p.reconfirm(ctx, p.confirm) // what it has come to is seen by the clocks
	}
	if time.Since(p.Until()) >= -fleet.Margin(p.lease) {
		p.lose(fmt.Errorf("%w: it was not confirmed in time", fleet.ErrLost))
	}
	return context.Cause(p.slot)
}

// fenced is how long the host goes on without having confirmed its slot.
func (h *holder) fenced() time.Duration { return h.lease - fleet.Margin(h.lease) }

// left is how long it still goes on, as its monotonic clock sees it.
func (h *holder) left() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fenced() - time.Since(h.confirmed.Time)
}

// stoodStill tells whether more time has gone by since the slot was confirmed than the
// host's monotonic clock has seen: it does not run while the machine is suspended.
func (h *holder) stoodStill() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := time.Since(h.confirmed.Time)
	return seen < h.fenced() && seen+h.confirmed.slept() >= h.fenced()
}

// unconfirmed is the error of a slot that has not been confirmed in time.
func (h *holder) unconfirmed() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return fmt.Errorf("%w: it was not confirmed for %s: %w", fleet.ErrLost, h.fenced(),
		cmp.Or(h.trouble, fleet.ErrUnreachable))
}

// reconfirm is confirm, for one at a time, which notes when it was.
func (h *holder) reconfirm(ctx context.Context, confirm func(context.Context) error) error {
	h.confirming.Lock()
	defer h.confirming.Unlock()
	sent := now()
	err := confirm(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.trouble = err; err == nil {
		h.confirmed = sent
	}
	return err
}

// hold confirms the slot now and then, until ctx ends. It loses it when it has not
// been able to for a lease less the margin: before others take it, the work has ended.
func (p *Place) hold(ctx context.Context) {
	fence := time.AfterFunc(p.left(), func() { p.lose(p.unconfirmed()) })
	defer fence.Stop()
	every, looked := min(p.lease, longestTTL)/5, time.Now()
	for tries := -1; ; {
		rest := about(every)
		if tries >= 0 {
			rest = min(backOff(p.lease, tries), every)
		}
		if !p.rest(ctx, rest) {
			return
		}
		switch err := p.reconfirm(ctx, p.confirm); {
		case err == nil:
			fence.Reset(p.left())
			if tries > 0 {
				p.info("the slot of this host is confirmed again")
			}
			tries = -1
		case ctx.Err() != nil:
			return
		case errors.Is(err, fleet.ErrLost):
			p.lose(err)
			return
		case p.stoodStill():
			p.lose(fmt.Errorf("%w: the machine stood still: %w", fleet.ErrLost, err))
			return
		default:
			if tries++; tries == 1 {
				p.log("the slot of this host is not confirmed, and its work ends at %s unless it is: %v",
					clock(p.Until().Add(-fleet.Margin(p.lease))), err)
			}
		}
		if tries < 0 && time.Since(looked) > p.lease/2 {
			looked = time.Now()
			p.oversee(ctx)
		}
	}
}

// rest waits, and no longer when the machine stood still meanwhile; false = ctx ended.
func (h *holder) rest(ctx context.Context, d time.Duration) bool {
	for until := time.Now().Add(d); time.Until(until) > 0 && !h.stoodStill(); {
		if !pause(ctx, min(time.Until(until), time.Second)) {
			return false
		}
	}
	return ctx.Err() == nil
}

// oversee looks after the other holders of the shard, and after that beside it: when
// the last in the line is at work, nobody else does. What fails is tried again.
func (p *Place) oversee(ctx context.Context) {
	err := p.relieveAll(ctx, p.head.past(), p.shard, &p.guard)
	if err == nil {
		err = p.relieveBeside(ctx, p.head, p.shard, &p.guard)
	}
	if err != nil && ctx.Err() == nil {
		p.log("look after the other hosts at work: %v", err)
	}
}

// confirm makes sure that the host still has its slot. When its session has ended
// before its time, as when the node leaves, or when somebody has removed its turn, it
// takes it again, unless others were first.
func (p *Place) confirm(ctx context.Context) error {
	alive, err := p.renew(ctx, p.session)
	if err != nil {
		return err
	}
	pair, err := p.get(ctx, p.turnKey())
	if err != nil {
		return err
	}
	if pair != nil {
		var t turn
		switch {
		case alive && pair.Session == p.session:
			return nil
		case pair.Session != "" && pair.Session != p.session:
			return fmt.Errorf("%w: another session holds it", fleet.ErrLost)
		case decode(pair.Value, &t) == nil && !p.mine(t):
			return fmt.Errorf("%w: another host has its turn", fleet.ErrLost)
		}
	}
	return retake(ctx, p, pair, alive)
}

// retake takes the host's turn again, which no session holds, or which somebody has
// removed. When others have its slot, it is lost: then its shard does not know it. When
// all is gone that the rollout had written, the host goes on as long as its session
// lives: who begins a rollout waits until it has ended.
func retake(ctx context.Context, p *Place, pair *api.KVPair, alive bool) error {
	key := p.shardKey(p.head.Gen, p.shard)
	s, index, err := p.readShard(ctx, key)
	switch {
	case errors.Is(err, errSpoilt) && alive:
		return nil
	case errors.Is(err, errSpoilt):
		return fmt.Errorf("%w: its session has ended, and what the rollout had written is gone", fleet.ErrLost)
	case err != nil:
		return err
	case !s.has(p.ticket, p.entry.Node):
		return fmt.Errorf("%w: others have it", fleet.ErrLost)
	}
	p.renewed = time.Time{}
	if err := p.makeSession(ctx); err != nil {
		return err
	}
	ops := []*api.KVTxnOp{lockOp(p.turnKey(), p.own(turnWorking), p.session)}
	if pair != nil {
		ops = append([]*api.KVTxnOp{sameOp(key, index), sameOp(p.turnKey(), pair.ModifyIndex)}, ops...)
	} else {
		s.Touched++ // so that nobody takes the slot who has not seen that its host is there
		ops = append([]*api.KVTxnOp{casOp(key, encode(s), index), goneOp(p.turnKey())}, ops...)
	}
	ok, err := p.commit(ctx, ops...)
	if err == nil && !ok {
		err = unreached("take the slot again", errors.New("somebody else was first"))
	}
	return err
}
