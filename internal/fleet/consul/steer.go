package consul

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"stretcher/internal/fleet"
	"stretcher/internal/text/failure"
)

// Stop stops the current rollout of a name: hosts that wait go no more, those at work
// finish. why is for people. fleet.ErrAlready when it is stopped, fleet.ErrEnded when
// none waits any more.
func (c *Client) Stop(ctx context.Context, name, why string) error {
	l := c.ledger(name)
	for range manyTries {
		h, index, err := l.begun(ctx)
		if err != nil {
			return err
		}
		s, err := c.Read(ctx, name)
		switch {
		case err != nil:
			return err
		case h.Phase == fleet.Stopped, h.Phase == unbegun:
			return fmt.Errorf("%w: the rollout is stopped: %s", fleet.ErrAlready, h.Why)
		case s.Phase == fleet.Done:
			return fmt.Errorf("%w: nobody waits for a turn", fleet.ErrEnded)
		}
		h.halt(why)
		if ok, err := c.commit(ctx, casOp(l.headKey(), encode(h), index)); err != nil || ok {
			return err
		}
	}
	return errRestless
}

// manyTries is how often somebody who steers begins anew because others were first.
const manyTries = 8

var errRestless = errors.New("the rollout changes all the time: try again")

// Resume opens a stopped rollout again, with no host counted as failed: those that are
// not good yet and get its event now take part. fleet.ErrAlready when that is done.
func (c *Client) Resume(ctx context.Context, name, by string) error {
	return c.repeat(ctx, name, by, false)
}

// Retry opens the current rollout again for those hosts alone that have failed.
// fleet.ErrAlready when that is done.
func (c *Client) Retry(ctx context.Context, name, by string) error {
	return c.repeat(ctx, name, by, true)
}

// current reads the head that there must be.
func (l *ledger) current(ctx context.Context) (*head, uint64, error) {
	h, index, err := l.readHead(ctx)
	if err == nil && h == nil {
		err = fmt.Errorf("%w: %q", fleet.ErrUnknown, l.name)
	}
	return h, index, err
}

// begun is current, for who can't do anything yet while a rollout is about to begin.
func (l *ledger) begun(ctx context.Context) (*head, uint64, error) {
	for range 50 {
		h, index, err := l.current(ctx)
		if err != nil || h.Phase != beginning {
			return h, index, err
		}
		if !pause(ctx, requestTime/100) {
			return nil, 0, context.Cause(ctx)
		}
	}
	return nil, 0, failure.Hinted("a host that its event reaches goes on where who began it has not",
		errors.New("the rollout is about to begin: try again"))
}

// repeat makes a further generation of the current rollout. Of several who do so at
// the same time one does, and the others are told.
func (c *Client) repeat(ctx context.Context, name, by string, only bool) error {
	l := c.ledger(name)
	for range manyTries {
		old, index, err := l.begun(ctx)
		if err != nil {
			return err
		}
		s, err := c.Read(ctx, name)
		if err == nil {
			err = old.mayRepeat(&s, only)
		}
		if err != nil {
			return err
		}
		members, err := l.formerMembers(ctx, old.Gen)
		if err != nil {
			return err
		}
		h, err := l.repeated(ctx, old, by, only)
		if err != nil {
			return err
		}
		won, err := c.commit(ctx, casOp(l.headKey(), encode(h), index))
		if err != nil {
			return err
		}
		if won {
			return l.openAgain(ctx, h.Gen, members)
		}
	}
	return errRestless
}

// mayRepeat tells why a rollout that stands so is not to be repeated.
func (h *head) mayRepeat(s *fleet.State, only bool) error {
	working, waiting := s.Count(fleet.HostWorking), s.Count(fleet.HostWaiting)
	stopped := h.Phase == fleet.Stopped
	goesOn := stopped || h.Only && s.Verdict() != fleet.VerdictGood
	switch {
	case h.Phase == unbegun:
		return failure.Hinted("when that is mended, its event begins it: fire it again", errors.New(h.Why))
	case !stopped && h.Since != "" && h.Only == only && h.awaits(s):
		return fmt.Errorf("%w: by %s", fleet.ErrAlready, h.By)
	case !stopped && working+waiting > 0:
		return failure.Hinted("stretcher fleet stop ends their waiting",
			fmt.Errorf("the rollout goes on: hosts at work: %d, hosts that wait for their turn: %d", working, waiting))
	case only && s.Count(fleet.HostFailed, fleet.HostDied) == 0:
		err := errors.New("no host has failed: there is nothing to retry")
		if goesOn {
			err = failure.Hinted("stretcher fleet resume is for all hosts that are not good yet", err)
		}
		return err
	case only, goesOn:
		return nil
	case s.Ended():
		return failure.Hinted("stretcher fleet retry is for hosts that have failed",
			fmt.Errorf("%w: it was not stopped", fleet.ErrEnded))
	}
	return fmt.Errorf("the rollout is not stopped: it is at %q", s.Phase)
}

// awaits tells whether hosts have yet to end that a generation asks.
func (h *head) awaits(s *fleet.State) bool {
	return !s.Ended() && slices.ContainsFunc(s.Hosts, func(host fleet.Host) bool {
		switch host.Standing {
		case fleet.HostWorking, fleet.HostWaiting:
			return true
		case fleet.HostMissing, fleet.HostExpected:
			return !host.Excused && (!h.Only || h.Silent || host.Result.Result != "")
		}
		return false
	})
}

// repeated is the head of the generation by which old is repeated. Canaries that are
// good are not looked for again.
func (l *ledger) repeated(ctx context.Context, old *head, by string, only bool) (*head, error) {
	h := *old
	h.Gen, h.Phase, h.Why, h.Stopped, h.By = newGen(), beginning, "", 0, cut(by)
	h.again = again{Only: only, Since: old.Gen, Silent: old.Silent || old.overdue(time.Now())}
	h.Began = time.Now().UTC().Truncate(time.Millisecond)
	h.follows(old)
	left, err := canariesLeft(ctx, l, old)
	if h.Limits.Canary = left; only {
		h.Limits.Canary, h.Owed = 0, left
	}
	return &h, err
}

// canariesLeft is how many hosts have yet to be good before the others may go.
func canariesLeft(ctx context.Context, l *ledger, old *head) (int, error) {
	all, err := l.readShards(ctx, old.Gen, old.Shards)
	if err != nil && !errors.Is(err, errSpoilt) {
		return 0, err
	}
	if !old.Only {
		s, ok := all[canaryShard]
		if ok && old.canariesEnd(s) {
			return 0, nil
		}
		return max(0, old.Limits.Canary-s.Good), nil
	}
	left := old.Owed
	for _, s := range all {
		left -= s.Good
	}
	return max(0, left), nil
}

// openAgain opens a generation that somebody has begun, unless hosts were first.
func (l *ledger) openAgain(ctx context.Context, gen string, members []member) error {
	h, index, err := l.current(ctx)
	if err != nil || h.Gen != gen || h.Phase != beginning {
		return err
	}
	return l.open(ctx, h, index, members, newGuard(longestWait))
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
