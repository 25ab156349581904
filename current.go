package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"stretcher/internal/tree"
)

// fingerprint names what a deployment of m puts at dest, and how.
func fingerprint(m *Manifest) string {
	b, err := json.Marshal([]any{m.Checksum.String(), m.SyncStrategy, m.Excludes, m.ExcludeFrom, m.DestMode, m.Extract, m.Releases.Shared})
	if err != nil {
		panic(err) // strings and numbers
	}
	return fmt.Sprintf("%x", sha256.Sum256(b))
}

// isCurrent tells whether dest already is what this deployment would make of
// it: the last good run put the same archive there in the same way, and
// nothing but excluded paths has changed since.
func (r *run) isCurrent(ctx context.Context) bool {
	if r.opts.Force {
		return false
	}
	good, ok := r.rec.lastGood(r.manifest.Dest)
	if !ok || good.Tree == "" || good.Fingerprint != fingerprint(r.manifest) {
		return false
	}
	// Releases are not touched by a run that fails: it switches back.
	if r.manifest.SyncStrategy != strategyReleases && !r.rec.isLast(good) {
		r.log.Info(fmt.Sprintf("a run has failed on dest since run %s was good", good.ID))
		return false
	}
	recorded, err := tree.Load(good.Tree)
	if err != nil {
		r.log.Warn(fmt.Sprintf("what run %s left at dest is not known any more: %v", good.ID, err))
		return false
	}
	found, err := r.readTree(ctx, recorded.Excludes)
	if err != nil {
		r.log.Info(fmt.Sprintf("dest is not as run %s left it: %v", good.ID, err))
		return false
	}
	if drift := tree.Compare(recorded.Tree, found); len(drift) > 0 {
		r.log.Info(fmt.Sprintf("dest is not as run %s left it: %s", good.ID, describeDrift(drift)))
		return false
	}
	r.recorded = &recorded
	return true
}

// describeDrift names the first differences and counts the rest.
func describeDrift(drift []tree.Drift) string {
	const shown = 3
	var parts []string
	for _, d := range drift[:min(shown, len(drift))] {
		parts = append(parts, fmt.Sprintf("%q (%s)", d.Path, d.What))
	}
	text := strings.Join(parts, ", ")
	if more := len(drift) - shown; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// readTree reads dest without what the manifest excludes; excludeFrom is the
// text of the archive's exclude list.
func (r *run) readTree(ctx context.Context, excludeFrom []byte) (tree.Tree, error) {
	skip, err := skipExcluded(r.manifest, excludeFrom)
	if err != nil {
		return nil, err
	}
	return tree.Read(ctx, r.live(), skip)
}

// skipExcluded applies excludes as rsync does for its caller. The mv strategy
// knows none. What runs keep in dest for a while is no part of it.
func skipExcluded(m *Manifest, excludeFrom []byte) (tree.Skip, error) {
	if m.SyncStrategy == strategyMv {
		return nil, nil
	}
	list, err := excludeList(m, excludeFrom)
	if err != nil {
		return nil, err
	}
	return func(path string, isDir bool) bool {
		return list.Excluded(path, isDir) || tempPattern.MatchString(path)
	}, nil
}

// remember records dest as it is after the sync, before anything else
// changes it.
func (r *run) remember(ctx context.Context) {
	if r.rec.dir == nil {
		return
	}
	found, err := r.readTree(ctx, r.excludeText)
	if err != nil {
		r.log.Warn(fmt.Sprintf("dest can't be recorded, so the next run will deploy in full: %v", err))
		return
	}
	r.recorded = &tree.Record{Tree: found, Excludes: r.excludeText}
}

// saveRecord keeps the recorded tree of a run that went well.
func (r *run) saveRecord() {
	if r.recorded == nil || r.rec.dir == nil {
		return
	}
	name := r.rec.dir.Tree(r.id)
	if err := r.recorded.Save(name); err != nil {
		r.log.Warn(err.Error())
		return
	}
	if old, ok := r.rec.lastGood(r.manifest.Dest); ok && old.Tree != "" {
		_ = os.Remove(old.Tree) // only the newest is ever read
	}
	r.rec.row.Tree, r.rec.row.Fingerprint = name, fingerprint(r.manifest)
}

// live is the directory that the deployed tree is in.
func (r *run) live() string {
	if r.strategy == nil {
		return r.manifest.Dest
	}
	return r.strategy.live(r)
}
