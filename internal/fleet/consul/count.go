package consul

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"

	"stretcher/internal/fleet"
)

// count counts the failure of a host that never asked for a slot, as one whose archive
// can't be fetched: it is one of those of max_failed. Where the rollout has not begun,
// it begins. false = there is nothing to count it in, and the result alone is told. A
// failure whose answer is lost may be counted twice: that stops a rollout early, never
// late.
func (p *Place) count(ctx context.Context, r fleet.Result) (counted bool, err error) {
	join := p.join
	if p.Late {
		join = func(ctx context.Context) error { return joinLate(ctx, p) }
	}
	if err := join(ctx); errors.Is(err, fleet.ErrUnreachable) || ctx.Err() != nil {
		return false, err
	} else if err != nil { // it is stopped, or another one has taken its place
		return false, nil
	}
	return countIn(ctx, p, r)
}

// countIn counts it in the rollout that the host has joined.
func countIn(ctx context.Context, p *Place, r fleet.Result) (counted bool, err error) {
	for ctx.Err() == nil {
		h, headIndex, err := p.readHead(ctx)
		if err != nil || h == nil || h.Gen != p.head.Gen || h.Phase == fleet.Stopped || !h.begun() {
			return false, err
		}
		name := strconv.Itoa(rand.IntN(h.Shards))
		s, index, err := p.readShard(ctx, p.shardKey(h.Gen, name))
		if err != nil {
			return false, err
		}
		say, err := p.saying(ctx, h.Series, r, false)
		if err != nil {
			return false, err
		}
		s.Failed, s.Check = s.Failed+1, true
		ops, err := p.stopping(ctx, h, headIndex, name, s)
		if err != nil {
			return false, err
		}
		if ops == nil {
			ops = append(ops, sameOp(p.headKey(), headIndex))
		}
		ok, err := p.commit(ctx, append(ops, casOp(p.shardKey(h.Gen, name), encode(s), index), say)...)
		if err != nil {
			return false, err
		}
		if ok {
			return true, p.settleIfThere(ctx, h.Gen, name)
		}
		pause(ctx, upTo(4*perHost))
	}
	return false, ctx.Err()
}
