// Command stretcher deploys what a manifest describes: it fetches an archive,
// verifies it, runs the user's commands and syncs the result to a directory.
// A Consul watch, a Serf agent, ssh or a person starts it once per deployment.
//
// Output: log lines and the progress bar go to stderr, through one
// progress.Screen; stdout carries what a command was asked for and what
// success and failure commands print, and nothing else. An error is said
// once: by the run's log when there is a run, else by internal/cli.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"stretcher/internal/cli"
	"stretcher/internal/event"
	"stretcher/internal/fetch/cache"
	"stretcher/internal/fetch/publish"
	"stretcher/internal/fleet/consul"
	"stretcher/internal/journal"
	"stretcher/internal/journal/history"
	"stretcher/internal/journal/runlog"
	"stretcher/internal/manifest"
	"stretcher/internal/manifest/past"
	"stretcher/internal/policy"
	"stretcher/internal/process"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
	"stretcher/internal/text/redact"
)

// versionString is set by the linker.
var versionString = ""

// version is what this binary calls itself.
func version() string {
	if versionString != "" {
		return versionString
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

func main() {
	if os.Getenv("GOGC") == "" {
		time.AfterFunc(gcAfter, keepLess)
	}
	os.Exit(realMain())
}

// gcPercent trades some processor time for memory: a run of 100 000 files
// shall leave what else is on the machine alone (docs/performance.md). A heap of
// gcLeast bytes is small enough, garbage and all. Before gcAfter there is nothing
// to be gained, and to start would take a tenth longer.
const (
	gcPercent = 40
	gcLeast   = 30 << 20
	gcAfter   = 50 * time.Millisecond
)

// keepLess tells the collector how much garbage to keep, now and whenever it has
// collected some.
func keepLess() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	debug.SetGCPercent(gcPercentOf(live[0].Value.Uint64()))
	runtime.SetFinalizer(new([64]byte), func(*[64]byte) { keepLess() })
}

// gcPercentOf is how much garbage to keep beside so many bytes that are in use, in
// percent of these.
func gcPercentOf(live uint64) int {
	const most = 1000 // of hardly anything, nothing is lost
	live = max(live, gcLeast*100/(most+100))
	if live >= gcLeast {
		return gcPercent
	}
	return max(gcPercent, int((gcLeast-live)*100/live))
}

// realMain is main with an exit status, so that deferred calls run.
func realMain() int {
	ctx, second, stop := cli.WithSignals(context.Background())
	defer stop()
	p := cli.Process{Args: os.Args, Environ: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	return cli.Main(ctx, p, actions(second))
}

// actions are what the command line can ask for.
func actions(second <-chan struct{}) cli.Actions {
	return cli.Actions{
		Version: version(),
		Deploying: cli.Deploying{
			Deploy: func(ctx context.Context, o cli.DeployOptions) (string, error) {
				return runDeploy(ctx, second, o)
			},
			Rollback: func(ctx context.Context, o cli.RollbackOptions) (history.Run, error) {
				return runRollback(ctx, second, o)
			},
			Fetch: func(ctx context.Context, o cli.DeployOptions) error {
				return runFetch(ctx, second, o)
			},
		},
		Looking: cli.Looking{
			Plan: runPlan, Check: runCheck, Render: runRender, Verify: runVerify,
			Schema: func() ([]byte, error) { return manifest.Schema(manifestRules()) },
		},
		Publishing: cli.Publishing{Pack: runPack, Unfit: unfit, MaxManifest: manifest.MaxSize},
		Hooking: cli.Hooking{
			ListHooks: runListHooks,
			RunHooks: func(ctx context.Context, o cli.RunHooksOptions) (int, error) {
				return runHooksByName(ctx, second, o)
			},
			InstallHooks: func(ctx context.Context, o cli.InstallHooksOptions) error {
				return runInstallHooks(ctx, second, o)
			},
		},
		Fleeting: cli.Fleeting{
			Rollouts: func() (cli.Rollouts, error) { return consul.Open(consul.Config{}) },
			Identify: runIdentify,
		},
	}
}

// runDeploy reads the event and deploys. The newest event whose manifest is
// accepted is what counts: as long as none is, it goes on to the one before.
// The result is that of the newest. The log goes to stderr and what success
// and failure commands print to stdout. The outcome is one line for people,
// without secrets; "" = nobody has said the error yet.
func runDeploy(ctx context.Context, second <-chan struct{}, o cli.DeployOptions) (outcome string, err error) {
	e, bad := readEvent(ctx, o)
	if errors.Is(bad, failure.ErrUsage) {
		return "", bad
	}
	if e == nil && bad == nil {
		log, closeLog := o.Open(o.Screen())
		defer closeLog()
		log.Info("nothing to do: no event")
		log.End(history.Run{Result: history.Skipped}.Attributes()...)
		return "nothing to do: no event", nil
	}
	if e == nil { // there is something to be said of it all the same
		e = &event.Event{Source: event.Malformed}
	}
	e.Problem = errors.Join(e.Problem, bad)
	next, outcome, err := deployEvent(ctx, second, o, turn{event: e})
	for next.event != nil {
		o.RandomDelay = 0 // it is over
		next, _, _ = deployEvent(ctx, second, o, next)
	}
	return outcome, err
}

// readEvent reads what the program was called with.
func readEvent(ctx context.Context, o cli.DeployOptions) (*event.Event, error) {
	return event.Read(ctx, event.Input{
		Args: o.URLs, Stdin: o.Stdin, Terminal: o.Terminal, Getenv: os.Getenv, Agent: process.SerfAgent,
	})
}

// runFetch fetches what the newest event's manifest deploys, for a deployment that
// comes later. It is no deployment: no row of the history and no event is used up
// by it. The error has been said, unless it is failure.ErrUsage.
func runFetch(ctx context.Context, second <-chan struct{}, o cli.DeployOptions) error {
	e, err := readEvent(ctx, o)
	if errors.Is(err, failure.ErrUsage) {
		return err
	}
	d, done, unfit := newDeployer(ctx, o.Settings, journal.Fetching, second)
	defer done()
	if err = cmp.Or(unfit, err); err == nil && e == nil {
		d.log.Info("nothing to do: no event")
		d.journal.Conclude(history.Skipped, cli.ExitGood, "")
		return nil
	}
	if err == nil {
		err = e.Problem
	}
	if err == nil {
		d.journal.Describe(func(row *history.Run) { *row = d.newRow(d.id, e) })
		d.log.Info(fmt.Sprintf("stretcher %s: manifest %q from %s, to be fetched", version(), redact.URL(e.URL), e))
		d.log.Info(fmt.Sprintf("host policy: %s", d.policy))
		err = failure.AsInterrupted(ctx, d.prefetch(ctx, e.URL))
	}
	if err != nil {
		d.say(err)
	}
	d.journal.Conclude(outcomeOf(d.log, err == nil, err))
	return err
}

// prefetch brings what a deployment of a manifest will want into the pool. What
// refuses the deployment refuses this, as far as it can be told without dest.
func (d *deployer) prefetch(ctx context.Context, url string) error {
	if d.cached.Pool() == nil {
		return failure.Hinted("it needs a state directory that can be written, and a host policy whose cache.size is not 0",
			errors.New("nothing that is fetched can be kept here"))
	}
	var s Spec
	load := func(ctx context.Context) (err error) {
		if s, err = d.load(ctx, url); err == nil {
			err = d.compareNow(s)
		}
		return err
	}
	for _, next := range []step{
		{"delay", d.isDelayed, d.delay},
		{"manifest", always, load},
		{"fetch", func() bool { return s.hasSrc() }, func(ctx context.Context) error { return d.toPool(ctx, s) }},
	} {
		if !next.needed() {
			continue
		}
		if err := d.take(ctx, next); err != nil {
			return s.byLimit(d.policy, err)
		}
	}
	if !s.hasSrc() {
		d.log.Info(fmt.Sprintf("%q has no src: nothing is to be fetched", s.URL))
		return nil
	}
	if err := d.cached.TrimPool(d.policy.Cache.Bound() >= 0); err != nil {
		return err
	}
	if !d.ways().Archives().Has(s.Src, s.Checksum) {
		return failure.Hinted("what is kept for rollbacks counts as well: cache.archives in the host policy",
			fmt.Errorf("keep archive %s: cache.size has no room for it", s.Checksum))
	}
	d.log.Info(fmt.Sprintf("%s is in the cache: its deployment makes no request for src", s.Title()))
	return nil
}

// toPool brings an archive into the pool.
func (d *deployer) toPool(ctx context.Context, s Spec) error {
	opened, err := d.open(s, false, func() run { return run{} })
	defer opened.close()
	if err == nil { // what dest holds need not be fetched
		s = opened
	}
	return d.ways().Pooled(ctx, d.wanted(s))
}

// turn is an event that is to be deployed.
type turn struct {
	event *event.Event // nil = none is
	looks *event.Looks // of a newer one that was accepted; nil = none was
}

// deployEvent is a run for the newest event that nobody has handled. Next is the
// event whose turn it is then: the one before, when its manifest was not accepted;
// else one before that must not give way to it.
func deployEvent(ctx context.Context, second <-chan struct{}, o cli.DeployOptions, of turn) (
	next turn, outcome string, err error,
) {
	d, done, err := newDeployer(ctx, o.Settings, journal.Remembered, second)
	defer done()
	if err != nil {
		outcome, err = d.refuse(ctx, of.event, err)
		return turn{}, outcome, err
	}
	e, c := d.claim(of)
	if c.Taken != "" {
		return d.unseen(ctx, e, cmp.Or(of.looks, event.NewLooks("")), c.Heard || of.looks != nil), c.Taken, nil
	}
	r := &run{}
	if e.Problem != nil {
		outcome, err = d.say(e.Problem), e.Problem
		d.record(run{failed: err}, err)
	} else {
		d.clearDied(ctx)
		outcome, err = d.deploy(ctx, e, r)
	}
	if of.looks != nil && cli.Status(err) == cli.ExitBusy { // as others of its name would be
		return turn{}, outcome, err
	}
	if of.looks != nil || r.admitted {
		return d.unseen(ctx, e, cmp.Or(of.looks, event.NewLooks(e.URL)), r.heard || of.looks != nil), outcome, err
	}
	if next.event = e.Previous(); next.event == nil || context.Cause(ctx) != nil {
		return turn{}, outcome, err
	}
	d.log.Info(fmt.Sprintf("%s is no deployment: the event before it is %s", e, next.event))
	return next, outcome, err
}

// claim begins the run for an event, or for the newest one before it that
// nobody has handled, as long as none has come to a manifest that was accepted.
// When there is none it says so, and tells which event stands in the way.
func (t *tools) claim(of turn) (e *event.Event, first journal.Claim) {
	for e = of.event; e != nil; e = e.Previous() {
		row := t.newRow(t.id, e)
		row.Step = t.firstStep()
		c := t.journal.Begin(row, t.settings.Force)
		if c.Taken == "" {
			return e, c
		}
		first = journal.Claim{Taken: cmp.Or(first.Taken, c.Taken), Heard: c.Heard}
		if !c.Dropped || of.looks != nil {
			break
		}
	}
	t.log.Info(first.Taken)
	return e, first
}

// unseen is the turn of the newest of the events before e that must not give way to
// it, see event.Looks. Nobody is asked unless the manifest of e, or of an event after
// it, was heard.
func (d *deployer) unseen(ctx context.Context, e *event.Event, l *event.Looks, heard bool) turn {
	if d.keys == nil || !heard || e == nil {
		return turn{}
	}
	next := l.Next(ctx, e, event.Host{
		Taken: d.journal.IsTaken, News: d.isNews,
		Spent: func(err error) (usesUp, tells bool) { return d.usesUp(err), !errors.Is(err, policy.ErrRefused) },
		Skip:  func(e event.Event) { d.skip([]event.Event{e}) },
		Info:  func(text string) { d.log.Info(text) },
		Warn:  func(text string) { d.log.Warn(text) },
	})
	if next == nil {
		return turn{}
	}
	return turn{next, l}
}

// firstStep is the first step of a deployment.
func (t *tools) firstStep() string {
	if t.isDelayed() {
		return "delay"
	}
	return "manifest"
}

// openJournal opens what the machine remembers. The error says why it will
// remember nothing.
func (t *tools) openJournal(ctx context.Context, m journal.Mode) (err error) {
	if m.IsRun() {
		t.log.Logger = t.log.With("run", t.id)
	}
	if err = t.settings.StateError; err != nil {
		t.journal = journal.New(t.log)
		return err
	}
	if t.journal, err = journal.OpenAs(ctx, m, t.settings.StateDir, t.log); err != nil || m == journal.Noted {
		return err
	}
	if m == journal.Unnoted {
		t.cached, _ = cache.OpenReading(t.journal.State().Cache()) // what is not there helps nobody
		return nil
	}
	kept, err := cache.Open(t.journal.State().Cache())
	if err != nil {
		t.log.Warn(failure.Sayf("nothing is kept for a rollback: %v", err))
		return nil
	}
	kept.Warn = func(err error) { t.log.Warn(failure.Text(err)) }
	t.cached = kept
	return nil
}

// askHost loads the host policy and the keys that it names, and warns when
// nothing will be remembered.
func (t *tools) askHost(stateError error, m journal.Mode) error {
	if m.IsRun() {
		t.journal.Traced(t.id, t.now, version())
	}
	host, err := policy.Load(t.settings.Config, t.settings.ConfigGiven)
	if err != nil {
		t.policy = &policy.Policy{}
		return err
	}
	t.policy = host
	if err := t.readKeys(); err != nil {
		return err
	}
	if m != journal.Unnoted && host.Holds() { // who only looks deploys nothing
		if err := host.User(process.Caller()); err != nil {
			return err
		}
	}
	t.fetcher.Transfer.LeastRate = host.Limits.LeastRate()
	switch {
	case stateError == nil || m == journal.Unnoted:
	case host.RequireState:
		err := failure.Refused("%w: the host policy requires it", stateError)
		return host.Said(err, "require_state", "trust.keys")
	case m == journal.Remembered:
		t.log.Warn(failure.Sayf("no history of this run: %v", stateError))
	default:
		t.log.Warn(failure.Text(stateError))
	}
	t.journal.AuditTo(string(host.History.JSON))
	t.log.Limit(cmp.Or(int64(host.History.Log), runlog.DefaultLimit))
	if t.cached != nil {
		t.cached.UsePool(t.journal.State().Archives(), t.policy.Cache.Pool())
	}
	return t.choose(host.RunAs(), m)
}

// announce says what is going to happen.
func (t *tools) announce(e *event.Event, back *past.Past) {
	what := ""
	if back != nil {
		what = fmt.Sprintf("rollback of %q", back.Dest)
	} else {
		what = fmt.Sprintf("manifest %q from %s", redact.URL(e.URL), e)
	}
	t.log.Info(fmt.Sprintf("stretcher %s: run %s: %s", version(), t.id, what))
	t.log.Info(fmt.Sprintf("host policy: %s", t.policy))
	if t.user != nil {
		t.log.Info(fmt.Sprintf("commands and hooks of manifests run as %q", t.user.Name))
	}
}

// userAgent is v1.x's form.
func userAgent() string { return "Stretcher/" + version() }

// runPack publishes an archive. Servers get what the host policy has for them.
func runPack(ctx context.Context, o cli.PackOptions) (*publish.Result, error) {
	d, done, err := newDeployer(ctx, o.Settings, journal.Unnoted, nil)
	defer done()
	if err != nil {
		return nil, err
	}
	p := o.Publish
	p.Screen, p.Store = d.screen, d.fetcher.Store
	p.Say = func(text string) { fmt.Fprintln(p.Screen, "stretcher: "+printable.Line(d.log.Masked(text))) }
	publishing := publish.Publish
	if o.Back != nil {
		publishing = publish.Manifest
		if o.Template, err = manifest.GoingBack(o.Template, manifest.Back(*o.Back)); err != nil {
			return nil, err
		}
	}
	draft, err := manifest.ParseDraft(o.Template, o.TemplateFile, manifestRules())
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	draft.Idle = func(text string) { p.Say("warning: " + text) }
	p.Draft = draft
	res, err := publishing(ctx, p)
	if err != nil {
		return nil, d.masked(err)
	}
	return res, nil
}
