package main

import (
	"context"
	"path/filepath"

	"stretcher/internal/fetch/store"
	"stretcher/internal/journal/history"
	"stretcher/internal/manifest"
	"stretcher/internal/policy"
	allstrategies "stretcher/internal/strategy/all"
	"stretcher/internal/text/failure"
)

// readManifest makes the manifest that of the run, if the host policy lets it.
func (r *run) readManifest(ctx context.Context) error {
	if err := r.loadManifest(ctx, manifestRules()); err != nil {
		return err
	}
	return r.accept()
}

// loadManifest makes what the event names the manifest of the run.
func (r *run) loadManifest(ctx context.Context, rules manifest.Rules) error {
	loaded, err := r.loader(rules).Load(ctx, r.event.URL)
	return r.use(loaded, err)
}

// use makes a manifest that of the run.
func (r *run) use(loaded *manifest.Loaded, err error) error {
	if err != nil {
		return err
	}
	r.manifest, r.raw, r.text = loaded.Manifest, loaded.Raw, loaded.Text
	return nil
}

// loader is the way to the run's manifest.
func (r *run) loader(rules manifest.Rules) *manifest.Loader {
	return &manifest.Loader{
		Policy: r.policy,
		Fetch:  r.fetcher(r.archivePlaces).Document,
		Lookup: r.lookup,
		Secret: r.log.Mask,
		Warn:   func(text string) { r.log.Warn(text) },
		Rules:  rules,
	}
}

// manifestRules are what others know of a manifest's values.
func manifestRules() manifest.Rules {
	rules := manifest.Rules{Src: store.Check, Shared: allstrategies.CheckShared}
	for _, d := range allstrategies.List() {
		rules.Kinds = append(rules.Kinds, manifest.Kind{Name: d.Name, Sections: d.Sections, Patterns: d.Patterns, Default: d.Default})
	}
	return rules
}

// accept settles how the manifest is deployed, if the host policy lets it.
func (r *run) accept() error {
	m := r.manifest
	settleStrategy(m, func(msg string) { r.log.Info(msg) })
	r.rec.Describe(func(row *history.Run) {
		row.Name, row.Version, row.Dest = r.log.Masked(m.Name), r.log.Masked(m.Version), m.Dest
	})
	if err := r.allowed(); err != nil {
		return err
	}
	return r.policy.Dest(m.Dest)
}

// allowed asks the host policy about what the manifest wants to fetch.
func (r *run) allowed() error {
	if err := r.manifest.Restrict(r.policy); err != nil {
		return err
	}
	if r.hasSrc() && r.hasDest() && r.rec.State() != nil {
		return apart(r.manifest.Dest, r.rec.State().Path())
	}
	return nil
}

// apart refuses a dest that holds the state directory or lies in it: a sync
// would delete locks and history.
func apart(dest, stateDir string) error {
	if below(policy.Real(stateDir), policy.Real(dest)) || below(policy.Real(dest), policy.Real(stateDir)) {
		return failure.Refused("dest %q and the state directory %q lie in one another", dest, stateDir)
	}
	return nil
}

// below reports whether name is dir or lies in it.
func below(name, dir string) bool {
	rel, err := filepath.Rel(dir, name)
	return err == nil && filepath.IsLocal(rel)
}
