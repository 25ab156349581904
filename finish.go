package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"stretcher/internal/cli"
	"stretcher/internal/disk"
	"stretcher/internal/event"
	"stretcher/internal/fetch/cache"
	"stretcher/internal/fetch/delta"
	"stretcher/internal/fleet"
	"stretcher/internal/hooks"
	"stretcher/internal/journal"
	"stretcher/internal/journal/history"
	"stretcher/internal/journal/runlog"
	"stretcher/internal/manifest"
	"stretcher/internal/manifest/past"
	"stretcher/internal/policy"
	"stretcher/internal/process"
	"stretcher/internal/strategy"
	strategies "stretcher/internal/strategy/all"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/redact"
	"stretcher/internal/text/runid"
)

// finish ends every run, whatever happened: it reverts what has failed, says
// how it went, runs the success or failure commands and the hooks after them,
// leaves nothing behind and records the result. The context closing goes on for
// a while when ctx is interrupted. The outcome is one line for people, without secrets.
func (d *deployer) finish(ctx, closing context.Context, r run, err error) (outcome string, _ error) {
	if err == nil && r.idle {
		return d.finishIdle(closing, r), nil
	}
	if isIdle(err) {
		return d.finishUnasked(closing, r, err), nil
	}
	if err != nil {
		d.journal.Fails()
		err = d.revert(ctx, closing, r, err)
		r.failed = err
		if r.isRejected() {
			r, err = d.reject(closing, r)
		}
		outcome = d.say(err)
		d.leave(ctx, closing, r, err)
		d.journal.Foretell(cli.Status(err), cut(outcome, maxErrorRow))
		d.fail(closing, r)
		if s, ok := failure.Interrupted(ctx); ok && !errors.As(err, new(failure.Signal)) {
			err = fmt.Errorf("failure: %w (%w)", s, err)
		}
	} else {
		r.done = true
		d.leave(ctx, closing, r, nil)
		outcome, err = d.succeed(ctx, r)
	}
	if hook := d.runHooks(closing, r, hooks.Finish, r.failed != nil); hook != nil { // whatever they do, the result stands
		d.log.Warn(failure.Sayf("%s: %v", hooks.Finish, hook))
	}
	d.keep(closing, r)
	d.close(r, func() { d.record(r, err) })
	return outcome, err
}

// finishIdle ends a run that had nothing to do. It leaves no row, unless that
// is what an event is known by, or what clears dest of a run that has failed.
func (d *deployer) finishIdle(closing context.Context, r run) (outcome string) {
	outcome = fmt.Sprintf("nothing to do: %q is deployed already (%s)", r.spec.Manifest.Dest, r.spec.Checksum)
	d.log.Info(outcome)
	r.done = true
	d.leave(closing, closing, r, nil)
	d.close(r, func() {
		if d.journal.Run().EventKey == "" && d.journal.IsGood(r.spec.Manifest.Dest) {
			d.journal.Withdraw(history.Good, 0, "")
			d.journal.Prune(d.policy.History.KeepFor(), disk.Gone())
			return
		}
		d.record(r, nil)
	})
	return outcome
}

// isIdle tells whether a run ended because the manifest asks nothing of this host: a
// rollout is repeated for those that had failed, or others go back.
func isIdle(err error) bool {
	return errors.Is(err, fleet.ErrNotAsked) || errors.As(err, new(past.AtRest))
}

// finishUnasked ends such a run.
func (d *deployer) finishUnasked(ctx context.Context, r run, why error) (outcome string) {
	said := why
	if rest, ok := errors.AsType[past.AtRest](why); ok { // without the step
		said = rest
	}
	outcome = d.log.Masked(failure.Sayf("nothing to do: %v", said))
	d.log.Info(outcome)
	if r.done = true; !errors.Is(why, fleet.ErrNotAsked) { // it has said how it went already
		d.leave(ctx, ctx, r, nil)
	}
	d.close(r, func() { d.journal.Finish(history.Skipped, cli.ExitGood, "", true) })
	return outcome
}

// leave tells the group of the run how it went, and gives the slot back.
// It may try for long, but not after an interruption.
func (d *deployer) leave(ctx, closing context.Context, r run, err error) {
	if r.turn == nil { // and there may be no manifest
		return
	}
	telling, stop := extend(ctx, closing, afterSignal/2, nil)
	defer stop()
	result, _, text := outcomeOf(d.log, r.done, err)
	r.turn.Leave(telling, r.done && !r.spec.Rollback.GoesBack(), fleet.Result{
		Name: d.log.Masked(r.spec.Name), Version: d.log.Masked(r.spec.Goal()),
		Result: string(result), Step: d.journal.Step(), Error: text, Started: d.now, Finished: time.Now(),
	})
}

// close leaves nothing of a run behind but its record, which is made while
// nobody else works on dest.
func (d *deployer) close(r run, record func()) {
	_ = r.staged.Close()
	if r.copied != nil {
		_ = r.copied.Close()
	}
	d.removePrivate() // before dest is closed, which is removed where nothing was deployed
	r.spec.close()
	r.archive.Close()
	record()
	if r.unlock == nil {
		return
	}
	if err := r.unlock(); err != nil {
		d.log.Warn(failure.Text(err))
	}
}

// refuse ends a run that the host does not let begin: it is said and recorded,
// and the host's hooks for that are told where it is known which they are. Its
// event may be handed over again, when the host is mended.
func (d *deployer) refuse(ctx context.Context, e *event.Event, err error) (outcome string, _ error) {
	row := d.newRow(d.id, e)
	row.EventKey = ""
	known := d.policy.Holds()
	if !known {
		row.Policy = "" // it could not be read
	}
	d.journal.Begin(row, false)
	r := run{failed: err}
	if known && r.isRejected() {
		r, err = d.reject(ctx, r)
	}
	outcome = d.say(err)
	d.record(r, err)
	return outcome, err
}

// say says an error, and what to do about it. It returns the error without
// secrets.
func (t *tools) say(err error) string {
	t.log.Error(failure.Text(err))
	if hint := cli.Hint(err); hint != "" {
		t.log.Info("hint: " + hint)
	}
	return t.log.Masked(failure.Text(err))
}

// succeed runs the success commands. Their failure changes nothing: what was
// to be deployed is.
func (d *deployer) succeed(ctx context.Context, r run) (outcome string, _ error) {
	outcome = d.log.Masked(r.spec.summary())
	d.journal.Enter("success")
	d.log.Info(outcome)
	d.notify(ctx, r, "success", notifyTimeout)
	if s, ok := failure.Interrupted(ctx); ok {
		return outcome, fmt.Errorf("success: %w", s)
	}
	return outcome, nil
}

// summary is the line of a run that went well.
func (s Spec) summary() string {
	if !s.hasSrc() {
		return fmt.Sprintf("commands of %q done", s.URL)
	}
	return fmt.Sprintf("deployed %s to %q", s.Title(), s.Manifest.Dest)
}

// isRejected tells whether it is the manifest that the host does not accept, and
// not what the manifest names. What the host policy forbids may show only when
// dest is opened, or when a server redirects.
func (r run) isRejected() bool {
	return errors.Is(r.failed, policy.ErrRefused) || !r.heard && cli.Status(r.failed) == cli.ExitRefused
}

// reject is for a manifest that the host does not accept: nothing that it names
// runs from here on. The host's hooks for that do. They are told of the URL and
// of the reason, and of nothing that the manifest says, unless they were told of
// that before: what they have begun by then they can end.
func (d *deployer) reject(ctx context.Context, r run) (run, error) {
	begun := r.spec.Hooks != nil
	r.heard, r.spec.Loaded, r.spec.Hooks = false, d.muted(r.spec), nil
	if d.mayHaveHooks(r.spec) {
		var err error
		if r.spec.Hooks, err = d.findHooks(r.spec); err != nil {
			d.log.Warn(failure.Sayf("no hooks for a refused manifest: %v", err))
		}
	}
	hook := d.runHooks(ctx, r, hooks.AuthFail, true)
	if hook != nil {
		r.failed = fmt.Errorf("%w; then %s: %w", r.failed, hooks.AuthFail, hook)
	}
	if !begun {
		r.spec.Hooks = nil
	}
	return r, r.failed
}

// muted is what the host's hooks are told of a refused manifest: nothing, or,
// where they have been told of it, all but its own hooks.
func (d *deployer) muted(s Spec) *manifest.Loaded {
	loaded := manifest.Loaded{Manifest: &manifest.Manifest{}, URL: d.journal.Run().URL}
	switch {
	case s.Hooks != nil:
		without := *s.Manifest
		without.Hooks = nil
		loaded = *s.Loaded
		loaded.Manifest = &without
	case s.Past != nil:
		loaded.Manifest.Dest = s.Past.Dest
	}
	return &loaded
}

// fail runs the failure commands, once the host has accepted the manifest that
// names them.
func (d *deployer) fail(ctx context.Context, r run) {
	if r.heard {
		d.journal.Aside("failure", func() { d.notify(ctx, r, "failure", notifyTimeout) })
	}
}

// revert makes live again what was good before a run that has failed, where
// the strategy can, and runs what the manifest wants to run again. The error
// says what has become of it.
func (d *deployer) revert(ctx, closing context.Context, r run, why error) error {
	s, ok := r.spec.Strategy.(strategy.Reverter)
	if !ok || r.accepted || !r.begun {
		return why
	}
	failedIn := d.journal.Step()
	d.journal.Aside(history.WayBack, func() {
		began, offset := time.Now(), d.log.Offset()
		to, err := s.Revert(closing, d.log.Masked(failure.Text(why)))
		switch {
		case to != "":
			if err != nil {
				d.log.Warn(failure.Text(err))
			}
			d.log.Warn(fmt.Sprintf("step %q has failed: going back to release %s", failedIn, to))
			d.journal.Describe(func(run *history.Run) { run.Back = to })
			d.journal.Add(history.Step{
				Point: history.WayBack, Dialect: journal.DialectSelf, Name: history.WayBack,
				Started: began, Duration: time.Since(began), Offset: offset,
			})
			why = d.rerun(ctx, closing, r, fmt.Errorf("%w; switched back to release %s", why, to))
		case err != nil:
			why = fmt.Errorf("%w; %w", why, err)
		}
		removed, err := s.Prune(closing)
		d.sayRemoved(removed)
		if err != nil {
			d.log.Warn(failure.Sayf("releases that failed stay: %v", err))
		}
	})
	return why
}

// rerun runs commands again for what is live again: they make the application
// start from it. After an interruption of ctx they have half of the time left:
// what hangs again must leave some to the failure commands.
func (d *deployer) rerun(ctx, closing context.Context, r run, why error) error {
	working, stop := r.turn.Working(closing)
	defer stop()
	half, cancel := extend(ctx, working, afterSignal/2, nil)
	defer cancel()
	for _, point := range r.spec.Rollback.Points() {
		if err := d.runCommands(half, r, point); err != nil {
			return fmt.Errorf("%w, where %w", why, err)
		}
	}
	return why
}

// keep keeps what a good run has deployed, and by which manifest, for a
// rollback. Failing at that fails nothing.
func (d *deployer) keep(ctx context.Context, r run) {
	if d.cached == nil {
		return
	}
	d.cached.Sweep()
	defer d.trim()
	s := r.spec
	good := r.done || r.accepted
	if good && s.hasSrc() && !d.pools() { // it has served
		_ = d.ways().Archives().Drop(s.Src, s.Checksum)
	}
	if !good || len(s.Raw) == 0 || !s.hasSrc() || s.keeps() == strategy.Nothing || context.Cause(ctx) != nil {
		return
	}
	if s.keeps() == strategy.Itself && (!r.synced || s.isSwitch()) {
		return // a deployment that was there has its own
	}
	kept := cache.Kept{Entry: d.entryOf(s), Manifest: s.Raw, Manifests: keepsManifest(s)}
	if d.keepsArchive(s) {
		kept.Archives, kept.Archive = d.policy.Cache.KeepArchives(), d.whole(r.archive)
	}
	d.cached.Keep(ctx, kept)
}

// trim bounds what is kept of all dests, and then what is kept beside that.
func (t *tools) trim() {
	t.cached.TrimAll(cache.Bounds{
		Gone: disk.Gone(), Before: t.now.Add(-t.policy.History.KeepFor()), Size: t.policy.Cache.Bound(),
	})
}

// whole is all of an archive, for who keeps it; nil where it is not here.
func (t *tools) whole(a Archive) *cache.Archive {
	all, err := a.Kept()
	switch {
	case errors.Is(err, delta.ErrIncomplete):
		t.log.Info("a rollback to this run will have to fetch: too much of the archive is not here")
	case err != nil:
		t.log.Warn(failure.Sayf("a rollback to this run will have to fetch: %v", err))
	}
	return all
}

// entryOf is what the cache is told of a deployment.
func (t *tools) entryOf(s Spec) cache.Entry {
	e := cache.Entry{
		Run: t.id, Dest: s.Manifest.Dest, Strategy: s.SyncStrategy, ManifestURL: s.URL, Base: s.Base,
		Name: s.Name, Version: s.Version, Checksum: s.Checksum.String(), Fingerprint: s.Fingerprint(), Signature: s.Signature,
	}
	if s.Past != nil {
		e.Origin = s.Past.Kept.Seq
	}
	return e
}

// keepsManifest tells which manifests stay: those of all releases that are
// there, else the newest.
func keepsManifest(s Spec) func(cache.Entry) bool {
	if s.keeps() != strategy.Itself {
		return cache.Newest()
	}
	there := map[string]bool{}
	found, err := strategies.List().Deployments(s.Dest)
	for _, d := range found.All {
		there[d.Run] = true
	}
	return func(e cache.Entry) bool { return err != nil || there[e.Run] }
}

// maxErrorRow bounds the error of a row of the history, in bytes.
const maxErrorRow = 16 << 10

// record writes the result into the history.
func (t *tools) record(r run, err error) {
	result, exit, text := outcomeOf(t.log, r.done, err)
	if r.done {
		if err := t.journal.KeepTree(r.record, r.spec.Fingerprint()); err != nil {
			t.log.Warn(failure.Sayf("the next run will deploy in full: %v", err))
		}
	}
	if !r.done {
		t.journal.DropTree()
	}
	if errors.As(err, new(undeployed)) { // a directory that is no dest must not look like one
		t.journal.Withdraw(result, exit, text)
		return
	}
	t.journal.Finish(result, exit, text, t.usesUp(err))
	t.journal.Prune(t.policy.History.KeepFor(), disk.Gone())
}

// outcomeOf is what is remembered of how a run went: what to call it, its exit status
// and its error.
func outcomeOf(log *runlog.Log, done bool, err error) (result history.Result, exit int, text string) {
	if err != nil {
		text = cut(log.Masked(failure.Text(err)), maxErrorRow)
	}
	return resultOf(done, err), cli.Status(err), text
}

// usesUp tells whether an event is handled by a run that ended with err. One that
// may end otherwise later may be handed over again: another run held the lock, or
// something was not there yet. Where keys must vouch for manifests, only one that
// they vouch for has said what the event is good for: manifest and signature may be
// replaced one after the other, and a server may lie once.
func (t *tools) usesUp(err error) bool {
	if _, interrupted := errors.AsType[failure.Signal](err); interrupted {
		return true
	}
	if t.keys != nil && (errors.As(err, new(*manifest.Unfetched)) || errors.As(err, new(*manifest.Unvouched))) {
		return false
	}
	return cli.Status(err) != cli.ExitBusy && !failure.IsNotYet(err)
}

// skip notes that events give way to a newer one.
func (t *tools) skip(older []event.Event) {
	for _, old := range older {
		if t.journal.Skip(t.newRow(runid.New(), &old)) {
			t.log.Info(fmt.Sprintf("skipped %s, which is older: %q", old, redact.URL(old.URL)))
		}
	}
}

// kind is what a run is, to those who watch many of them.
func (t *tools) kind(m journal.Mode) string {
	switch {
	case m == journal.Fetching:
		return "fetch"
	case t.journal.Run().Event == event.Rollback:
		return event.Rollback
	}
	return "deploy"
}

// newRow is a run's row in the history as far as it is known at the start.
func (t *tools) newRow(id string, e *event.Event) history.Run {
	return history.Run{
		ID: id, Started: t.now, Deployment: history.Deployment{URL: redact.URL(e.URL)},
		Trust: history.Trust{Policy: t.policy.String()},
		Event: e.String(), EventKey: e.Key(), User: process.Starter(),
		Process: history.Process{PID: os.Getpid(), ProcStart: process.Start(os.Getpid())},
	}
}
