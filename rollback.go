package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"stretcher/internal/cli"
	"stretcher/internal/disk"
	"stretcher/internal/event"
	"stretcher/internal/fetch/cache"
	"stretcher/internal/journal"
	"stretcher/internal/journal/history"
	"stretcher/internal/manifest"
	"stretcher/internal/manifest/past"
	"stretcher/internal/policy"
	"stretcher/internal/strategy"
	strategies "stretcher/internal/strategy/all"
	"stretcher/internal/strategy/preview"
	"stretcher/internal/text/failure"
)

// runRollback deploys to DEST what was good there before: the release, or
// the archive that has been kept.
func runRollback(ctx context.Context, second <-chan struct{}, o cli.RollbackOptions) (history.Run, error) {
	d, done, err := newDeployer(ctx, o.Settings, journal.Remembered, second)
	defer done()
	e := &event.Event{Source: event.Rollback}
	if err != nil {
		_, err = d.refuse(ctx, e, err)
		return d.journal.Run(), err
	}
	row := d.newRow(d.id, e)
	row.Dest = o.Dest
	d.journal.Begin(row, o.Force)
	d.clearDied(ctx)
	_, err = d.deploy(ctx, e, &run{spec: specOf(&past.Past{Dest: o.Dest, To: o.To})})
	return d.journal.Run(), err
}

// recalling is how a past becomes a spec that the host accepts, with the lock
// held.
func (d *deployer) recalling(r *run) part {
	recall := func(ctx context.Context) (err error) {
		err = d.goBack(ctx, r)
		r.heard = err == nil
		return err
	}
	return part{needed: func() bool { return r.spec.Past != nil && r.spec.Past.By == nil }, steps: []step{
		{"lock", always, d.locking(r)},
		{"manifest", always, recall},
	}}
}

// obeying makes a past of a manifest that says that the host shall go back.
func obeying(d *deployer, r *run) step {
	return step{
		"recall", func() bool { return r.spec.Rollback.GoesBack() },
		func(ctx context.Context) error {
			r.spec.Past = &past.Past{Dest: r.spec.Manifest.Dest, By: r.spec.Loaded}
			return d.goBack(ctx, r)
		},
	}
}

// goBack finds what the run goes back to.
func (d *deployer) goBack(ctx context.Context, r *run) (err error) {
	if r.spec, err = d.recall(ctx, r.spec); err == nil {
		run := cmp.Or(r.spec.Past.Standing, r.spec.Past.Kept.Run)
		d.log.Info(fmt.Sprintf("going back to what run %s deployed: %s", run, r.spec.Title()))
	}
	return err
}

// planBack finds out what a host would go back to that hears such a manifest, and tells
// the plan.
func (p provider) planBack(ctx context.Context, s Spec, plan *preview.Plan) (Spec, error) {
	s.Past = &past.Past{Dest: plan.Dest, By: s.Loaded}
	s, err := p.recall(ctx, s)
	if rest, ok := errors.AsType[past.AtRest](err); ok {
		plan.Changes.Notes = []string{rest.Error()}
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("recall: %w", err)
	}
	plan.Back = &preview.Back{Version: s.Version, Run: cmp.Or(s.Past.Standing, s.Past.Kept.Run), From: p.keptWhere(s)}
	return s, nil
}

// keptWhere tells where a host takes from what it goes back to.
func (p provider) keptWhere(s Spec) preview.From {
	if s.isSwitch() {
		return preview.Release
	}
	file, ok := p.cached.Archive(s.Past.Kept.Run)
	if !ok {
		file, ok = p.cached.Find(s.Past.Kept.Checksum)
	}
	if !ok {
		return preview.Server
	}
	_ = file.Close()
	return preview.Cache
}

// recall finds what to go back to, and the manifest that it was deployed by.
func (p provider) recall(ctx context.Context, s Spec) (Spec, error) {
	b := *s.Past
	s.Past = &b
	rulings := append(p.policy.Ask(policy.Rollback, ""), p.policy.Ask(policy.Dest, b.Dest)...)
	if err := policy.Refusal(rulings); err != nil {
		return s, err
	}
	there, err := p.deployments(b.Dest)
	if err != nil {
		return s, err
	}
	if err = b.Choose(p.has(b.Dest, there)); err != nil {
		return s, p.known(b.Dest, there, err)
	}
	loaded, err := p.recallManifest(&b)
	if err != nil {
		return s, err
	}
	if b.By != nil && loaded.Name != b.By.Name { // nothing of the other one runs
		return s, failure.Refused("what %q holds is %q, and the manifest is for %q", b.Dest, loaded.Name, b.By.Name)
	}
	s.Loaded = loaded
	if s.Manifest.Dest != b.Dest {
		return s, fmt.Errorf("the manifest of run %s names another dest by now: %q", b.Kept.Run, s.Manifest.Dest)
	}
	if err := p.settle(s); err != nil {
		return s, err
	}
	return s, nil
}

// has is what this host has for a dest.
func (p provider) has(dest string, there strategy.Deployments) past.Host {
	return past.Host{
		There: there, Cache: p.cached, Alike: strategies.List().Alike,
		IsLive: func(run string) bool { return p.isLive(dest, run) },
		Held:   func() past.Live { return past.Live(journal.Held(p.journal, dest)) },
	}
}

// holds is what dest holds now, as far as this host knows.
func (p provider) holds(dest string) past.Live {
	if dest == "" {
		return past.Live{}
	}
	there, err := p.deployments(dest)
	if err != nil {
		return past.Live{}
	}
	h := p.has(dest, there)
	if live, stands := h.Holds(dest); stands {
		return live
	}
	return h.Held()
}

// deployments are those that stand beside one another at dest. What can't be
// listed is none.
func (p provider) deployments(path string) (strategy.Deployments, error) {
	dest, err := disk.OpenDest(path)
	if err != nil {
		if errors.Is(err, disk.ErrForeignLink) {
			return strategy.Deployments{}, disk.ExplainDest(path, err)
		}
		return strategy.Deployments{}, nil // the sync will say what is wrong
	}
	defer dest.Close()
	if err := p.policy.Dest(dest.Real()); err != nil {
		return strategy.Deployments{}, err
	}
	there, err := strategies.List().Deployments(dest)
	if err != nil {
		return strategy.Deployments{}, nil
	}
	return there, nil
}

// undeployed is the error of a rollback where nothing has ever been deployed.
type undeployed struct{ error }

// Unwrap gives the cause.
func (u undeployed) Unwrap() error { return u.error }

// known is why there is nothing at dest to go back to, and tells whether anything
// good has been deployed there, as far as anybody knows.
func (p provider) known(dest string, there strategy.Deployments, err error) error {
	kept, _ := p.cached.List(dest)
	if _, good := p.journal.LastGood(dest); good || len(there.All)+len(kept) > 0 {
		return err
	}
	return undeployed{err}
}

// isLive tells whether dest holds what a run deployed: the last good run was that
// one, and none has failed since in a sync or later. Without a history it is taken for
// granted.
func (p provider) isLive(dest, run string) bool {
	good, ok := p.journal.LastGood(dest)
	return !ok || good.ID == run && p.journal.IsLast(good)
}

// recallManifest reads the manifest that the chosen run deployed by. That of a
// deployment that stands at dest may be known no more: better live without its
// commands than not live, unless somebody must have vouched for it.
func (p provider) recallManifest(b *past.Past) (*manifest.Loaded, error) {
	known := p.cached != nil
	if b.Standing != "" && known {
		var err error
		b.Kept, err = p.cached.Get(b.Standing)
		known = err == nil
	}
	if known {
		loaded, err := p.parseKept(b.Kept)
		if err == nil && b.Standing != "" {
			loaded.SyncStrategy = b.Strategy
		}
		return loaded, err
	}
	if p.keys != nil {
		return nil, failure.Refused("the manifest of release %s is not known any more, and manifests must be signed",
			b.Standing)
	}
	p.log.Warn(fmt.Sprintf("the manifest of release %s is not known any more: no commands run", b.Standing))
	return &manifest.Loaded{Manifest: &manifest.Manifest{
		Dest: b.Dest, SyncStrategy: b.Strategy,
		About: manifest.About{
			Name: cmp.Or(b.Deployment.Name, filepath.Base(b.Dest)), Version: b.Deployment.Version,
		},
	}}, nil
}

func (p provider) parseKept(e cache.Entry) (*manifest.Loaded, error) {
	raw, err := p.cached.Manifest(e.Run)
	if err != nil {
		return nil, err
	}
	p.journal.Describe(func(row *history.Run) { row.URL = e.ManifestURL })
	if p.keys != nil && len(e.Signature) == 0 {
		return nil, failure.Refused("the manifest of run %s was not signed when it was deployed, and manifests must be",
			e.Run)
	}
	loaded, err := p.loader(manifestRules()).Parse(raw, e.Signature, e.ManifestURL, e.Base)
	if err == nil {
		p.vouch(loaded)
	}
	if errors.Is(err, failure.ErrMalformed) {
		err = failure.Hinted("templates are expanded anew: set the variables that the deployment had", err)
	}
	return loaded, err
}

// fetchKept takes the archive that has been kept. One that is not there any
// more, or has been damaged, is fetched again.
func (p provider) fetchKept(ctx context.Context, s Spec) (Archive, error) {
	if s.isSwitch() {
		return Archive{}, nil // the release is there
	}
	from := s.Past.Kept
	file, ok := p.cached.Archive(from.Run)
	if !ok { // a later run may have deployed the same
		file, ok = p.cached.Find(from.Checksum)
	}
	if !ok {
		if a, err := p.ways().Here(ctx, p.wanted(s)); a.File != nil || err != nil {
			return a, err
		}
		p.log.Info(fmt.Sprintf("the archive of run %s is not kept: fetching it again", from.Run))
		return p.ways().Archive(ctx, p.wanted(s))
	}
	return p.ways().FromKept(ctx, p.wanted(s), file, "the archive kept of run "+from.Run)
}
