package consul

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"stretcher/internal/fleet"
)

// errKept is the answer to who can't take its turn yet: it goes on waiting.
var errKept = errors.New("its turn has not come")

// await waits on the host's turn, and takes it.
func (p *Place) await(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := p.endSession(ctx); err != nil { // one that it has made for a slot that others got
		return err
	}
	wait := min(longestWait, 4*p.lease)
	turns, heads := make(chan change), make(chan change)
	go p.follow(ctx, p.turnKey(), 0, wait, turns)
	go p.follow(ctx, p.headKey(), p.headIndex, wait, heads)
	first := about(p.lease / 4)
	if p.head.Phase == fleet.Pause || p.head.Phase == draining {
		first = p.head.soon(p.spot, p.lease)
	}
	look := time.NewTimer(first)
	defer look.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case c := <-turns:
			err = p.turned(ctx, c)
		case c := <-heads:
			err = p.headed(ctx, c, look)
		case <-look.C:
			var next time.Duration
			next, err = p.look(ctx)
			look.Reset(next)
		}
		if !errors.Is(err, errKept) {
			return err
		}
	}
}

// turned hears what has become of the host's turn.
func (p *Place) turned(ctx context.Context, c change) error {
	if c.err != nil {
		return c.err
	}
	p.reached()
	if c.pair == nil { // asked again: see headed
		var err error
		if c.pair, err = p.get(ctx, p.turnKey()); err != nil {
			return err
		}
	}
	if c.pair == nil {
		return p.passedBy(ctx)
	}
	var t turn
	if err := decode(c.pair.Value, &t); err != nil || !p.mine(t) {
		return fmt.Errorf("%w: %w: %s", fleet.ErrStopped, errSpoilt, c.pair.Key)
	}
	if t.State == turnWaiting {
		return errKept
	}
	return p.take(ctx, c.pair.ModifyIndex)
}

// passedBy is why the host's turn is gone: with all the rollout had written, or alone.
func (p *Place) passedBy(ctx context.Context) error {
	h, _, err := p.readHead(ctx)
	if err == nil {
		err = p.still(h)
	}
	return cmp.Or(err, errAgain)
}

// take takes the turn that others have given to the host. In one transaction Consul
// checks that the rollout is as before: no host of one that is stopped, or replaced,
// goes to work.
func (p *Place) take(ctx context.Context, index uint64) error {
	for range 5 {
		h, headIndex, err := p.readHead(ctx)
		if err != nil {
			return err
		}
		if err := p.still(h); err != nil {
			return err
		}
		if p.head, p.headIndex = h, headIndex; !h.hands(p.shard) {
			return errKept
		}
		if err := p.makeSession(ctx); err != nil {
			return err
		}
		sent := now()
		ok, err := p.commit(ctx, sameOp(p.headKey(), headIndex), sameOp(p.turnKey(), index),
			lockOp(p.turnKey(), p.own(turnWorking), p.session))
		if ok {
			p.holds, p.confirmed = true, sent
			return nil
		}
		if err != nil {
			return err
		}
		pair, err := p.get(ctx, p.turnKey())
		switch {
		case err != nil:
			return err
		case pair == nil:
			return errAgain
		case pair.Session == p.session: // an earlier try, whose answer was lost
			p.holds, p.confirmed = true, sent
			return nil
		}
		index = pair.ModifyIndex
	}
	return unreached("take the turn", errors.New("it changes all the time"))
}

// still tells whether the host's rollout is still the current one.
func (p *Place) still(h *head) error {
	switch {
	case h == nil:
		return fmt.Errorf("%w: its documents have been removed from consul", fleet.ErrStopped)
	case h.ID != p.entry.ID:
		return fmt.Errorf("%w: version %q", fleet.ErrSuperseded, h.Version)
	case h.Phase == fleet.Stopped, h.Phase == unbegun:
		return h.stopped()
	case h.Gen != p.head.Gen, h.Phase == beginning: // the latter by who has no business to write
		return errAgain
	case h.looser(p.entry.Rollout):
		return errAgain
	}
	return nil
}

// headed hears what has become of the rollout. It asks again: a leader that has just
// been elected may tell watchers what was before.
func (p *Place) headed(ctx context.Context, c change, look *time.Timer) error {
	if c.err != nil {
		return c.err
	}
	h, index, err := p.readHead(ctx)
	if err != nil {
		return err
	}
	p.reached()
	if err := p.still(h); err != nil {
		return err
	}
	changed := p.head.Phase != h.Phase
	if changed {
		look.Reset(h.soon(p.spot, p.lease))
	}
	if p.head, p.headIndex = h, index; changed {
		tellPhase(p)
	}
	return errKept
}

// soon is how long a host waits, when the phase has changed, before it does what one
// host has to do. Those at the head of the lines do it first; the others hear of it.
func (h *head) soon(at spot, lease time.Duration) time.Duration {
	first := time.Duration(at.ticket) * lease / 200
	switch h.Phase {
	case fleet.Pause:
		n, _ := strconv.Atoi(at.shard)
		return time.Duration(h.Limits.PauseMS)*time.Millisecond + first + time.Duration(n)*lease/100
	case fleet.Open, fleet.Canary, draining:
		return first + upTo(lease/200)
	}
	return about(lease)
}
