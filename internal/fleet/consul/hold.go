package consul

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stretcher/internal/fleet"
)

// work returns a context for the host's work, and holds the slot until the host leaves:
// what has to be undone when the work is interrupted is work, too.
func (p *Place) work(ctx context.Context) context.Context {
	work, lose := context.WithCancelCause(ctx)
	work, end := context.WithTimeoutCause(work, p.entry.Rollout.WaitsFor(), fleet.ErrTimedOut)
	holding, leave := context.WithCancel(context.WithoutCancel(ctx))
	p.stop = func() {
		leave()
		end()
		lose(nil)
		p.holding.Wait()
	}
	p.holding.Go(func() { p.hold(holding, lose) })
	return work
}

// hold confirms the slot now and then, until ctx ends. The work ends when it has not
// been able to for a lease less the margin: before others take the slot.
func (p *Place) hold(ctx context.Context, lose func(error)) {
	limit := p.lease - fleet.Margin(p.lease)
	fence := time.AfterFunc(time.Until(p.confirmed.Add(limit)), func() {
		lose(fmt.Errorf("%w: %w for %s", fleet.ErrLost, fleet.ErrUnreachable, limit))
	})
	defer fence.Stop()
	every, looked := p.lease/5, time.Now()
	for tries := -1; ; {
		rest := about(every)
		if tries >= 0 {
			rest = min(backOff(p.lease, tries), every)
		}
		if !pause(ctx, rest) {
			return
		}
		sent := time.Now()
		switch err := p.confirm(ctx); {
		case err == nil:
			p.confirmed = sent
			fence.Reset(time.Until(sent.Add(limit)))
			tries = -1
		case ctx.Err() != nil:
			return
		case errors.Is(err, fleet.ErrLost):
			lose(err)
			return
		default:
			tries++
		}
		if tries < 0 && time.Since(looked) > p.lease/2 {
			looked = time.Now()
			p.oversee(ctx)
		}
	}
}

// oversee looks after the other holders of the shard: when the last in the line is at
// work, nobody else does. What fails is tried again.
func (p *Place) oversee(ctx context.Context) {
	if err := p.relieveAll(ctx, p.head.past(), p.shard, &p.guard); err != nil && ctx.Err() == nil {
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
	switch {
	case err != nil:
		return err
	case pair == nil:
		return p.restore(ctx, alive)
	case alive && pair.Session == p.session:
		return nil
	case pair.Session != "" && pair.Session != p.session:
		return fmt.Errorf("%w: another session holds it", fleet.ErrLost)
	}
	p.renewed = time.Time{}
	if err := p.makeSession(ctx); err != nil {
		return err
	}
	ok, err := p.commit(ctx, sameOp(p.turnKey(), pair.ModifyIndex), lockOp(p.turnKey(), p.own(turnWorking), p.session))
	if err == nil && !ok {
		err = unreached("take the slot again", errors.New("somebody else was first"))
	}
	return err
}

// restore writes the host's turn again, which somebody has removed. When others have
// its slot, it is lost. When all is gone that the rollout had written, the host goes on
// as long as its session lives: who begins a rollout waits until it has ended.
func (p *Place) restore(ctx context.Context, alive bool) error {
	s, index, err := p.readShard(ctx, p.shardKey(p.head.Gen, p.shard))
	switch {
	case errors.Is(err, errSpoilt) && alive:
		return nil
	case errors.Is(err, errSpoilt):
		return fmt.Errorf("%w: its session has ended, and what the rollout had written is gone", fleet.ErrLost)
	case err != nil:
		return err
	case s.find(p.ticket) < 0:
		return fmt.Errorf("%w: others have it", fleet.ErrLost)
	}
	p.renewed = time.Time{}
	if err := p.makeSession(ctx); err != nil {
		return err
	}
	s.Touched++ // so that nobody takes the slot who has not seen that its host is there
	ok, err := p.commit(ctx, casOp(p.shardKey(p.head.Gen, p.shard), encode(s), index), goneOp(p.turnKey()),
		lockOp(p.turnKey(), p.own(turnWorking), p.session))
	if err == nil && !ok {
		err = unreached("take the slot again", errors.New("somebody else was first"))
	}
	return err
}
