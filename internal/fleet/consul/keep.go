package consul

import (
	"context"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/fleet"
)

// noSeries is that of results that belong to no rollout that is known.
const noSeries = "0"

// clean removes generations in which nobody can be at work any more. Where no rollout
// is known, somebody may have removed the head: what is there is of hosts that have
// told since. Nothing is removed any more once the head has changed: a newer rollout
// may have written by then.
func (l *ledger) clean(ctx context.Context, h *head, index uint64) error {
	if len(h.Past) == 0 {
		return nil
	}
	keep := map[string]bool{h.Gen: true}
	for _, p := range h.Drain {
		keep[p.Gen] = true
	}
	gens, err := l.below(ctx, l.gensKey())
	for _, gen := range gens {
		if err != nil || keep[gen] {
			continue
		}
		var same bool
		if same, err = l.commit(ctx, sameOp(l.headKey(), index), deleteTreeOp(l.genKey(gen))); err == nil && !same {
			return nil
		}
	}
	return err
}

// forget removes what hosts have said of rollouts that are no longer told of. What a
// host of the group has said last stays, however long ago that is. Where it is not
// known who is of the group, all of it stays: a host has a result of each series at
// most.
func (l *ledger) forget(ctx context.Context, h *head, index uint64, group []member) error {
	if len(h.Past) == 0 || len(group) == 0 {
		return nil
	}
	of := map[string]bool{}
	for _, m := range group {
		of[strings.ToLower(m.Node)] = true
	}
	all, err := l.below(ctx, l.seriesKey())
	if err != nil {
		return err
	}
	for _, series := range all {
		switch {
		case h.keeps(series):
		case series == noSeries:
			err = l.forgetStrays(ctx, h, index, of)
		default:
			err = l.forgetSeries(ctx, h, index, series, of)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// forgetSeries removes a series, but what hosts of the group have said of it that have
// said nothing since.
func (l *ledger) forgetSeries(ctx context.Context, h *head, index uint64, series string, of map[string]bool) error {
	nodes, err := l.tellers(ctx, series)
	if err != nil {
		return err
	}
	silent := slices.DeleteFunc(slices.Clone(nodes), func(node string) bool { return !of[strings.ToLower(node)] })
	for _, kept := range h.kept() {
		if len(silent) == 0 {
			break
		}
		told, err := l.tellers(ctx, kept)
		if err != nil {
			return err
		}
		silent = slices.DeleteFunc(silent, func(node string) bool { return slices.Contains(told, node) })
	}
	if len(silent) == 0 {
		_, err := l.commit(ctx, sameOp(l.headKey(), index), deleteTreeOp(l.resultsKey(series)))
		return err
	}
	var keys []string
	for _, node := range nodes {
		if !slices.Contains(silent, node) {
			keys = append(keys, l.resultKey(series, node))
		}
	}
	return l.removeAll(ctx, index, keys)
}

// forgetStrays removes what hosts that left the group have said of rollouts that are
// no longer told of, where it belongs to no series.
func (l *ledger) forgetStrays(ctx context.Context, h *head, index uint64, of map[string]bool) error {
	nodes, err := l.tellers(ctx, noSeries)
	if err != nil {
		return err
	}
	var keys []string
	for _, node := range nodes {
		if !of[strings.ToLower(node)] {
			keys = append(keys, l.resultKey(noSeries, node))
		}
	}
	pairs, err := l.getAll(ctx, keys)
	if err != nil {
		return err
	}
	kept := h.kept()
	ids := map[string]bool{h.ID: true}
	for _, p := range h.Past {
		ids[p.ID] = ids[p.ID] || slices.Contains(kept, p.Series)
	}
	keys = slices.DeleteFunc(keys, func(key string) bool {
		if pairs[key] == nil {
			return true
		}
		r, err := fleet.DecodeResult(pairs[key].Value)
		return err == nil && ids[r.Rollout]
	})
	return l.removeAll(ctx, index, keys)
}

// removeAll removes some keys, as long as the head is as before.
func (l *ledger) removeAll(ctx context.Context, index uint64, keys []string) error {
	for part := range slices.Chunk(keys, mostOps-1) {
		ops := []*api.KVTxnOp{sameOp(l.headKey(), index)}
		for _, key := range part {
			ops = append(ops, deleteOp(key))
		}
		if same, err := l.commit(ctx, ops...); err != nil || !same {
			return err
		}
	}
	return nil
}

// below lists the generations, or the series, that there are below a key.
func (l *ledger) below(ctx context.Context, prefix string) (found []string, _ error) {
	keys, err := l.keysBelow(ctx, prefix, "/")
	for _, key := range keys {
		if gen := strings.Trim(strings.TrimPrefix(key, prefix), "/"); isGen(gen) {
			found = append(found, gen)
		}
	}
	return found, err
}

// tellers are the nodes that have said something of a series.
func (l *ledger) tellers(ctx context.Context, series string) (nodes []string, _ error) {
	prefix := l.resultsKey(series)
	keys, err := l.keysBelow(ctx, prefix, "")
	for _, key := range keys {
		if node, ok := nameOf(strings.TrimPrefix(key, prefix)); ok {
			nodes = append(nodes, node)
		}
	}
	return nodes, err
}

// keysBelow lists keys without their values.
func (l *ledger) keysBelow(ctx context.Context, prefix, separator string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	keys, meta, err := l.api.KV().Keys(prefix, separator, consistent(ctx))
	return keys, l.whole(ctx, prefix, meta, err)
}
