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
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"stretcher/internal/cli"
	"stretcher/internal/fetch"
	"stretcher/internal/fetch/cache"
	"stretcher/internal/journal"
	"stretcher/internal/journal/history"
	"stretcher/internal/journal/runlog"
	"stretcher/internal/policy"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/progress"
	"stretcher/internal/text/runid"
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
	ctx, second, stop := withSignals(context.Background())
	defer stop()
	p := cli.Process{Args: os.Args, Environ: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	return cli.Main(ctx, p, actions(second))
}

// actions are what the command line can ask for.
func actions(second <-chan struct{}) cli.Actions {
	return cli.Actions{
		Version: version(),
		Deploy: func(ctx context.Context, o cli.DeployOptions) (string, error) {
			return runDeploy(ctx, second, o)
		},
		Rollback: func(ctx context.Context, o cli.RollbackOptions) (history.Run, error) {
			return runRollback(ctx, second, o)
		},
		Plan:      runPlan,
		Check:     runCheck,
		ListHooks: runListHooks,
		RunHooks: func(ctx context.Context, o cli.RunHooksOptions) (int, error) {
			return runHooksByName(ctx, second, o)
		},
		InstallHooks: func(ctx context.Context, o cli.InstallHooksOptions) error {
			return runInstallHooks(ctx, second, o)
		},
	}
}

// secondAfter is how long after the first signal a second one counts: a
// service manager signals a whole group, and the watch in it hands its own
// signal on.
const secondAfter = 2 * time.Second

// withSignals returns a context that SIGINT, SIGTERM or SIGHUP ends, with the
// signal as its cause, and a channel that a second one closes. SIGPIPE is
// caught and dropped: a reader of our output that goes away, as a lost ssh
// session does, must not end a deployment without its failure commands.
func withSignals(parent context.Context) (context.Context, <-chan struct{}, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	second := make(chan struct{})
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE)
	go func() {
		cancel(failure.Signal{Signal: <-signals})
		first := time.Now()
		for range signals {
			if time.Since(first) > secondAfter {
				close(second)
				return
			}
		}
	}()
	return ctx, second, func() { signal.Stop(signals); signal.Stop(pipe); cancel(nil) }
}

// userAgent is v1.x's form.
func userAgent() string { return "Stretcher/" + version() }

// tools are what a run works with. None of them changes while it runs.
type tools struct {
	id       string    // of the run, a UUIDv7
	now      time.Time // taken at the run's start: what time it is for all that it decides
	settings cli.Settings
	policy   *policy.Policy
	journal  *journal.Journal
	private  *journal.Private // makes the run's directories
	cached   *cache.Store     // what earlier runs have deployed; nil = nothing is kept
	fetcher  *fetch.Fetcher
	log      *runlog.Log
	screen   *progress.Screen
	environ  []string        // NAME=value: what the process was started with
	second   <-chan struct{} // closed by the second signal
}

// memory says what a run leaves of itself on this machine.
type memory int

const (
	remembered memory = iota // a row in the history: deployments, rollbacks
	noted                    // notes while it runs, for who cleans up after it
	unnoted                  // nothing: it only looks
)

// newDeployer puts together what a run works with. An error is the host's: the
// policy can't be used, or wants what is not there. The deployer is good then
// for saying so.
func newDeployer(ctx context.Context, s cli.Settings, m memory, second <-chan struct{}) (*deployer, func(), error) {
	screen := progress.New(s.Stderr, s.Bar)
	log, closeLog := s.Open(screen)
	t := &tools{
		id: runid.New(), now: time.Now(), settings: s, log: log, screen: screen, second: second,
		environ: os.Environ(),
	}
	stateError := t.openJournal(ctx, m)
	t.private, t.fetcher = journal.NewPrivate(t.journal), newFetcher(t)
	err := t.askHost(stateError, m)
	d := &deployer{t, provider{t}, executor{t}}
	return d, func() {
		d.removePrivate()
		if m == noted {
			d.journal.EndCommand()
		}
		d.fetcher.Store.Close()
		d.journal.Close()
		if d.cached != nil {
			_ = d.cached.Close()
		}
		closeLog()
	}, err
}

// openJournal opens what the machine remembers. The error says why it will
// remember nothing.
func (t *tools) openJournal(ctx context.Context, m memory) (err error) {
	if m == remembered {
		t.log.Logger = t.log.With("run", t.id)
	}
	t.journal = journal.New(t.log)
	path := t.settings.StateDir
	switch err = t.settings.StateError; {
	case err != nil:
		return err
	case m == unnoted:
		t.journal = journal.OpenReading(ctx, path, t.log)
		t.cached, _ = cache.OpenReading(t.journal.State().Cache()) // what is not there helps nobody
		return nil
	case m == noted:
		t.journal, err = journal.OpenNotes(path, t.log)
		return err
	}
	if t.journal, err = journal.Open(ctx, path, t.log); err != nil {
		return err
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

// askHost loads the host policy, and warns when nothing will be remembered.
func (t *tools) askHost(stateError error, m memory) error {
	host, err := policy.Load(t.settings.Config, t.settings.ConfigGiven)
	if err != nil {
		t.policy = &policy.Policy{}
		return err
	}
	t.policy = host
	if stateError != nil && m == remembered {
		if host.RequireState {
			return failure.Refused("%w: the host policy requires it", stateError)
		}
		t.log.Warn(failure.Sayf("no history of this run: %v", stateError))
	} else if stateError != nil && m == noted {
		t.log.Warn(failure.Text(stateError))
	}
	t.journal.AuditTo(host.History.JSON)
	return nil
}
