package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"stretcher/internal/cli"
	"stretcher/internal/disk/tree"
	"stretcher/internal/event"
	"stretcher/internal/fetch"
	"stretcher/internal/fetch/cache"
	"stretcher/internal/fleet"
	"stretcher/internal/fleet/consul/reach"
	"stretcher/internal/fleet/gate"
	"stretcher/internal/hooks"
	"stretcher/internal/hooks/all"
	"stretcher/internal/hooks/porter"
	"stretcher/internal/journal"
	"stretcher/internal/journal/history"
	"stretcher/internal/journal/runlog"
	"stretcher/internal/manifest"
	"stretcher/internal/policy"
	"stretcher/internal/policy/verdict"
	"stretcher/internal/process"
	"stretcher/internal/strategy"
	"stretcher/internal/strategy/staging"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/progress"
	"stretcher/internal/text/runid"
	"stretcher/internal/trust"
)

// tools are what a run works with. None of them changes while it runs, but the
// keys when it has waited for a lock.
type tools struct {
	id       string    // of the run, a UUIDv7
	now      time.Time // taken at the run's start: what time it is for all that it decides
	settings cli.Settings
	policy   *policy.Policy
	keys     *trust.Keys // that must vouch for manifests, as the policy says; nil = nobody needs to
	journal  *journal.Journal
	private  *journal.Private // makes the run's directories
	cached   *cache.Store     // what earlier runs have deployed; nil = nothing is kept
	fetcher  *fetch.Fetcher
	log      *runlog.Log
	screen   *progress.Screen
	environ  []string        // NAME=value: what the process was started with
	user     *process.User   // whom commands and hooks of manifests run as; nil = the caller
	second   <-chan struct{} // closed by the second signal
	report   *verdict.Report // gets what the host says of the manifest; nil: nobody asks
}

// deployer takes a run from its event to its result.
type deployer struct {
	*tools
	provider // gets what is deployed
	executor // runs the commands and hooks around it
}

// newDeployer puts together what a run works with. An error is the host's: the
// policy can't be used, or wants what is not there. The deployer is good then
// for saying so.
func newDeployer(
	ctx context.Context, s cli.Settings, m journal.Mode, second <-chan struct{},
) (*deployer, func(), error) {
	screen := s.Screen()
	log, closeLog := s.Open(screen)
	t := &tools{
		id: runid.New(), now: time.Now(), settings: s, log: log, screen: screen, second: second, environ: os.Environ(),
	}
	reach.Secrets(os.Getenv, log.Mask)
	stateError := t.openJournal(ctx, m)
	t.private, t.fetcher = journal.NewPrivate(t.journal), newFetcher(t, userAgent())
	err := t.askHost(stateError, m)
	d := &deployer{t, provider{t, new(tree.Ahead)}, executor{t}}
	return d, func() {
		d.removePrivate()
		if m == journal.Noted {
			d.journal.EndCommand()
		}
		d.fetcher.Store.Close()
		journal.ExportMetrics(d.journal, d.policy.Metrics, version())
		d.journal.Export(ctx, d.kind(m))
		d.journal.Close()
		if d.cached != nil {
			_ = d.cached.Close()
		}
		closeLog()
	}, err
}

// run is how far one execution has come. This file, recalling and bringArchive change
// it: all else gets a copy, which is its own.
type run struct {
	spec    Spec
	archive Archive
	unpacked
	begun    bool         // a sync was
	synced   bool         // dest has become what it shall be
	accepted bool         // what is live has passed all that judges it
	admitted bool         // there is a manifest that the host lets run: no older event has its turn
	heard    bool         // what the manifest names may run, also if the run fails
	idle     bool         // dest holds it already, and nothing is to be run then
	record   string       // the file that says how the sync left dest; "" = none
	unlock   func() error // nil: there is no lock
	turn     *gate.Gate   // where it waits for its turn; nil = it may go on at once
	failed   error        // why the deployment failed
	done     bool         // it succeeded
}

// unpacked is what has become of the archive before the sync.
type unpacked struct {
	ahead  *begun // it is staged while it comes; nil = it is not
	staged strategy.Staged
	copied *staging.Tree // it once more, for what hooks may see of it; nil = there is none
}

// step is one step of the process. It is taken when it is needed.
type step struct {
	name   string
	needed func() bool
	do     func(context.Context) error
}

// part is a number of steps with the points at which hooks run before and
// after them; "" = none do. The conditions of the hooks after it speak of it.
type part struct {
	before, after hooks.Point
	needed        func() bool // nil = always
	steps         []step
}

// deploy is the whole process, from the event to its result. A rollback has
// no event: it begins with a past to go back to.
func (d *deployer) deploy(ctx context.Context, e *event.Event, r *run) (outcome string, err error) {
	ctx, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	closing, cancel := extend(ctx, context.WithoutCancel(ctx), afterSignal, d.second)
	defer cancel()
	defer func() {
		if p := recover(); p != nil { // or the run would end as a good one
			err = fmt.Errorf("%s: internal error: %v at %s", d.journal.Step(), p, debug.Stack())
		}
		r.ahead.end()
		outcome, err = d.finish(ctx, closing, *r, err)
	}()
	d.announce(e, r.spec.Past)
	for _, p := range d.parts(r, e, lose) {
		if p.needed != nil && !p.needed() {
			continue
		}
		if err := d.pass(ctx, closing, r, p); err != nil {
			return "", r.spec.byLimit(d.policy, err)
		}
		if r.idle {
			break
		}
	}
	return "", r.isThere()
}

// parts are the process: what happens to an event, or to a past, step by step.
func (d *deployer) parts(r *run, e *event.Event, lose context.CancelCauseFunc) []part {
	commands := func(point string) step {
		return step{point, func() bool { return len(r.spec.Commands.At(point)) > 0 },
			func(ctx context.Context) error { return d.runCommands(ctx, *r, point) }}
	}
	hasSrc := func() bool { return r.spec.hasSrc() }
	isStaged := func() bool { return r.staged.Dir != nil && !r.archive.IsCurrent() }
	hasHooks := func() bool { return d.mayHaveHooks(r.spec) }

	findHooks := func(context.Context) (err error) {
		r.spec.Hooks, err = d.findHooks(r.spec)
		return err
	}
	turn := func(ctx context.Context) error { return d.takeTurn(ctx, r, lose) }
	preExtract := func(ctx context.Context) error { return d.runHooks(ctx, *r, hooks.PreExtract, false) }
	accept := func(ctx context.Context) error {
		if err := r.isThere(); err != nil {
			return err
		}
		r.accepted = true
		d.accept(ctx, *r)
		return nil
	}
	return []part{
		d.hearing(r, e),
		d.recalling(r),
		{after: hooks.Init, steps: []step{
			{"hooks", hasHooks, findHooks},
		}},
		{before: hooks.PreFetch, after: hooks.PostExtract, steps: []step{
			{"fetch", hasSrc, func(ctx context.Context) error { return d.bringArchive(ctx, r) }},
			{"turn", func() bool { return r.turn != nil }, turn},
			{string(hooks.PreExtract), func() bool { return r.spec.Hooks != nil }, preExtract},
			commands("pre"),
			{"extract", hasSrc, func(ctx context.Context) error { return d.extract(ctx, r) }},
		}},
		{before: hooks.PreSync, after: hooks.PostSync, steps: []step{
			{"sync", isStaged, func(ctx context.Context) error { return d.syncTo(ctx, r) }},
		}},
		{after: hooks.PostLaunch, steps: []step{
			commands("post"),
			commands("verify"),
		}},
		{needed: func() bool { return r.reverter() != nil }, steps: []step{
			{"release", always, accept},
		}},
		{needed: func() bool { return d.hasOld(*r) }, before: hooks.PrePrune, after: hooks.PostPrune, steps: []step{
			{"prune", always, func(ctx context.Context) error { return d.prune(ctx, *r) }},
		}},
	}
}

func always() bool { return true }

// hearing is how an event becomes a spec that the host accepts, with the lock
// held. What the manifest names may run from the step on that shows it to be
// fresh.
func (d *deployer) hearing(r *run, e *event.Event) part {
	isDated := func() bool { return r.spec.IsDated() || d.keys != nil }
	hear := func() {
		r.turn = turnOf(d, r.spec, nil)
		if r.heard = true; d.keys == nil { // else they are looked at
			d.skip(e.Older)
		}
	}
	manifest := func(ctx context.Context) (err error) {
		r.spec, err = d.load(ctx, e.URL)
		if r.turn = turnOf(d, r.spec, err); err != nil {
			return err
		}
		if r.admitted = true; !isDated() {
			hear()
		}
		return nil
	}
	freshness := func(ctx context.Context) error {
		err := d.raiseSerial(ctx, r.spec, time.Now())
		if err == nil {
			hear()
		} else {
			r.turn = turnOf(d, r.spec, err)
		}
		r.admitted = !errors.Is(err, failure.ErrRefused) || failure.IsNotYet(err) // it has its turn later
		return err
	}
	compare := func(ctx context.Context) error {
		err := d.look(ctx, r)
		r.idle = r.archive.IsCurrent()
		return err
	}
	return part{needed: func() bool { return r.spec.Past == nil }, steps: []step{
		{"delay", d.isDelayed, d.delay},
		{"manifest", always, manifest},
		{"lock", func() bool { return r.spec.hasDest() || d.keys != nil }, d.locking(r)},
		{"freshness", isDated, freshness},
		obeying(d, r),
		{"compare", func() bool { return d.settings.IfChanged && r.spec.hasSrc() }, compare},
	}}
}

// pass takes the steps of a part, with the hooks around them. Those after a
// part that was interrupted have the time that failure commands have. None run
// after one that has shown that the host does not accept the manifest.
func (d *deployer) pass(ctx, closing context.Context, r *run, p part) error {
	rejected := false
	at := func(point hooks.Point, stepFailed bool) error {
		if rejected {
			return nil
		}
		c, stop := ctx, func() {}
		if stepFailed {
			c, stop = r.turn.Working(closing)
		}
		defer stop()
		if err := d.runHooks(c, *r, point, stepFailed); err != nil {
			return fmt.Errorf("%s: %w", point, err)
		}
		return nil
	}
	return porter.Around(p.before, p.after, at, func() error {
		for _, s := range p.steps {
			if !s.needed() {
				continue
			}
			err := r.turn.Sure(ctx)
			if err == nil {
				err = d.take(ctx, s)
			}
			if err != nil {
				rejected = run{failed: err, heard: r.heard}.isRejected() || isIdle(err)
				return err
			}
		}
		return nil
	})
}

// take takes one step. Nothing is begun once ctx has ended. The error names
// the step.
func (d *deployer) take(ctx context.Context, s step) error {
	d.journal.Enter(s.name)
	began, offset := time.Now(), d.log.Offset()
	err := context.Cause(ctx)
	if err == nil {
		err = s.do(ctx)
	}
	err = failure.AsInterrupted(ctx, err)
	if !manifest.IsPoint(s.name) && s.name != string(hooks.PreExtract) { // commands and hooks have rows of their own
		row := history.Step{
			Point: s.name, Dialect: journal.DialectSelf, Name: s.name,
			Started: began, Duration: time.Since(began), Offset: offset,
		}
		if err != nil {
			row.Exit = 1
		}
		d.journal.Add(row)
	}
	if err == nil {
		return nil
	}
	if s.name == "manifest" && d.journal.Run().Event == event.Rollback { // nobody has named one
		return fmt.Errorf("%s: %w", event.Rollback, err)
	}
	return fmt.Errorf("%s: %w", s.name, err)
}

// turnOf is where a run waits for its turn, or tells its group that the host has
// refused the manifest. It is nil where the manifest is for this host alone, or somebody
// goes back here alone; and where it is not known, or not signed as the host wants it:
// by the word of such a one nothing is written anywhere.
func turnOf(d *deployer, s Spec, refused error) *gate.Gate {
	if s.Loaded == nil || s.Rollout == nil || s.Past != nil || errors.As(refused, new(*manifest.Unvouched)) {
		return nil
	}
	g := gate.New(fleet.Entry{
		Name: d.log.Masked(s.Name), Version: d.log.Masked(s.Version), Serial: int64(s.Serial), ID: gate.ID(s.Raw),
		Run: d.id, Node: d.settings.Node, Rollout: *s.Rollout,
		Machine: d.log.Masked(gate.Machine(s.Manifest.Dest)), Outline: manifest.Outline(s.Raw, d.log.Masked),
		URL: manifest.Told(s.URL, d.log.Masked), Touched: journal.Touched(d.journal, s.Manifest.Dest),
		Remarks: fleet.Remarks{Signed: len(s.Signers) > 0, Lacking: manifest.Lacking(s.Raw, d.log.Masked)},
	}, d.log.Logger)
	if refused != nil { // what dest holds is not looked at
		g.Late = d.isLate(s)
		return g
	}
	g.Held = func() (string, bool) {
		live := d.holds(s.Manifest.Dest)
		return d.log.Masked(live.Version), live.Mixed
	}
	return g
}

// takeTurn waits until the rollout lets this host go to work. Meanwhile nobody holds
// dest: a newer event has its way there, and then this run ends.
func (d *deployer) takeTurn(ctx context.Context, r *run, lose context.CancelCauseFunc) error {
	locked := r.unlock != nil
	if locked {
		if err := r.unlock(); err != nil {
			d.log.Warn(failure.Text(err))
		}
		r.unlock = nil
	}
	if err := r.turn.Wait(ctx, lose); err != nil || !locked {
		return err
	}
	if err := d.locking(r)(ctx); err != nil {
		return err
	}
	if by, is := journal.Overtaken(d.journal); is {
		return fmt.Errorf("%w: run %s has come to %q", fleet.ErrOvertaken, by.ID, r.spec.Manifest.Dest)
	}
	s := r.spec
	if s.Past != nil {
		s = Spec{Loaded: s.Past.By}
	}
	if err := d.compareSerial(s); err != nil {
		return fmt.Errorf("%w: %s", fleet.ErrSuperseded, failure.Text(err))
	}
	if err := d.raiseSerial(ctx, s, time.Now()); err != nil || !r.archive.IsCurrent() {
		return err
	}
	return d.bringArchive(ctx, r) // dest may not be as it was
}

// openDest opens dest and makes the strategy for it. What the strategy starts
// is told how far the run has come by then.
func (d *deployer) openDest(r *run) (err error) {
	r.spec, err = d.open(r.spec, r.whole(d), func() run { return *r })
	return err
}

// whole tells whether all of the tree must be staged: hooks may look at it.
func (r *run) whole(d *deployer) bool {
	return r.spec.Hooks != nil && r.spec.Hooks.HasAt(d.told(*r, hooks.PostExtract), hooks.PostExtract, hooks.PreSync)
}

// bring gets the archive from where it is.
func (d *deployer) bring(ctx context.Context, r *run) (err error) {
	r.archive, err = d.verified(ctx, *r, func() (Archive, error) {
		if r.spec.Past != nil {
			return d.fetchKept(ctx, r.spec)
		}
		w := d.wanted(r.spec)
		w.Meanwhile = stagesAhead(ctx, d, r)
		return d.ways().Archive(ctx, w)
	})
	return err
}

// verified gets an archive. When it is not what the manifest says, the hooks
// for that run.
func (x executor) verified(ctx context.Context, r run, get func() (Archive, error)) (Archive, error) {
	a, err := get()
	if r.archive, r.failed = a, err; errors.Is(err, failure.ErrRefused) {
		if hook := x.runHooks(ctx, r, hooks.AuthFail, true); hook != nil {
			return a, fmt.Errorf("%w; then %s: %w", err, hooks.AuthFail, hook)
		}
	}
	return a, err
}

// extract unpacks the archive. A dest that was current when the run began is
// looked at again if commands have run since. In any case dest is opened
// again: commands may have made it, or moved it away.
func (d *deployer) extract(ctx context.Context, r *run) (err error) {
	if r.archive.IsCurrent() {
		is, err := d.isStillCurrent(ctx, r)
		if (is || err != nil) && r.whole(d) {
			r.staged = d.stageNothing(r.spec)
		}
		if is && err == nil {
			err = d.copyForHooks(ctx, r)
		}
		if is || err != nil {
			return err
		}
		r.record = ""
		if err := d.bring(ctx, r); err != nil {
			return err
		}
	}
	if err := d.openDest(r); err != nil {
		return err
	}
	sayStrip(d.log, r.spec)
	if !r.ahead.take(d, r) {
		r.staged, err = d.stage(ctx, r.spec, &r.archive)
	}
	if err != nil {
		return err
	}
	if err := d.copyForHooks(ctx, r); err != nil {
		return err
	}
	if !d.keepsArchive(r.spec) { // its room may be needed for the sync
		r.archive.Close()
	}
	return nil
}

// isStillCurrent tells whether dest still is what it was found to be, though
// pre commands have run. They may have put another directory there.
func (d *deployer) isStillCurrent(ctx context.Context, r *run) (bool, error) {
	if len(r.spec.Commands.Pre) == 0 {
		return true, nil
	}
	if err := d.openDest(r); err != nil {
		return false, err
	}
	if err := r.spec.Strategy.CheckLayout(); err != nil {
		return false, err
	}
	return d.current(ctx, r.spec).IsCurrent(), nil
}

// syncTo makes dest equal to the staged tree, and remembers what it is then.
func (d *deployer) syncTo(ctx context.Context, r *run) error {
	r.begun = true
	defer d.screen.Counting("sync", progress.Paths).Close()
	if err := r.spec.Strategy.Sync(ctx, &r.staged); err != nil {
		return err
	}
	r.synced = true
	r.record = d.remember(ctx, r.spec, &r.staged)
	return nil
}

// clearDied removes what runs that died have left.
func (t *tools) clearDied(ctx context.Context) {
	t.journal.ClearDied(journal.Hooks{
		Mark: hooks.MarkName, RemoveContainers: all.Remover(ctx, t.policy.Hooks, t.environ),
	})
}
