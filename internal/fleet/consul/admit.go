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
	r, _, err := p.toldBefore(ctx, p.head.Series, p.entry.Node)
	if err == nil {
		err = p.head.asks(p.entry, r)
	}
	if !p.head.Only || !errors.Is(err, fleet.ErrNotAsked) {
		return err
	}
	for _, old := range p.head.Drain { // who died in others has been counted
		if old.ID != p.head.ID || old.Gen == "" {
			continue
		}
		if held, problem := p.heldSlot(ctx, old, p.entry.Node); problem != nil || held {
			return problem
		}
	}
	return err
}

// asks tells whether a host has its turn again that has told this; the zero Result if
// it has told nothing.
func (h *head) asks(e fleet.Entry, r fleet.Result) error {
	standing := fleet.StandingOf(r.Result)
	switch {
	case h.Only && r.Result == "" && h.Silent, h.Only && r.Result != "" && standing.Bad():
		return nil
	case h.Only:
		return fleet.ErrNotAsked
	case r.Result == "", standing != fleet.HostGood, e.Touched > r.Run: // ids of runs are in the order of time
		return nil
	}
	return fmt.Errorf("%w: this one is good already, by run %s", fleet.ErrNotAsked, r.Run)
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

// words are the nodes that have told a result of the current rollout: those that have
// answered its generation, and others, which it asks again. Only where it repeats an
// earlier one the results themselves are read.
func words(ctx context.Context, l *ledger, h *head) (answered, others []string, err error) {
	if h.Since == "" {
		answered, err = l.tellers(ctx, h.Series)
		return answered, nil, err
	}
	found, err := askedBy(ctx, l, h)
	if err != nil {
		return nil, nil, err
	}
	pairs, err := l.list(ctx, l.resultsKey(h.Series))
	for _, pair := range pairs {
		s, ok := heard(h.Series, strings.TrimPrefix(pair.Key, l.resultsKey(h.Series)), pair)
		switch {
		case !ok:
		case found.asksAgain(fleet.StandingOf(s.Result.Result), s.index):
			others = append(others, s.Node)
		default:
			answered = append(answered, s.Node)
		}
	}
	return answered, others, err
}

// askedBy makes findings that know when a generation began, which tells what holds of what
// was said before.
func askedBy(ctx context.Context, l *ledger, h *head) (*findings, error) {
	found := newFindings(h)
	if h.Since == "" {
		return found, nil
	}
	pairs, err := l.list(ctx, l.shardKey(h.Gen, ""))
	found.began = l.began(h.Gen, pairs)
	return found, err
}
