package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"stretcher/internal/cli"
	"stretcher/internal/fetch/delta"
	"stretcher/internal/fetch/transfer"
	"stretcher/internal/fleet/gate"
	"stretcher/internal/hooks"
	"stretcher/internal/hooks/all"
	"stretcher/internal/journal"
	"stretcher/internal/journal/state"
	"stretcher/internal/manifest"
	"stretcher/internal/manifest/lint"
	"stretcher/internal/policy"
	"stretcher/internal/policy/explain"
	"stretcher/internal/policy/verdict"
	"stretcher/internal/process"
	"stretcher/internal/strategy"
	"stretcher/internal/strategy/preview"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/redact"
	"stretcher/internal/trust"
)

// runCheck parses and validates a manifest and prints what would run, or what
// the host says of it. An unknown key is an error here, what changes nothing is
// a warning.
func runCheck(ctx context.Context, o cli.CheckOptions) (r lint.Result, err error) {
	o.Stderr, o.Bar = io.Discard, false // nothing is said but the error and what is doubtful
	d, done, err := newDeployer(ctx, o.Settings, journal.Unnoted, nil)
	defer done()
	d.explain(o.ManifestOptions, err)
	var s Spec
	if err == nil {
		s, err = looker{d}.check(ctx, o, func(text string) { r.Warnings = append(r.Warnings, d.log.Masked(text)) })
	}
	if s.Loaded != nil {
		r.Unset = s.Unset
	}
	switch {
	case o.Explain && !o.Silent:
		return r, d.conclude(o.ManifestOptions, err)
	case err != nil:
		return r, lint.Keep(d.masked(err), err, d.log.Masked, d.report.Refusals()...)
	}
	title := ""
	if o.Several {
		title = s.URL
	}
	if r.Checked = s.Checked(title, manifestRules().Kinds, d.log.Masked); !o.Silent {
		err = s.Tell(o.Stdout, o.Title, manifestRules().Kinds, d.log.Masked)
	}
	return r, err
}

// runRender makes of a manifest what it is with the values of its templates.
func runRender(ctx context.Context, o cli.RenderOptions) (text []byte, unset []string, err error) {
	o.Stderr, o.Bar = io.Discard, false
	d, done, err := newDeployer(ctx, o.Settings, journal.Unnoted, nil)
	defer done()
	if err != nil {
		return nil, nil, err
	}
	if err := d.policy.User(process.Caller()); err != nil {
		return nil, nil, err
	}
	load := d.loader(manifestRules())
	load.Unset = o.Unset
	text, unset, err = load.Render(ctx, o.URL, o.Show)
	return text, unset, d.masked(err)
}

// runIdentify tells which rollout the manifest at a URL would begin.
func runIdentify(ctx context.Context, o cli.Settings, url string) (string, error) {
	o.Stderr, o.Bar = io.Discard, false
	d, done, err := newDeployer(ctx, o, journal.Unnoted, nil)
	defer done()
	if err != nil {
		return "", err
	}
	if err := d.policy.Manifest(url); err != nil {
		return "", err
	}
	raw, err := d.fetchManifest(ctx, url, manifest.MaxSize, d.policy.Manifest)
	if err != nil {
		return "", d.masked(err)
	}
	return gate.ID(raw), nil
}

// looker looks at what a deployment would do, and does none of it.
type looker struct{ *deployer }

// check finds out whether the host would refuse a manifest, as far as that can
// be known before anything but the manifest is fetched. warn is told of what is
// doubtful.
func (d looker) check(ctx context.Context, o cli.CheckOptions, warn func(text string)) (Spec, error) {
	load := d.loader(manifestRules())
	load.Warn, load.Idle, load.Unset = nil, warn, o.Unset
	var unknown []string
	if d.report.Wanted() { // what the host says is said of such a manifest, too
		load.Warn = func(text string) { unknown = append(unknown, text) }
	}
	s, set, err := d.examine(ctx, load, o.URL)
	if s.Loaded == nil || err != nil && !d.report.Wanted() {
		return s, err
	}
	if set != nil {
		for _, doubt := range set.Doubts() {
			warn(failure.Text(doubt))
		}
	}
	err = cmp.Or(err, d.judgeDest(s))
	if s.hasSrc() {
		d.host().Archive(explain.Archive{Checksum: s.Checksum.String(), Extract: s.Extract, Limits: policy.Limits{
			Archive: s.Limits.Archive, Unpacked: s.Limits.Unpacked, Files: s.Limits.Files,
		}})
	}
	if err == nil && len(unknown) > 0 {
		err = failure.Malformed("%s", strings.Join(unknown, "; "))
	}
	return s, err
}

// examine asks all that is asked of a manifest before dest is opened. Who wants
// all rulings gets those behind a refusal as well.
func (d looker) examine(ctx context.Context, load *manifest.Loader, url string) (s Spec, set *all.Set, err error) {
	stranger := d.policy.User(process.Caller())
	if d.settings.Elsewhere {
		stranger = nil // somebody else starts it there
	}
	if stranger != nil && !d.report.Wanted() {
		return s, nil, stranger
	}
	if s, err = d.loadBy(ctx, load, url); err != nil {
		err = fmt.Errorf("manifest: %w", err)
	}
	if s.Loaded != nil {
		d.host().Signed(s.Signers)
	} else if errors.As(err, new(*manifest.Unvouched)) || isRefusal(err) && failure.IsNotYet(err) {
		d.host().Unsigned(err)
	}
	if errors.Is(err, transfer.ErrTooLarge) {
		d.report.Add(d.host().Rule("limits.manifest", redact.URL(url), "").Ruling(err))
	}
	if err = cmp.Or(stranger, err); s.Loaded == nil || err != nil && !d.report.Wanted() {
		return s, nil, err
	}
	d.host().RunAs(d.mayBecome())
	if d.settings.Elsewhere {
		d.host().Elsewhere()
		return s, nil, err
	}
	set, refused := d.allowed(s)
	err = cmp.Or(err, refused)
	if err == nil || d.report.Wanted() {
		err = cmp.Or(err, d.refusedHook(ctx, s, set))
	}
	return s, set, err
}

// judgeDest opens dest as a deployment does, and tells whether that would be
// refused. What else is wrong with it may be mended by then.
func (d looker) judgeDest(s Spec) error {
	if !s.hasSrc() || !s.hasDest() || s.Guessed("dest", s.Manifest.Dest) {
		return nil
	}
	s, err := d.open(s, false, func() run { return run{} })
	defer s.close()
	if err == nil {
		err = s.check()
	}
	if !isRefusal(err) {
		return nil
	}
	return d.ofDest(s, err)
}

// refusedHook is the error of the first hook that a deployment comes to and is
// not let run, as far as what it runs is here already.
func (d looker) refusedHook(ctx context.Context, s Spec, set *all.Set) error {
	for _, n := range hooks.Points() {
		if n.Point == hooks.AuthFail || n.Point == hooks.Finish || s.never(n.Point) != "" {
			continue // it fails nothing there
		}
		list, _, _ := set.At(n.Point, d.told(run{spec: s}, n.Point))
		for _, h := range list {
			err := h.Problem
			if err == nil && h.Judge != nil {
				err = h.Judge(ctx)
			}
			if h.Required && h.Condition.Met(false) && isRefusal(err) {
				d.report.Judge("hook", h.Source, "", err)
				return fmt.Errorf("%s: %s hook %q: %w", n.Point, h.Dialect, h.Name, err)
			}
		}
	}
	return nil
}

// ofDest tells the report why a dest is refused; what the policy says it has
// been told.
func (t *tools) ofDest(s Spec, err error) error {
	if isRefusal(err) && !errors.Is(err, policy.ErrRefused) {
		t.report.Judge("dest", s.Manifest.Dest, "", err)
	}
	return err
}

// mayBecome tells whether the caller may start programs as the user whom the policy
// names; nil: there is none.
func (t *tools) mayBecome() func() error {
	if t.user == nil {
		return nil
	}
	return func() error { return t.user.Allowed(os.Geteuid()) }
}

// host is what says what the host's policy says, to the report.
func (t *tools) host() explain.Host {
	return explain.Host{Policy: t.policy, Report: t.report, Keys: t.settings.Keys}
}

// explain begins a report of what the host says, where one is wanted. err says
// why the policy can't be asked.
func (t *tools) explain(o cli.ManifestOptions, err error) {
	if !o.Explain {
		return
	}
	t.report = &verdict.Report{URL: redact.URL(o.URL), Policy: t.policy.String(), Mask: t.log.Masked}
	t.host().Begin(o.Elsewhere)
	t.host().Broken(o.Config, t.keys != nil, err)
}

// isRefusal tells whether a deployment that ends by err has been refused.
func isRefusal(err error) bool { return cli.Status(err) == cli.ExitRefused }

// verdictOf is what a deployment that ends by err comes to, as its exit status says.
func verdictOf(err error) verdict.Verdict {
	if isRefusal(err) {
		return verdict.Refused
	}
	if cli.Status(err) == cli.ExitMalformed {
		return verdict.Malformed
	}
	return verdict.Failed
}

// conclude prints the report. err is what the look at the manifest has ended
// by; it is returned without secrets.
func (t *tools) conclude(o cli.ManifestOptions, err error) error {
	c := t.report.Conclude("manifest", err, verdictOf(err))
	printed := c.Print
	if o.JSON {
		printed = c.PrintJSON
	}
	return cmp.Or(t.masked(err), printed(o.Stdout))
}

// allowed tells whether the host would refuse a deployment for what is or is not
// there: required hooks, a state directory. It returns the hooks.
func (x executor) allowed(s Spec) (*all.Set, error) {
	missing := x.requiredState()
	if missing != nil && !x.report.Wanted() {
		return nil, missing
	}
	set, bad := all.New(x.hookOptions(s, false))
	_, err := hooks.Refused(errors.Join(bad...))
	if err == nil {
		err = set.Allowed()
	}
	if err != nil {
		err = fmt.Errorf("hooks: %w", err)
	}
	if all.May(x.policy.Hooks, s.Manifest.Hooks) {
		x.report.Add(x.host().Rule("hooks.required", strings.Join(x.policy.Hooks.Required, " "), "").Ruling(err))
	}
	return set, cmp.Or(missing, err)
}

// requiredState refuses a host without the state directory that its policy
// requires.
func (x executor) requiredState() error {
	if !x.policy.RequireState {
		return nil
	}
	err, usable := x.settings.StateError, state.Usable
	if x.keys != nil {
		usable = state.UsableWhole
	}
	if err == nil {
		err = usable(x.settings.StateDir)
	}
	if err != nil {
		err = failure.Refused("%w: the host policy requires it", err)
		err = x.policy.Said(err, "require_state", "trust.keys")
	}
	x.report.Add(x.host().Rule("require_state", x.settings.StateDir, "").Ruling(err))
	return err
}

// runPlan compares what a manifest describes with dest and prints what a
// deployment would change. It runs nothing and writes nothing.
func runPlan(ctx context.Context, o cli.ManifestOptions) (changes bool, err error) {
	d, done, err := newDeployer(ctx, o.Settings, journal.Unnoted, nil)
	defer done()
	d.explain(o, err)
	var p *preview.Plan
	if err == nil {
		p, err = looker{d}.plan(ctx, o.URL)
	}
	if o.Explain {
		if err := d.conclude(o, err); err != nil {
			return false, err
		}
	}
	if err != nil {
		return false, d.masked(err)
	}
	printed := p.Print
	if o.JSON {
		printed = p.PrintJSON
	}
	return len(p.Changes.List) > 0, printed(o.Stdout)
}

// plan finds out what a deployment would do.
func (d looker) plan(ctx context.Context, url string) (*preview.Plan, error) {
	s, _, err := d.examine(ctx, d.loader(manifestRules()), url)
	if err != nil {
		return nil, err
	}
	p := &preview.Plan{Dest: s.Manifest.Dest}
	if s.Rollback.GoesBack() {
		if s, err = d.planBack(ctx, s, p); err != nil || p.Back == nil {
			return p, err
		}
	}
	return p, d.planOf(ctx, s, p)
}

// planOf makes the plan of what a deployment would do.
func (d looker) planOf(ctx context.Context, s Spec, p *preview.Plan) error {
	p.Strategy = s.SyncStrategy
	for _, point := range s.Commands.Points() {
		if point.Name != "failure" {
			p.Commands = append(p.Commands, preview.Count{Point: point.Name, Commands: len(point.Commands)})
		}
	}
	if !s.hasSrc() {
		return nil
	}
	source := ""
	s, err := d.open(s, false, func() run { return run{archive: Archive{Source: source}} })
	defer s.close()
	if err == nil {
		err = s.check()
	}
	if err != nil {
		return d.ofDest(s, err)
	}
	if s.isSwitch() {
		p.Changes.List = []strategy.Change{{Path: filepath.Base(s.live()), Kind: strategy.Modify, What: []string{"link"}}}
		return nil
	}
	if a := d.current(ctx, s); a.IsCurrent() {
		d.report.Judge("archive", s.Checksum.String(), "dest holds it already: nothing is fetched", nil)
		return nil
	}
	w := d.wanted(s)
	w.Passing = s.unnamed(d.journal, func(int64) []string { return append([]string{os.TempDir()}, s.tempParents()...) })
	fetched := func(seen *delta.Foreseen) {
		if p.Fetch = nil; seen != nil {
			p.Fetch = &preview.Fetch{Bytes: seen.Bytes, Whole: seen.Whole, Ranges: seen.Requests}
		}
	}
	a, err := d.ways().Foresee(ctx, w, fetched, func(a Archive) (err error) {
		source = a.Source
		defer d.screen.Bar("compare").Close()
		p.Changes, err = s.Strategy.Diff(ctx, a.Input)
		return err
	})
	defer func() { a.Close() }() // after an error, too: it may be here
	return d.ofArchive(a, err)
}

// ofArchive tells the report what came of an archive, or of its index alone.
func (t *tools) ofArchive(a Archive, err error) error {
	why := "it is what the manifest says, within all limits"
	if a.File == nil {
		why = "by its index it is within all limits; checksum is compared when it is fetched"
	}
	if err == nil || isRefusal(err) {
		t.report.Judge("archive", a.Source, why, err)
	}
	return err
}

// runVerify tells who vouches for a manifest, by the keys that are named, or
// those of the host policy.
func runVerify(ctx context.Context, o cli.VerifyOptions) ([]trust.Signer, error) {
	o.Stderr, o.Bar = io.Discard, false // nothing is said but the error
	d, done, err := newDeployer(ctx, o.Settings, journal.Unnoted, nil)
	defer done()
	if err != nil {
		return nil, err
	}
	load := d.loader(manifestRules())
	if o.Keys != "" {
		load.Threshold = 1
		load.Policy = &policy.Policy{} // the keys are the question, not what the host allows
		if load.Keys, err = trust.LoadKeys(o.Keys); err != nil {
			return nil, err
		}
	}
	if load.Keys == nil {
		return nil, failure.Usage("verify expects --keys DIR: the host policy names no keys")
	}
	load.Threshold = cmp.Or(o.Threshold, load.Threshold)
	signers, err := load.Signers(ctx, o.URL)
	if failure.IsNotYet(err) && isRefusal(err) {
		err = failure.Hinted("stretcher sign makes a signature", err) // there is no event here
	}
	return signers, d.masked(err)
}

// unfit tells why no host that asks for signatures would take the manifest in a
// file.
func unfit(raw []byte, file string) error {
	return manifest.UnfitFile(raw, file, manifestRules(), time.Now())
}

// runListHooks prints which hooks would run for the manifest; without one,
// those of the host.
func runListHooks(ctx context.Context, o cli.ListHooksOptions) error {
	d, done, err := newDeployer(ctx, o.Settings, journal.Unnoted, nil)
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
