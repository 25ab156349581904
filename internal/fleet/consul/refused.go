package consul

import (
	"context"
	"errors"

	"stretcher/internal/fleet"
)

// stays tells whether what the group knows of a host stays as it is, though a run of it
// was refused. Such a run has touched nothing: a host that was good in the same rollout
// still is. What the host refused as too old is told to its own rollout alone, as long
// as that is the current one.
func stays(ctx context.Context, p *Place, r fleet.Result) (bool, error) {
	if r.Result != fleet.Refused && !p.Late {
		return false, nil
	}
	h, _, err := p.readHead(ctx)
	switch {
	case errors.Is(err, fleet.ErrUnreachable):
		return false, err
	case err != nil || h == nil || h.ID != p.entry.ID:
		return p.Late, nil
	}
	before, _, err := p.toldBefore(ctx, h.Series, p.entry.Node)
	return before.Rollout == p.entry.ID && fleet.StandingOf(before.Result) == fleet.HostGood, err
}

// joinLate is join for a host that begins nothing: what it was to deploy is too old for
// it. It counts where others have begun the same rollout.
func joinLate(ctx context.Context, p *Place) error {
	h, index, err := p.readHead(ctx)
	switch {
	case err != nil:
		return err
	case h == nil || h.ID != p.entry.ID:
		return fleet.ErrSuperseded
	case h.Phase == fleet.Stopped || !h.begun():
		return h.stopped()
	}
	p.head, p.headIndex = h, index
	return p.admitted(ctx)
}
