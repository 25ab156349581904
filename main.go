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
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"github.com/google/uuid"

	"stretcher/internal/cli"
	"stretcher/internal/event"
	"stretcher/internal/fetch/cache"
	"stretcher/internal/fetch/store"
	"stretcher/internal/journal"
	"stretcher/internal/journal/history"
	"stretcher/internal/journal/runlog"
	"stretcher/internal/manifest"
	"stretcher/internal/policy"
	"stretcher/internal/process"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/progress"
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
		time.AfterFunc(gcAfter, func() { debug.SetGCPercent(gcPercent) })
	}
	os.Exit(realMain())
}

// gcPercent trades some processor time for memory: a run of 100 000 files
// shall leave what else is on the machine alone (docs/performance.md). Before
// gcAfter there is nothing to be gained, and to start would take a tenth longer.
const (
	gcPercent = 40
	gcAfter   = 50 * time.Millisecond
)

// realMain is main with an exit status, so that deferred calls run.
func realMain() int {
	ctx, again, stop := withSignals(context.Background())
	defer stop()
	p := cli.Process{Args: os.Args, Environ: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	return cli.Main(ctx, p, actions(again))
}

// actions are what the command line can ask for.
func actions(again <-chan struct{}) cli.Actions {
	return cli.Actions{
		Version: version(),
		Deploy: func(ctx context.Context, o cli.DeployOptions) (string, error) {
			return runDeploy(ctx, again, o)
		},
		Rollback: func(ctx context.Context, o cli.RollbackOptions) (history.Run, error) {
			return runRollback(ctx, again, o)
		},
		Plan:      runPlan,
		Check:     runCheck,
		ListHooks: runListHooks,
		RunHooks: func(ctx context.Context, o cli.RunHooksOptions) (int, error) {
			return runHooksByName(ctx, again, o)
		},
		InstallHooks: func(ctx context.Context, o cli.InstallHooksOptions) error {
			return runInstallHooks(ctx, again, o)
		},
	}
}

// impatience is how long after the first signal a second one counts: a
// service manager signals a whole group, and the watch in it hands its own
// signal on.
const impatience = 2 * time.Second

// withSignals returns a context that SIGINT, SIGTERM or SIGHUP ends, with the
// signal as its cause, and a channel that a second one closes. SIGPIPE is
// caught and dropped: a reader of our output that goes away, as a lost ssh
// session does, must not end a deployment without its failure commands.
func withSignals(parent context.Context) (context.Context, <-chan struct{}, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	again := make(chan struct{})
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE)
	go func() {
		cancel(failure.Signal{Signal: <-signals})
		first := time.Now()
		for range signals {
			if time.Since(first) > impatience {
				close(again)
				return
			}
		}
	}()
	return ctx, again, func() { signal.Stop(signals); signal.Stop(pipe); cancel(nil) }
}

// runDeploy reads the event and deploys. The log goes to stderr and what
// success and failure commands print to stdout. The outcome is one line for
// people, without secrets; "" = nobody has said the error yet.
func runDeploy(ctx context.Context, again <-chan struct{}, o cli.DeployOptions) (outcome string, err error) {
	e, err := event.Read(ctx, event.Input{Args: o.URLs, Stdin: o.Stdin, Getenv: os.Getenv, Terminal: o.Terminal})
	if errors.Is(err, failure.ErrUsage) {
		return "", err
	}
	screen := progress.New(o.Stderr, o.Bar)
	log, closeLog := o.Open(screen)
	defer closeLog()
	if e == nil && err == nil {
		log.Info("nothing to do: no event")
		return "nothing to do: no event", nil
	}
	r := newRun(ctx, o.Settings, e, log, screen)
	defer r.close()
	r.again = again
	if err == nil {
		err = r.prepare(o.Host)
	}
	if err != nil {
		return r.refuse(err)
	}
	row := r.newRow(r.id, e)
	row.Step = r.firstStep()
	if by := r.rec.Begin(row, o.Force); by != "" {
		return by, nil
	}
	r.rec.ClearDied(r.leftHooks(ctx))
	err = r.deploy(ctx)
	return r.outcome, err
}

// newRun puts together what a run works with. Without an event (nil) there is
// something to be said of it all the same.
func newRun(ctx context.Context, s cli.Settings, e *event.Event, log *runlog.Log, screen *progress.Screen) *run {
	if e == nil {
		e = &event.Event{Source: event.Malformed}
	}
	r := &run{id: newRunID(), event: e, opts: optionsOf(s), policy: &policy.Policy{}, log: log, screen: screen,
		manifestURL: redact.URL(e.URL), tmpdir: tmpdir(), stdout: s.Stdout, stderr: screen, store: store.NewSet(store.Options{UserAgent: userAgent()})}
	r.environ, r.lookup = environOf()
	log.Logger = log.With("run", r.id)
	r.rec = journal.New(log)
	err := s.StateError
	if err == nil {
		r.rec, err = journal.Open(ctx, s.StateDir, log)
	}
	r.stateError = err
	if dir := r.rec.State(); dir != nil {
		if r.kept, err = cache.Open(dir.Cache()); err != nil {
			log.Warn(failure.Sayf("nothing is kept for a rollback: %v", err))
		} else {
			r.kept.Warn = func(err error) { log.Warn(failure.Text(err)) }
		}
	}
	return r
}

// optionsOf are the options of a run as the command line has them.
func optionsOf(s cli.Settings) Options {
	return Options{
		MaxBandwidth: s.MaxBandwidth, Timeout: s.Timeout, Retry: s.Retry, RetryWait: s.RetryWait,
		RandomDelay: s.RandomDelay, RsyncVerbose: s.RsyncVerbose, LockWait: s.LockWait, Force: s.Force,
	}
}

// prepare asks the host policy, and warns when nothing will be remembered.
func (r *run) prepare(host cli.Host) (err error) {
	if r.policy, err = policy.Load(host.Config, host.ConfigGiven); err != nil {
		r.policy = &policy.Policy{}
		return err
	}
	switch {
	case r.stateError != nil && r.policy.RequireState:
		return failure.Refused("%w: the host policy requires it", r.stateError)
	case r.stateError != nil:
		r.log.Warn(failure.Sayf("no history of this run: %v", r.stateError))
	}
	r.rec.AuditTo(r.policy.History.JSON)
	return nil
}

// refuse ends a run that could not begin: it is said and recorded.
func (r *run) refuse(err error) (string, error) {
	row := r.newRow(r.id, r.event)
	row.EventKey = "" // it may be handed over again, mended
	r.rec.Begin(row, false)
	r.log.Error(failure.Text(err))
	if hint := cli.Hint(err); hint != "" {
		r.log.Info("hint: " + hint)
	}
	r.outcome = r.log.Masked(failure.Text(err))
	r.record(err)
	return r.outcome, err
}

func (r *run) close() {
	r.store.Close()
	r.rec.Close()
	if r.kept != nil {
		_ = r.kept.Close()
	}
}

// tmpdir is what TMPDIR names, or "". It is absolute: the next run may be
// elsewhere when it cleans up.
func tmpdir() string {
	dir := os.Getenv("TMPDIR")
	if dir == "" {
		return ""
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	return abs
}

// environOf returns the process's environment and a look-up into it.
func environOf() ([]string, manifest.Lookup) { return os.Environ(), os.LookupEnv }

func newRunID() string { return uuid.Must(uuid.NewV7()).String() }

// newRow is a run's row in the history as far as it is known at the start.
func (r *run) newRow(id string, e *event.Event) history.Run {
	return history.Run{
		ID: id, Started: time.Now(), URL: redact.URL(e.URL),
		Event: e.String(), EventKey: e.Key(process.Boot()), User: userName(os.Getenv),
		PID: os.Getpid(), ProcStart: process.Start(os.Getpid()),
	}
}

// userName is who started the program: behind sudo, the one before it.
func userName(getenv func(string) string) string {
	for _, name := range []string{"SUDO_USER", "USER", "LOGNAME"} {
		if v := getenv(name); v != "" {
			return v
		}
	}
	return "uid " + strconv.Itoa(os.Getuid())
}

// userAgent is v1.x's form.
func userAgent() string { return "Stretcher/" + version() }
