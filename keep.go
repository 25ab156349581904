package main

import (
	"context"
	"os"

	"stretcher/internal/fetch/cache"
	"stretcher/internal/strategy"
	allstrategies "stretcher/internal/strategy/all"
	"stretcher/internal/text/failure"
)

// keeps is what a rollback to this deployment will need.
func (r *run) keeps() strategy.Keeps {
	if r.strategy == nil {
		return strategy.Nothing
	}
	return r.strategy.Keeps()
}

// keepsArchive tells whether the archive shall stay for a rollback. Releases
// are their own; mv replaces nothing, so that there is no way back.
func (r *run) keepsArchive() bool {
	return r.kept != nil && r.keeps() == strategy.Archive && r.policy.Cache.KeepArchives() > 0
}

// dropArchive gives an archive up that has been unpacked: its room may be
// needed for the sync.
func (r *run) dropArchive() error {
	if r.archive == nil || r.fetched && r.keepsArchive() {
		return nil
	}
	err := r.archive.Close()
	r.archive = nil
	return err
}

// keep keeps what a good run has deployed, and by which manifest, for a
// rollback. Failing at that fails nothing.
func (r *run) keep(ctx context.Context) {
	if r.kept != nil {
		r.kept.Sweep()
	}
	m := r.manifest
	if !(r.done || r.accepted) || r.kept == nil || len(r.raw) == 0 || !r.hasSrc() || r.keeps() == strategy.Nothing || context.Cause(ctx) != nil {
		return
	}
	e := cache.Entry{
		Run: r.id, Dest: m.Dest, Strategy: m.SyncStrategy, ManifestURL: r.manifestURL, Name: m.Name, Version: m.Version,
		Checksum: m.Checksum.String(), Fingerprint: m.Fingerprint(),
	}
	if r.keeps() == strategy.Itself && (!r.synced || r.isSwitch()) {
		return // a deployment that was there has its own
	}
	if r.isRollback() {
		e.Origin = r.back.kept.Seq
	}
	archives := 0
	var archive *os.File
	if r.keepsArchive() {
		archives = r.policy.Cache.KeepArchives()
		if r.fetched {
			archive = r.archive
		}
	}
	err := r.kept.Put(ctx, e, r.raw, archive)
	if err != nil && archive != nil {
		r.log.Warn(failure.Sayf("a rollback to this run will have to fetch: %v", err))
		err = r.kept.Put(ctx, e, r.raw, nil)
	}
	if err != nil {
		r.log.Warn(failure.Sayf("a rollback to this run is not possible: %v", err))
	}
	if err := r.kept.Prune(m.Dest, archives, r.keepsManifest()); err != nil {
		r.log.Warn(failure.Text(err))
	}
}

// keepsManifest tells which manifests stay: those of all releases that are
// there, else the newest.
func (r *run) keepsManifest() func(cache.Entry) bool {
	if r.keeps() != strategy.Itself {
		return cache.Newest()
	}
	there := map[string]bool{}
	found, err := allstrategies.List().Deployments(r.dest)
	for _, d := range found.All {
		there[d.Run] = true
	}
	return func(e cache.Entry) bool { return err != nil || there[e.Run] }
}
