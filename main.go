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
	"stretcher/internal/journal/history"
	"stretcher/internal/text/failure"
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
