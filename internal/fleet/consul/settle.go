package consul

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/fleet"
)

// settle sums what has failed, when a failure in this shard has not been summed yet:
// the rollout stops, or goes on. It hands out slots that nobody has.
func (l *ledger) settle(ctx context.Context, gen, name string) error {
	for tries := 0; tries < 8; {
		h, headIndex, err := l.readHead(ctx)
		if err != nil || h == nil || h.Gen != gen {
			return err
		}
		s, index, err := l.readShard(ctx, l.shardKey(gen, name))
		if err != nil {
			return err
		}
		was := string(encode(s))
		if s.Check {
			why, err := l.tooMany(ctx, h, name, s)
			if err != nil {
				return err
			}
			if why != "" {
				return l.stop(ctx, gen, why)
			}
			s.Check = false
		}
		ops, err := l.handOut(ctx, h, name, &s)
		if err != nil {
			return err
		}
		ended := h.Phase == fleet.Canary && name == canaryShard && h.canariesEnd(s)
		if string(encode(s)) == was && !ended {
			return nil
		}
		ops = append(ops, sameOp(l.headKey(), headIndex), casOp(l.shardKey(gen, name), encode(s), index))
		if ended {
			if h.Phase = fleet.Pause; h.Limits.PauseMS == 0 {
				h.Phase = fleet.Open
			}
			ops = append(ops, casOp(l.headKey(), encode(h), headIndex))
		}
		ok, err := l.commit(ctx, ops...)
		if err != nil {
			return err
		}
		if !ok {
			tries++
			pause(ctx, upTo(perHost))
		}
	}
	return nil // who is in the way of all these tries does the same
}

// consequences makes what follows from a shard that has changed: a failure that is one too
// many stops the rollout, whoever dies next; a slot that is free goes to the next.
func (l *ledger) consequences(ctx context.Context, h *head, headIndex uint64, name string,
	s *shard) ([]*api.KVTxnOp, error) {
	if s.Check {
		return l.stopping(ctx, h, headIndex, name, *s)
	}
	ops, err := l.handOut(ctx, h, name, s)
	if len(ops) > 0 {
		ops = append(ops, sameOp(l.headKey(), headIndex))
	}
	return ops, err
}

// stopping makes what stops the rollout when too many have failed; nothing when they
// have not. Failures in other shards at the same moment it does not see: settle does.
func (l *ledger) stopping(ctx context.Context, h *head, headIndex uint64, name string,
	s shard) ([]*api.KVTxnOp, error) {
	if h.Phase == fleet.Stopped || !h.begun() {
		return nil, nil
	}
	why, err := l.tooMany(ctx, h, name, s)
	switch {
	case errors.Is(err, errSpoilt):
		return nil, nil // it is said by settle
	case err != nil, why == "":
		return nil, err
	}
	n := *h
	n.halt(why)
	return []*api.KVTxnOp{casOp(l.headKey(), encode(&n), headIndex)}, nil
}

// tooMany says why a rollout has to stop; "" = it has not.
func (l *ledger) tooMany(ctx context.Context, h *head, name string, s shard) (string, error) {
	if name == canaryShard && h.Phase == fleet.Canary && s.Failed+s.Died > 0 {
		return "a canary failed", nil
	}
	all, err := l.readShards(ctx, h.Gen, h.Shards)
	if errors.Is(err, errSpoilt) {
		err = fmt.Errorf("%w: %w", fleet.ErrStopped, err)
	}
	bad, silent := s.bad(), s.Silent
	for other, s := range all {
		if other != name {
			bad += s.bad()
			silent += s.Silent
		}
	}
	switch {
	case err != nil || bad+silent <= h.Limits.MaxFailed:
		return "", err
	case silent > 0:
		return fmt.Sprintf("%d failed, %d of them %s, and %d may", bad+silent, silent,
			fleet.SilentFor(h.Limits.timeout()), h.Limits.MaxFailed), nil
	}
	return fmt.Sprintf("%d failed, and %d may", bad, h.Limits.MaxFailed), nil
}

// handOut gives slots that nobody has to those in the line, and returns what tells
// them so. Who has left the line is passed by.
func (l *ledger) handOut(ctx context.Context, h *head, name string, s *shard) ([]*api.KVTxnOp, error) {
	var ops []*api.KVTxnOp
	for reads := 0; h.hands(name) && h.free(name, s) && s.Serving < s.Next && reads < mostOps/2; reads++ {
		key := l.turnKeyOf(h.Gen, name, s.Serving)
		pair, err := l.get(ctx, key)
		if err != nil {
			return nil, err
		}
		ticket := s.Serving
		s.Serving++
		var t turn
		if pair == nil || decode(pair.Value, &t) != nil || t.State != turnWaiting {
			s.Skipped++
			continue
		}
		s.Held = append(s.Held, held{ticket, t.Node})
		t.State = turnYours
		ops = append(ops, casOp(key, encode(t), pair.ModifyIndex))
	}
	return ops, nil
}

// stop stops a generation, unless it is stopped.
func (l *ledger) stop(ctx context.Context, gen, why string) error {
	for {
		h, index, err := l.readHead(ctx)
		if err != nil || h == nil || h.Gen != gen || h.Phase == fleet.Stopped {
			return err
		}
		if !h.begun() {
			return nil
		}
		h.halt(why)
		if ok, err := l.commit(ctx, casOp(l.headKey(), encode(h), index)); err != nil || ok {
			return err
		}
	}
}

// bad is how many have failed, as far as a shard says, but the silent ones.
func (s *shard) bad() int { return s.Failed + s.Died + s.Before }

// handsOut has a generation hand out slots, now that nobody is at work for earlier ones,
// unless too many have failed in those.
func handsOut(ctx context.Context, l *ledger, h *head, index uint64) error {
	before, err := failedBefore(ctx, l, h)
	if err != nil {
		return err
	}
	h.Phase, h.Drain = h.first(), nil
	var ops []*api.KVTxnOp
	if before > 0 {
		key := l.shardKey(h.Gen, canaryShard) // any would do
		s, at, err := l.readShard(ctx, key)
		if err != nil {
			return err
		}
		s.Before = before
		why, err := l.tooMany(ctx, h, canaryShard, s)
		if err != nil {
			return err
		}
		if why != "" {
			h.halt(why)
		}
		ops = append(ops, casOp(key, encode(s), at))
	}
	_, err = l.commit(ctx, append(ops, casOp(l.headKey(), encode(h), index))...)
	return err
}

// failedBefore is how many have failed in the generations that hosts have begun again, with
// narrower limits, and that this one goes on with. One that somebody repeats counts anew.
func failedBefore(ctx context.Context, l *ledger, h *head) (n int, _ error) {
	for _, old := range h.Drain {
		if old.Gen == "" || old.Series != h.Series || old.Gen == h.Since {
			break
		}
		all, err := l.readShards(ctx, old.Gen, old.Shards)
		if err != nil && !errors.Is(err, errSpoilt) {
			return 0, err
		}
		for _, s := range all {
			n += s.bad()
		}
	}
	return n, nil
}
