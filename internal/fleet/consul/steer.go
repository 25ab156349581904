package consul

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"stretcher/internal/fleet"
	"stretcher/internal/text/failure"
)

// Stop stops the current rollout of a name: hosts that wait go no more, those at work
// finish. why is for people.
func (c *Client) Stop(ctx context.Context, name, why string) error {
	l := c.ledger(name)
	h, _, err := l.current(ctx)
	switch {
	case err != nil:
		return err
	case h.Phase == fleet.Stopped:
		return fmt.Errorf("%w already: %s", fleet.ErrStopped, h.Why)
	case h.Phase == beginning:
		return errors.New("the rollout is about to begin: try again")
	}
	s, err := c.Read(ctx, name)
	switch {
	case err != nil:
		return err
	case s.Phase == fleet.Done:
		return errors.New("the rollout has ended: nobody waits for a turn")
	}
	return l.stop(ctx, h.Gen, why)
}

// Resume opens a stopped rollout again, with all that is counted at zero: hosts that
// get its event now take part.
func (c *Client) Resume(ctx context.Context, name, by string) error {
	return c.again(ctx, name, by, false)
}

// Retry opens the current rollout again for those hosts alone that have failed.
func (c *Client) Retry(ctx context.Context, name, by string) error {
	return c.again(ctx, name, by, true)
}

// current reads the head that there must be.
func (l *ledger) current(ctx context.Context) (*head, uint64, error) {
	h, index, err := l.readHead(ctx)
	if err == nil && h == nil {
		err = fmt.Errorf("%w: %q", fleet.ErrUnknown, l.name)
	}
	return h, index, err
}

// again makes a further generation of the current rollout.
func (c *Client) again(ctx context.Context, name, by string, only bool) error {
	l := c.ledger(name)
	old, index, err := l.current(ctx)
	switch {
	case err != nil:
		return err
	case old.Phase == beginning, !only && old.Phase != fleet.Stopped && !old.Only:
		return fmt.Errorf("the rollout is not stopped: it is at %q", old.Phase)
	}
	if waiting, err := l.waiting(ctx, old); err != nil || waiting {
		return cmp.Or(err, failure.Hinted("stretcher fleet stop ends their waiting",
			errors.New("hosts wait for their turn in the rollout: it goes on")))
	}
	members, err := l.formerMembers(ctx, old.Gen)
	if err != nil {
		return err
	}
	h := *old
	h.Gen, h.Phase, h.Why, h.Only, h.By = newGen(), beginning, "", only, cut(by)
	h.Began = time.Now().UTC().Truncate(time.Millisecond)
	h.follows(old)
	canaries, _, err := c.readShard(ctx, l.shardKey(old.Gen, canaryShard))
	if only || err == nil && old.canariesEnd(canaries) {
		h.Limits.Canary = 0
	}
	won, err := c.commit(ctx, casOp(l.headKey(), encode(h), index))
	if err == nil && !won {
		err = errors.New("the rollout has changed in the meantime: try again")
	}
	if err != nil {
		return err
	}
	now, index, err := l.current(ctx)
	if err != nil || now.Gen != h.Gen {
		return err
	}
	return l.open(ctx, now, index, members, newGuard(longestWait))
}

// waiting tells whether hosts wait that could still have their turn: what is repeated
// is not for them.
func (l *ledger) waiting(ctx context.Context, h *head) (bool, error) {
	if h.Phase == fleet.Stopped {
		return false, nil
	}
	all, err := l.readShards(ctx, h.Gen, h.Shards)
	for _, s := range all {
		if err == nil && s.Serving < s.Next {
			return true, nil
		}
	}
	if errors.Is(err, errSpoilt) {
		return false, nil
	}
	return false, err
}

// formerMembers are the members of a generation as they are written.
func (l *ledger) formerMembers(ctx context.Context, gen string) (all []member, _ error) {
	pairs, err := l.list(ctx, l.membersKey(gen))
	for _, pair := range pairs {
		var part []member
		if json.Unmarshal(pair.Value, &part) == nil {
			all = append(all, part...)
		}
	}
	return all, err
}
