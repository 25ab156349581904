package consul

import (
	"context"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/fleet"
)

// toldBefore is what a node has said of a series; the zero Result where that is
// nothing. The index is that of Consul; 0 where nothing is there.
func (l *ledger) toldBefore(ctx context.Context, series, node string) (r fleet.Result, index uint64, err error) {
	pair, err := l.get(ctx, l.resultKey(series, node))
	if err != nil || pair == nil {
		return r, 0, err
	}
	if r, err = fleet.DecodeResult(pair.Value); err != nil {
		r = fleet.Result{} // somebody else has written it
	}
	return r, pair.ModifyIndex, nil
}

// saying makes what writes a host's result into a series. Who has been at work has the
// last word: one run after the other works. Others, of which several may come from the
// same node at once, leave what is to stay of what it has said before.
func (l *ledger) saying(ctx context.Context, series string, r fleet.Result, worked bool) (*api.KVTxnOp, error) {
	key, last := l.resultKey(series, r.Node), worked && fleet.StandingOf(r.Result) != fleet.HostStopped
	if last && r.Machine == "" {
		data, err := r.Encode()
		return setOp(key, data), err
	}
	before, index, err := l.toldBefore(ctx, series, r.Node)
	if err != nil {
		return nil, err
	}
	if r = r.Beside(before); r.Also != "" && before.Machine != r.Machine {
		l.log("another machine or dest has told of node %q in this rollout, %s, and this is %s: --node names each",
			r.Node, r.Also, r.Machine)
	}
	if last {
		data, err := r.Encode()
		return setOp(key, data), err
	}
	data, err := r.After(before).Encode()
	return casOp(key, data, index), err
}

// worked tells whether a host has been at work.
func worked(p *Place) bool { return p.holds || p.unlimited }

// seriesFor is where a host's result belongs, as the head says now.
func seriesFor(p *Place, h *head) string {
	switch {
	case h != nil && p.head != nil && h.keeps(p.head.Series):
		return p.head.Series
	case h != nil && h.ID == p.entry.ID:
		return h.Series
	}
	return noSeries
}
