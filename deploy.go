package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"stretcher/internal/disk"
	"stretcher/internal/event"
	"stretcher/internal/fetch/cache"
	"stretcher/internal/fetch/store"
	"stretcher/internal/hooks"
	"stretcher/internal/hooks/all"
	"stretcher/internal/hooks/porter"
	"stretcher/internal/journal"
	"stretcher/internal/journal/history"
	"stretcher/internal/journal/runlog"
	"stretcher/internal/manifest"
	"stretcher/internal/policy"
	"stretcher/internal/strategy"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/progress"
	"stretcher/internal/text/redact"
)

// Options are what flags say about a deployment.
type Options struct {
	MaxBandwidth int64         // bytes per second for archives; 0 = no limit
	Timeout      time.Duration // for each fetch; 0 = none
	Retry        int           // attempts after one that failed
	RetryWait    time.Duration // before the first of them
	RandomDelay  time.Duration // upper bound of the delay at start
	RsyncVerbose string        // rsync's verbosity option
	LockWait     time.Duration // for another run on the same dest; 0 = none
	Force        bool          // deploy in full, replayed or current as it may be
}

// run is one execution: what it works with and how far it has come.
type run struct {
	id      string // UUIDv7
	opts    Options
	policy  *policy.Policy
	log     *runlog.Log
	rec     *journal.Journal
	screen  *progress.Screen
	store   *store.Set
	environ []string
	lookup  manifest.Lookup
	tmpdir  string // TMPDIR, or ""
	stdout  io.Writer
	stderr  io.Writer
	again   <-chan struct{} // closed by the second signal

	stateError error // why there is no state directory, or nil

	event       *event.Event
	back        *rollback // nil for a deployment
	manifest    *manifest.Manifest
	raw         []byte            // the manifest's text as fetched
	text        []byte            // the same, templates filled in
	manifestURL string            // redacted
	src         string            // redacted; the mirror in use
	archive     *os.File          // that was verified; nil = not here
	fetched     bool              // by this run
	dest        *disk.Dest        // as it was opened; nil before
	strategy    strategy.Strategy // nil before dest was opened
	staged      strategy.Staged
	kept        *cache.Store // what earlier runs have deployed; nil = nothing is kept
	current     bool         // dest is what it shall be: nothing is fetched or synced
	begun       bool         // a sync was
	synced      bool         // dest has become what it shall be
	accepted    bool         // what is live has passed all that judges it
	hooks       *all.Set     // nil = none, or none yet
	recorded    string       // the file that says how the sync left dest; "" = none
	unlock      func() error
	temp        []workDir // to remove at the end
	made        int       // how many there were
	failed      error     // why the deployment failed
	outcome     string    // what is to be said of the run in one line, without secrets
	done        bool      // it succeeded
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

// deploy is the whole process, from the event to its result.
func (r *run) deploy(ctx context.Context) (err error) {
	late, cancel := outlive(ctx, context.WithoutCancel(ctx), afterSignal, r.again)
	defer cancel()
	defer func() {
		if p := recover(); p != nil { // or the run would end as a good one
			err = fmt.Errorf("%s: internal error: %v at %s", r.rec.Step(), p, debug.Stack())
		}
		err = r.finish(ctx, late, err)
	}()
	r.begin()
	for _, p := range []part{
		{needed: r.isDeployment, after: hooks.Init, steps: []step{
			{"delay", r.isDelayed, r.delay},
			{"manifest", always, r.readManifest},
			{"lock", r.hasDest, r.lock},
			{"hooks", r.hasHooks, r.findHooks},
		}},
		{needed: r.isRollback, after: hooks.Init, steps: []step{
			{"lock", always, r.lock},
			{"manifest", always, r.recall},
			{"hooks", r.hasHooks, r.findHooks},
		}},
		{before: hooks.PreFetch, after: hooks.PostExtract, steps: []step{
			{"fetch", r.hasSrc, r.fetch},
			{string(hooks.PreExtract), r.hasFoundHooks, r.hooksAt(hooks.PreExtract)},
			{"pre", r.hasCommands("pre"), r.commands("pre")},
			{"extract", r.hasSrc, r.stage},
		}},
		{before: hooks.PreSync, after: hooks.PostSync, steps: []step{
			{"sync", r.isStaged, r.sync},
		}},
		{after: hooks.PostLaunch, steps: []step{
			{"post", r.hasCommands("post"), r.commands("post")},
			{"verify", r.hasCommands("verify"), r.commands("verify")},
		}},
		{needed: r.hasReverter, steps: []step{
			{"release", always, r.acceptLive},
		}},
		{needed: r.hasOld, before: hooks.PrePrune, after: hooks.PostPrune, steps: []step{
			{"prune", always, r.prune},
		}},
	} {
		if p.needed != nil && !p.needed() {
			continue
		}
		if err := r.pass(ctx, late, p); err != nil {
			return err
		}
	}
	return nil
}

// pass takes the steps of a part, with the hooks around them. Those after a
// part that was interrupted have the time that failure commands have.
func (r *run) pass(ctx, late context.Context, p part) error {
	at := func(point hooks.Point, stepFailed bool) error {
		c := ctx
		if stepFailed {
			c = late
		}
		if err := r.runHooks(c, point, stepFailed); err != nil {
			return fmt.Errorf("%s: %w", point, err)
		}
		return nil
	}
	return porter.Around(p.before, p.after, at, func() error {
		for _, s := range p.steps {
			if !s.needed() {
				continue
			}
			if err := r.take(ctx, s); err != nil {
				return err
			}
		}
		return nil
	})
}

func always() bool { return true }

func (r *run) isDeployment() bool { return r.back == nil }
func (r *run) isRollback() bool   { return r.back != nil }

// hasDest tells whether there is something to lock. Without src, dest has not
// been checked and v1.x's users may have written anything there.
func (r *run) hasDest() bool { return filepath.IsAbs(r.manifest.Dest) }

// hasSrc tells whether there is something to deploy. A rollback always has,
// if only a release whose manifest is not known.
func (r *run) hasSrc() bool   { return len(r.manifest.Src) > 0 || r.isRollback() }
func (r *run) isStaged() bool { return r.staged.Dir != nil }

func (r *run) hasCommands(point string) func() bool {
	return func() bool { return len(r.manifest.Commands.At(point)) > 0 }
}

func (r *run) commands(point string) func(context.Context) error {
	return func(ctx context.Context) error { return r.runCommands(ctx, point, r.manifest.Commands.At(point)) }
}

// take takes one step. Nothing is begun once ctx has ended. The error names
// the step.
func (r *run) take(ctx context.Context, s step) error {
	r.rec.Enter(s.name)
	began, offset := time.Now(), r.log.Offset()
	err := context.Cause(ctx)
	if err == nil {
		err = s.do(ctx)
	}
	err = asInterrupted(ctx, err)
	if !manifest.IsPoint(s.name) && s.name != string(hooks.PreExtract) { // commands and hooks have rows of their own
		row := history.Step{Point: s.name, Dialect: journal.DialectSelf, Name: s.name, Started: began, Duration: time.Since(began), Offset: offset}
		if err != nil {
			row.Exit = 1
		}
		r.rec.Add(row)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	return nil
}

// asInterrupted makes the interruption that ended ctx the reason for what a
// step has made of it.
func asInterrupted(ctx context.Context, err error) error {
	if sig, ok := failure.Interrupted(ctx); ok && err != nil && !errors.As(err, new(failure.Signal)) {
		return fmt.Errorf("%w (%s)", sig, failure.Text(err))
	}
	return err
}

// begin says what is going to happen.
func (r *run) begin() {
	for _, old := range r.event.Skipped {
		if r.rec.Skip(r.newRow(newRunID(), &old)) {
			r.log.Info(fmt.Sprintf("skipped %s, which is older: %q", old, redact.URL(old.URL)))
		}
	}
	what := fmt.Sprintf("manifest %q from %s", r.manifestURL, r.event)
	if r.back != nil {
		what = fmt.Sprintf("rollback of %q", r.back.dest)
	}
	r.log.Info(fmt.Sprintf("stretcher %s: run %s: %s", version(), r.id, what))
}

// firstStep is the first step of a deployment.
func (r *run) firstStep() string {
	if r.isDelayed() {
		return "delay"
	}
	return "manifest"
}

// isDelayed tells whether hosts of a fleet shall not all ask at once.
func (r *run) isDelayed() bool { return r.opts.RandomDelay > 0 }

// delay sleeps a random time below --random-delay.
func (r *run) delay(ctx context.Context) error {
	d := rand.N(r.opts.RandomDelay)
	r.log.Info(fmt.Sprintf("waiting %s of at most %s", d.Round(time.Millisecond), r.opts.RandomDelay))
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// lock takes the lock on dest; finish gives it back.
func (r *run) lock(ctx context.Context) (err error) {
	if r.unlock, err = r.rec.Lock(ctx, r.manifest.Dest, r.opts.LockWait); err != nil {
		return err
	}
	r.rec.ClearDied(r.leftHooks(ctx)) // the one that was waited for may have been killed
	return nil
}

// fetch brings the archive here, unless dest has its content already.
func (r *run) fetch(ctx context.Context) (err error) {
	if err := r.chooseStrategy(); err != nil {
		return err
	}
	if err := r.strategy.CheckLayout(); err != nil {
		return err
	}
	if r.current = r.canBeCurrent() && r.isCurrent(ctx); r.current {
		r.log.Info(fmt.Sprintf("%q is deployed already: nothing is fetched or synced (%s)", r.manifest.Dest, r.manifest.Checksum))
		return nil
	}
	return r.bring(ctx)
}

// canBeCurrent is false for a rollback to a release: to switch is all there is
// to do.
func (r *run) canBeCurrent() bool { return !r.isSwitch() }

// bring gets the archive from where it is.
func (r *run) bring(ctx context.Context) error {
	if r.isRollback() {
		return r.fetchKept(ctx)
	}
	return r.fetchVerified(ctx)
}

// fetchVerified fetches the archive. When it is not what the manifest says,
// the hooks for that run.
func (r *run) fetchVerified(ctx context.Context) (err error) {
	err = r.fetchArchive(ctx)
	r.fetched = err == nil
	if errors.Is(err, failure.ErrRefused) {
		if hook := r.runHooks(ctx, hooks.AuthFail, true); hook != nil {
			return fmt.Errorf("%w; then %s: %w", err, hooks.AuthFail, hook)
		}
	}
	return err
}
