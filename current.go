package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"stretcher/internal/disk/tree"
	"stretcher/internal/journal"
	"stretcher/internal/manifest"
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
	if s, ok := r.strategy.(*releaseStrategy); ok {
		if !s.isLive(r.manifest) {
			return false
		}
	} else if !r.rec.IsLast(good) {
		r.log.Info(fmt.Sprintf("a run has failed on dest since run %s was good", good.ID))
		return false
	}
	drifts, err := tree.Check(ctx, r.rec.TreeOf(good.ID), r.live(), func(excludes []byte) (tree.Skip, error) {
		return skipExcluded(r.manifest, excludes)
	})
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

// skipExcluded applies excludes as rsync does for its caller. The mv strategy
// knows none. What runs keep in dest for a while is no part of it.
func skipExcluded(m *manifest.Manifest, excludeFrom []byte) (tree.Skip, error) {
	if m.SyncStrategy == strategyMv {
		return nil, nil
	}
	list, err := excludeList(m, excludeFrom)
	if err != nil {
		return nil, err
	}
	return func(path string, isDir bool) bool {
		return list.Excluded(path, isDir) || journal.TempPattern.MatchString(path)
	}, nil
}

// remember records dest as it is after the sync, before anything else
// changes it.
func (r *run) remember(ctx context.Context) {
	name := r.rec.Tree()
	if name == "" {
		return
	}
	skip, err := skipExcluded(r.manifest, r.excludeText)
	if err == nil {
		err = tree.Save(ctx, r.live(), skip, r.excludeText, name)
	}
	if err != nil {
		r.log.Warn(failure.Sayf("dest can't be recorded, so the next run will deploy in full: %v", err))
		return
	}
	r.recorded = name
}

// live is the directory that the deployed tree is in.
func (r *run) live() string {
	if r.strategy == nil {
		return r.manifest.Dest
	}
	return r.strategy.live(r)
}
