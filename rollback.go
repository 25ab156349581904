package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"stretcher/internal/cli"

	"stretcher/internal/disk"
	"stretcher/internal/event"
	"stretcher/internal/fetch"
	"stretcher/internal/fetch/cache"
	"stretcher/internal/journal/history"
	"stretcher/internal/manifest"
	"stretcher/internal/strategy"
	allstrategies "stretcher/internal/strategy/all"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/progress"
)

// rollback is a deployment of what an earlier run has deployed.
type rollback struct {
	dest string
	to   string // a run id or its beginning; "" = the one before
	kept cache.Entry
	id   string // the run whose deployment stands at dest; "" = none does

	strategy   string // that made it
	deployment strategy.Deployment
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
	there, err := r.deployments(b.dest)
	if err != nil {
		return err
	}
	// A tree of its own may have directories that look like releases, too.
	if len(there.All) > 0 && !r.wasSynced(there.Strategy) {
		err = b.chooseStanding(there)
	} else {
		err = r.chooseKept()
	}
	if err != nil {
		return err
	}
	return r.recallManifest(ctx)
}

// deployments are those that stand beside one another at dest. What can't be
// listed is none.
func (r *run) deployments(path string) (strategy.Deployments, error) {
	dest, err := disk.OpenDest(path)
	if err != nil {
		if errors.Is(err, disk.ErrForeignLink) {
			return strategy.Deployments{}, explainDest(path, err)
		}
		return strategy.Deployments{}, nil // the sync will say what is wrong
	}
	defer dest.Close()
	if err := r.policy.Dest(dest.Real()); err != nil {
		return strategy.Deployments{}, err
	}
	there, err := allstrategies.List().Deployments(dest)
	if err != nil {
		return strategy.Deployments{}, nil
	}
	return there, nil
}

// wasSynced tells whether the last good run on dest made it by a strategy
// that lays it out otherwise than the one named.
func (r *run) wasSynced(name string) bool {
	if r.kept == nil {
		return false
	}
	kept, err := r.kept.List(r.back.dest)
	return err == nil && len(kept) > 0 && !allstrategies.List().Alike(kept[0].Strategy, name)
}

// chooseStanding finds the deployment to go back to.
func (b *rollback) chooseStanding(there strategy.Deployments) error {
	b.strategy = there.Strategy
	if b.to == "" {
		if there.Previous == "" {
			return failure.Hinted("stretcher rollback DEST --to RUN goes to any that is there",
				fmt.Errorf("%q has no good release older than %s", b.dest, cmp.Or(there.Live, "the current one")))
		}
		b.take(there, there.Previous)
		return nil
	}
	var found []string
	for _, d := range there.All {
		if !strings.HasPrefix(d.Run, b.to) {
			continue
		}
		if !d.Good {
			return fmt.Errorf("release %s is not good, but %s", d.Run, d.State)
		}
		found = append(found, d.Run)
	}
	id, err := theOne(found, b.to, b.dest)
	b.take(there, id)
	return err
}

// take makes the deployment of a run the one to go back to.
func (b *rollback) take(there strategy.Deployments, run string) {
	b.id = run
	for _, d := range there.All {
		if d.Run == run {
			b.deployment = d
		}
	}
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
	newest := all[0].Strategy
	return slices.DeleteFunc(all, func(e cache.Entry) bool { return !allstrategies.List().Alike(e.Strategy, newest) })
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
	m := &manifest.Manifest{Dest: b.dest, Name: cmp.Or(b.deployment.Name, filepath.Base(b.dest)), Version: b.deployment.Version}
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
	if b.id != "" {
		m.SyncStrategy = b.strategy
	}
	if m.Dest != b.dest {
		return fmt.Errorf("the manifest of run %s names another dest by now: %q", b.kept.Run, m.Dest)
	}
	if err := r.accept(); err != nil {
		return err
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

// isSwitch tells whether the run goes back to a deployment that stands at dest:
// there is nothing to fetch.
func (r *run) isSwitch() bool { return r.isRollback() && r.back.id != "" }
