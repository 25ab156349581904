package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"stretcher/internal/cli"
	"stretcher/internal/event"
	"stretcher/internal/fetch"
	"stretcher/internal/fetch/cache"
	"stretcher/internal/journal/history"
	"stretcher/internal/manifest"
	"stretcher/internal/strategy/releases"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/progress"
)

// rollback is a deployment of what an earlier run has deployed.
type rollback struct {
	dest string
	to   string // a run id or its beginning; "" = the one before
	kept cache.Entry
	id   string // the release; "" = dest has none

	release releases.Release
}

// runRollback deploys to DEST what was good there before: the release, or
// the archive that has been kept.
func runRollback(ctx context.Context, again <-chan struct{}, o cli.RollbackOptions) (history.Run, error) {
	screen := progress.New(o.Stderr, o.Bar)
	log, closeLog := o.Open(screen)
	defer closeLog()
	r := newRun(ctx, o.Settings, &event.Event{Source: event.Rollback}, log, screen)
	defer r.close()
	r.again = again
	r.back = &rollback{dest: o.Dest, to: o.To}
	r.manifest = &manifest.Manifest{Dest: o.Dest}
	if err := r.prepare(o.Host); err != nil {
		_, err = r.refuse(err)
		return r.rec.Run(), err
	}
	r.rec.Begin(r.newRow(r.id, r.event), o.Force)
	r.rec.ClearDied(r.leftHooks(ctx))
	err := r.deploy(ctx)
	return r.rec.Run(), err
}

// recall finds what to go back to, and makes its manifest that of the run.
func (r *run) recall(ctx context.Context) error {
	b := r.back
	if err := r.policy.Dest(b.dest); err != nil {
		return err
	}
	dir, err := releases.Open(b.dest, releases.Options{Sync: true})
	if err != nil {
		return err
	}
	if all, lerr := dir.List(); lerr == nil && len(all) > 0 && !r.wasSynced(b.dest) {
		current, _, _ := dir.Current() // broken or gone, there still are the others
		err = b.chooseRelease(dir, current)
	} else { // a tree of its own may have a current, too
		err = r.chooseKept()
	}
	if err != nil {
		return err
	}
	return r.recallManifest(ctx)
}

// wasSynced tells whether the last good run on dest made it a tree of its
// own, not one of releases.
func (r *run) wasSynced(dest string) bool {
	if r.kept == nil {
		return false
	}
	all, err := r.kept.List(dest)
	return err == nil && len(all) > 0 && all[0].Strategy != strategyReleases
}

// chooseRelease finds the release to go back to.
func (b *rollback) chooseRelease(dir *releases.Dir, current string) error {
	if b.to == "" {
		rel, ok, err := dir.Previous(current)
		if err == nil && !ok {
			err = failure.Hinted("stretcher rollback DEST --to RUN goes to any that is there", fmt.Errorf("%q has no good release older than %s", b.dest, cmp.Or(current, "the current one")))
		}
		b.id, b.release = rel.ID, rel
		return err
	}
	all, err := dir.List()
	if err != nil {
		return err
	}
	var found []string
	for _, rel := range all {
		if !strings.HasPrefix(rel.ID, b.to) {
			continue
		}
		if rel.State != releases.Good {
			return fmt.Errorf("release %s is not good, but %s", rel.ID, strings.TrimSuffix(fmt.Sprintf("%s: %s", rel.State, rel.Reason), ": "))
		}
		found, b.release = append(found, rel.ID), rel
	}
	b.id, err = theOne(found, b.to, b.dest)
	return err
}

// theOne is the only element of found.
func theOne(found []string, to, dest string) (string, error) {
	switch len(found) {
	case 0:
		return "", failure.Hinted(fmt.Sprintf("stretcher history %s lists the runs", dest), fmt.Errorf("nothing of run %q is kept for %q", to, dest))
	case 1:
		return found[0], nil
	}
	return "", failure.Hinted("give more of the id", failure.Usage("%q is the beginning of %d runs on %q", to, len(found), dest))
}

// chooseKept finds the kept archive to go back to: that of the last good run,
// or, when it is what dest holds, of the one before.
func (r *run) chooseKept() error {
	b := r.back
	if r.kept == nil {
		return fmt.Errorf("nothing is kept: no usable state directory")
	}
	all, err := r.kept.List(b.dest)
	if err != nil {
		return err
	}
	all = alike(all)
	if b.to != "" {
		var found []string
		for _, e := range all {
			if strings.HasPrefix(e.Run, b.to) {
				found = append(found, e.Run)
			}
		}
		id, err := theOne(found, b.to, b.dest)
		if err != nil {
			return err
		}
		b.kept, err = r.kept.Get(id)
		return err
	}
	if r.isLive(all) {
		all = older(all)
	}
	if len(all) == 0 {
		return failure.Hinted("a rollback needs an earlier good run by sync_strategy rsync, native or releases", fmt.Errorf("nothing earlier is kept for %q", b.dest))
	}
	b.kept = all[0]
	return nil
}

// alike are the entries of the newest one's layout: a tree of its own must not
// get releases in it, nor the other way round.
func alike(all []cache.Entry) []cache.Entry {
	if len(all) == 0 {
		return all
	}
	layered := all[0].Strategy == strategyReleases
	return slices.DeleteFunc(all, func(e cache.Entry) bool { return (e.Strategy == strategyReleases) != layered })
}

// isLive tells whether dest holds what the newest of entries deployed: the
// last good run was that one, and none has failed since in a sync or later.
// Without a history it is taken for granted.
func (r *run) isLive(entries []cache.Entry) bool {
	if len(entries) == 0 {
		return false
	}
	good, ok := r.rec.LastGood(r.back.dest)
	return !ok || good.ID == entries[0].Run && r.rec.IsLast(good)
}

// older are the entries before the newest that deployed something else. When
// that was a rollback, those before the run that it went back to: a second
// rollback goes further back.
func older(all []cache.Entry) []cache.Entry {
	live := all[0]
	return slices.DeleteFunc(all, func(e cache.Entry) bool {
		return e.Fingerprint == live.Fingerprint || live.Origin > 0 && e.Seq >= live.Origin
	})
}

// recallManifest reads the manifest that the chosen run deployed by.
func (r *run) recallManifest(ctx context.Context) error {
	b := r.back
	m := &manifest.Manifest{Dest: b.dest, SyncStrategy: strategyReleases, Name: cmp.Or(b.release.Name, filepath.Base(b.dest)), Version: b.release.Version}
	known := r.kept != nil
	if b.id != "" && known {
		var err error
		b.kept, err = r.kept.Get(b.id)
		known = err == nil
	}
	if !known {
		// Better live without its commands than not live.
		r.log.Warn(fmt.Sprintf("the manifest of release %s is not known any more: no commands run", b.id))
	} else if err := r.parseKept(ctx); err != nil {
		return err
	} else {
		m = r.manifest
	}
	r.manifest = m
	if m.Dest != b.dest {
		return fmt.Errorf("the manifest of run %s names another dest by now: %q", b.kept.Run, m.Dest)
	}
	if err := r.accept(); err != nil {
		return err
	}
	if b.id != "" {
		r.strategy = &releaseSwitch{target: b.id}
	}
	r.log.Info(fmt.Sprintf("going back to what run %s deployed: %s", cmp.Or(b.id, b.kept.Run), m.Title()))
	return nil
}

func (r *run) parseKept(ctx context.Context) error {
	e := r.back.kept
	raw, err := r.kept.Manifest(e.Run)
	if err != nil {
		return err
	}
	r.manifestURL = e.ManifestURL
	r.rec.Describe(func(row *history.Run) { row.URL = r.manifestURL })
	loaded, err := r.loader(manifestRules()).Parse(raw, e.ManifestURL)
	if errors.Is(err, failure.ErrMalformed) {
		err = failure.Hinted("templates are expanded anew: set the variables that the deployment had", err)
	}
	return r.use(loaded, err)
}

// fetchKept takes the archive that has been kept. One that is not there any
// more, or has been damaged, is fetched again.
func (r *run) fetchKept(ctx context.Context) error {
	if r.back.id != "" {
		return nil // the release is there
	}
	file, ok := r.kept.Archive(r.back.kept.Run)
	if !ok { // a later run may have deployed the same
		file, ok = r.kept.Find(r.back.kept.Checksum)
	}
	if !ok {
		r.log.Info(fmt.Sprintf("the archive of run %s is not kept: fetching it again", r.back.kept.Run))
		return r.fetchVerified(ctx)
	}
	if err := fetch.Verify(ctx, file, r.manifest.Checksum); err != nil {
		_ = file.Close()
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		r.log.Warn(failure.Sayf("the archive kept of run %s is damaged, fetching it again: %v", r.back.kept.Run, err))
		return r.fetchVerified(ctx)
	}
	r.archive, r.src = file, "the archive kept of run "+r.back.kept.Run
	r.log.Info(fmt.Sprintf("taking %s, %s is right", r.src, r.manifest.Checksum.Algorithm))
	return nil
}

// releaseSwitch goes back to a release that is there.
type releaseSwitch struct {
	releaseStrategy
	target string
}

func (s *releaseSwitch) check(r *run) error {
	err := s.releaseStrategy.check(r)
	s.id = s.target
	return err
}

func (s *releaseSwitch) checkLayout(r *run) error { return s.check(r) }

func (s *releaseSwitch) stage(_ context.Context, r *run, _ *os.File) (string, error) {
	return s.dir.Path(s.target), nil
}

func (s *releaseSwitch) sync(ctx context.Context, r *run) error { return s.switchTo(r, s.target) }
