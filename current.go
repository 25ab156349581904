package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"stretcher/internal/disk"
	"stretcher/internal/disk/tree"
	"stretcher/internal/strategy"
	"stretcher/internal/text/failure"
)

// isCurrent tells whether dest already is what this deployment would make of
// it: the last good run put the same archive there in the same way, and
// nothing but excluded paths has changed since.
func (r *run) isCurrent(ctx context.Context) bool {
	if r.opts.Force {
		return false
	}
	good, ok := r.rec.LastGood(r.manifest.Dest)
	if !ok || good.Tree == "" || good.Fingerprint != r.manifest.Fingerprint() {
		return false
	}
	if s, ok := r.strategy.(strategy.Reverter); ok {
		if !s.Holds() {
			return false
		}
	} else if !r.rec.IsLast(good) {
		r.log.Info(fmt.Sprintf("a run has failed on dest since run %s was good", good.ID))
		return false
	}
	drifts, err := r.drifts(ctx, r.rec.TreeOf(good.ID))
	switch {
	case errors.Is(err, tree.ErrRecord):
		r.log.Warn(failure.Sayf("what run %s left at dest is not known any more: %v", good.ID, err))
		return false
	case err != nil:
		r.log.Info(failure.Sayf("dest is not as run %s left it: %v", good.ID, err))
		return false
	case drifts.Total > 0:
		r.log.Info(fmt.Sprintf("dest is not as run %s left it: %s", good.ID, describeDrift(drifts)))
		return false
	}
	r.recorded = r.rec.TreeOf(good.ID)
	return true
}

// drifts compares what is live with a record.
func (r *run) drifts(ctx context.Context, record string) (tree.Drifts, error) {
	live, err := disk.Open(r.live())
	if err != nil {
		return tree.Drifts{}, err
	}
	defer live.Close()
	return tree.Check(ctx, record, live.Root(), func(list []byte) (tree.Skip, error) { return r.strategy.Skip(list) })
}

// describeDrift names the first differences and counts the rest.
func describeDrift(drifts tree.Drifts) string {
	var parts []string
	for _, d := range drifts.First {
		parts = append(parts, fmt.Sprintf("%q (%s)", d.Path, d.What))
	}
	text := strings.Join(parts, ", ")
	if more := drifts.Total - len(drifts.First); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
