package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"stretcher/internal/cli"
	"stretcher/internal/hooks"
	"stretcher/internal/hooks/all"
	"stretcher/internal/journal/state"
	"stretcher/internal/strategy/preview"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
)

// runCheck parses and validates a manifest and prints what would run. An
// unknown key is an error here, what changes nothing is a warning.
func runCheck(ctx context.Context, o cli.ManifestOptions) error {
	stderr := o.Stderr
	o.Stderr, o.Bar = io.Discard, false // nothing is said but the error and what is doubtful
	d, done, err := newDeployer(ctx, o.Settings, unnoted, nil)
	defer done()
	if err != nil {
		return err
	}
	load := d.loader(manifestRules())
	warn := func(text string) {
		fmt.Fprintln(stderr, "stretcher: warning: "+printable.Line(d.log.Masked(text)))
	}
	load.Warn, load.Idle = nil, warn
	loaded, err := load.Load(ctx, o.URL)
	if err != nil {
		return d.masked(fmt.Errorf("manifest: %w", err))
	}
	if err := d.settle(Spec{Loaded: loaded}); err != nil {
		return d.masked(err)
	}
	set, err := d.allowed(Spec{Loaded: loaded})
	if err != nil {
		return d.masked(err)
	}
	for _, doubt := range set.Doubts() {
		warn(failure.Text(doubt))
	}
	kinds := load.Rules.Kinds
	if o.JSON {
		return loaded.TellJSON(o.Stdout, kinds, d.log.Masked)
	}
	return loaded.Tell(o.Stdout, kinds, d.log.Masked)
}

// allowed tells whether the host would refuse a deployment for what is or is not
// there: required hooks, a state directory. It returns the hooks.
func (x executor) allowed(s Spec) (*all.Set, error) {
	if x.policy.RequireState {
		err := x.settings.StateError
		if err == nil {
			err = state.Usable(x.settings.StateDir)
		}
		if err != nil {
			return nil, failure.Refused("%w: the host policy requires it", err)
		}
	}
	set, bad := all.New(x.hookOptions(s, false))
	if _, refused := hooks.Refused(errors.Join(bad...)); refused != nil {
		return nil, fmt.Errorf("hooks: %w", refused)
	}
	if err := set.Allowed(); err != nil {
		return nil, fmt.Errorf("hooks: %w", err)
	}
	return set, nil
}

// runPlan compares what a manifest describes with dest and prints what a
// deployment would change. It runs nothing and writes nothing.
func runPlan(ctx context.Context, o cli.ManifestOptions) (changes bool, err error) {
	d, done, err := newDeployer(ctx, o.Settings, unnoted, nil)
	defer done()
	if err != nil {
		return false, err
	}
	p, err := d.plan(ctx, o.URL)
	if err != nil {
		return false, d.masked(err)
	}
	if o.JSON {
		err = p.PrintJSON(o.Stdout)
	} else {
		err = p.Print(o.Stdout)
	}
	return len(p.Changes.List) > 0, err
}

// plan finds out what a deployment would do.
func (d *deployer) plan(ctx context.Context, url string) (*preview.Plan, error) {
	s, err := d.load(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	if _, err := d.allowed(s); err != nil {
		return nil, err
	}
	p := &preview.Plan{Dest: s.Manifest.Dest, Strategy: s.SyncStrategy}
	for _, point := range s.Commands.Points() {
		if point.Name != "failure" {
			p.Commands = append(p.Commands, preview.Count{Point: point.Name, Commands: len(point.Commands)})
		}
	}
	if !s.hasSrc() {
		return p, nil
	}
	source := ""
	s, err = d.open(s, false, func() run { return run{archive: Archive{Source: source}} })
	defer s.close()
	if err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	if a := d.current(ctx, s); a.isCurrent() {
		return p, nil // the record of dest says so: nothing is fetched
	}
	a, err := d.keptOrFetched(ctx, s, func() []string { return append([]string{os.TempDir()}, s.tempParents()...) })
	if err != nil {
		return nil, fmt.Errorf("fetch: %w", err)
	}
	defer a.close()
	source = a.Source
	p.Changes, err = s.Strategy.Diff(ctx, a.File)
	return p, err
}

// runListHooks prints which hooks would run for the manifest; without one,
// those of the host.
func runListHooks(ctx context.Context, o cli.ListHooksOptions) error {
	d, done, err := newDeployer(ctx, o.Settings, unnoted, nil)
	defer done()
	if err != nil {
		return err
	}
	var s Spec
	var told *hooks.Deployment
	if o.URL != "" {
		if s, err = d.loadAllowed(ctx, o.URL, manifestRules()); err != nil {
			return d.masked(err)
		}
		known := d.told(run{spec: s}, "")
		told = &known
	}
	p := &all.Printer{
		Options: d.hookOptions(s, false), Deployment: told, JSON: o.JSON, Out: o.Stdout, Masked: d.log.Masked,
		Warn: func(err error) { d.log.Warn(failure.Text(err)) },
	}
	if o.Watch {
		return d.masked(p.Watch(ctx))
	}
	return d.masked(p.Print())
}
