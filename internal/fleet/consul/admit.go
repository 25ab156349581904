package consul

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"stretcher/internal/fleet"
)

// admitted tells whether a rollout that is repeated, or goes on, is for this host: by
// what the host has told of it last.
func (p *Place) admitted(ctx context.Context) error {
	if !p.head.Only && !p.head.goesOn() {
		return nil
	}
	for _, gen := range append([]past{p.head.past()}, p.head.Past...) {
		if gen.ID != p.head.ID || gen.Gen == "" {
			continue
		}
		pair, err := p.get(ctx, p.resultKey(gen.Gen, p.entry.Node))
		if err != nil {
			return err
		}
		if pair == nil {
			if held, err := diedThere(ctx, p, gen); err != nil || held {
				return err
			}
			continue
		}
		if r, err := fleet.DecodeResult(pair.Value); err == nil {
			return asked(p, r)
		}
		break
	}
	if p.head.Only {
		return fleet.ErrNotAsked
	}
	return nil
}

// asked tells whether a host has its turn again that has told this.
func asked(p *Place, r fleet.Result) error {
	standing := fleet.StandingOf(r.Result)
	switch {
	case p.head.Only && standing.Bad():
		return nil
	case p.head.Only:
		return fleet.ErrNotAsked
	case standing != fleet.HostGood, p.entry.Touched > r.Run: // ids of runs are in the order of time
		return nil
	}
	return fmt.Errorf("%w: this one is good already, by run %s", fleet.ErrNotAsked, r.Run)
}

// diedThere tells whether a host has died with a slot of an earlier generation, and
// nobody has counted it yet.
func diedThere(ctx context.Context, p *Place, gen past) (bool, error) {
	if !p.head.Only || gen.Gen == p.head.Gen {
		return false, nil
	}
	return p.heldSlot(ctx, gen, p.entry.Node)
}

// heldSlot tells whether a host died with a slot of an earlier generation, and nobody
// has counted it yet.
func (l *ledger) heldSlot(ctx context.Context, old past, node string) (bool, error) {
	all, err := l.readShards(ctx, old.Gen, old.Shards)
	if err != nil && !errors.Is(err, errSpoilt) {
		return false, err
	}
	for _, s := range all {
		if slices.ContainsFunc(s.Held, func(h held) bool { return strings.EqualFold(h.Node, cut(node)) }) {
			return true, nil
		}
	}
	return false, nil
}
