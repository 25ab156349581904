// Command stretcher deploys what a manifest describes: it fetches an archive,
// verifies it, runs the user's commands and syncs the result to a directory.
// A Consul watch, a Serf agent, ssh or a person starts it once per deployment.
//
// Output: log lines and the progress bar go to stderr, through one
// progress.Screen; stdout carries what a subcommand was asked for and what
// success and failure commands print, and nothing else. An error is said
// once: by the run's log when there is a run, else here.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"github.com/google/uuid"
	"golang.org/x/term"

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
		debug.SetGCPercent(gcPercent)
	}
	os.Exit(realMain())
}

// gcPercent trades some processor time for memory: a run of 100 000 files
// shall leave what else is on the machine alone (docs/performance.md).
const gcPercent = 40

// realMain is main with an exit status, so that deferred calls run.
func realMain() int {
	s, err := parseArgs(os.Args[1:])
	if err != nil && os.Getenv("SERF_EVENT") == "query" {
		fmt.Println(replyLine("error: " + failure.Text(err))) // Serf hands on stderr too
		return exitUsage
	}
	if err != nil {
		return report(err)
	}
	ctx, again, stop := withSignals(context.Background())
	defer stop()
	switch {
	case s.showHelp:
		fmt.Print(helpText(s.flags))
		return exitGood
	case s.showVersion, s.subcommand == "version":
		fmt.Printf("stretcher version %s\n", version())
		return exitGood
	case s.subcommand == "check":
		return report(runCheck(ctx, s))
	case s.subcommand == "history":
		return report(runHistory(ctx, s))
	case s.subcommand == "rollback":
		return exitCode(runRollback(ctx, again, s))
	case s.subcommand == "plan", s.dryRun:
		code, err := runPlan(ctx, s)
		report(err)
		return code
	case s.subcommand == "status":
		code, err := runStatus(ctx, s)
		report(err)
		return code
	case s.subcommand == "hooks":
		code, err := runHookCommand(ctx, again, s)
		report(err)
		return code
	}
	if os.Getenv("SERF_EVENT") == "query" && len(s.args) == 0 {
		return answer(ctx, again, s)
	}
	_, err = runDeploy(ctx, again, s, os.Stdout, os.Stderr)
	if os.Getenv("CONSUL_INDEX") != "" && !s.strictExit && !errors.Is(err, failure.ErrUsage) {
		return exitGood // a handler that fails ends consul watch; the history has the truth
	}
	return exitCode(err)
}

// report says an error that no run has said, and returns its exit status.
func report(err error) int {
	if err != nil {
		reportTo(os.Stderr, err)
	}
	return exitCode(err)
}

// reported reports an error and hands it on.
func reported(err error) error {
	report(err)
	return err
}

func reportTo(w io.Writer, err error) {
	fmt.Fprintf(w, "stretcher: %s\n", failure.Text(err))
	if hint := hintOf(err); hint != "" {
		fmt.Fprintf(w, "hint: %s\n", hint)
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
// people, without secrets.
func runDeploy(ctx context.Context, again <-chan struct{}, s *settings, stdout, stderr io.Writer) (outcome string, err error) {
	defer func() {
		if outcome == "" && err != nil { // no run has said it
			outcome = failure.Text(err)
			reportTo(stderr, err)
		}
	}()
	terminal := term.IsTerminal(int(os.Stdin.Fd()))
	if s.detach && (len(s.args) > 0 || !terminal) {
		return detach(os.Args[1:], s.args, os.Stdin, stderr)
	}
	e, err := event.Read(ctx, event.Input{Args: s.args, Stdin: os.Stdin, Getenv: os.Getenv, Terminal: terminal})
	if errors.Is(err, failure.ErrUsage) {
		return "", err
	}
	screen := progress.New(stderr, s.progress == "auto" && stderr == os.Stderr && term.IsTerminal(int(os.Stderr.Fd())))
	log, closeLog, logErr := openLog(s, screen)
	if logErr != nil {
		return "", errors.Join(err, logErr)
	}
	defer closeLog()
	if e == nil && err == nil {
		log.Info("nothing to do: no event")
		return "nothing to do: no event", nil
	}
	r := newRun(ctx, s, e, log, screen)
	defer r.close()
	r.again, r.stdout = again, stdout
	if err == nil {
		err = r.prepare(s)
	}
	if err != nil {
		return r.refuse(err)
	}
	if by := r.rec.Begin(r.newRow(r.id, e), s.Force); by != "" {
		return by, nil
	}
	r.rec.ClearDied(r.leftHooks(ctx))
	err = r.deploy(ctx)
	return r.outcome, err
}

// newRun puts together what a run works with. Without an event (nil) there is
// something to be said of it all the same.
func newRun(ctx context.Context, s *settings, e *event.Event, log *runlog.Log, screen *progress.Screen) *run {
	if e == nil {
		e = &event.Event{Source: event.Malformed}
	}
	r := &run{id: newRunID(), event: e, opts: s.Options, policy: &policy.Policy{}, log: log, screen: screen,
		manifestURL: redact.URL(e.URL), tmpdir: tmpdir(), stderr: screen, store: store.NewSet(store.Options{UserAgent: userAgent()})}
	r.environ, r.lookup = environOf()
	log.Logger = log.With("run", r.id)
	r.rec = journal.New(log)
	path, err := s.statePath()
	if err == nil {
		r.rec, err = journal.Open(ctx, path, log)
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

// prepare asks the host policy, and warns when nothing will be remembered.
func (r *run) prepare(s *settings) (err error) {
	if r.policy, err = policy.Load(s.config, s.flags.Changed("config")); err != nil {
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
	if hint := hintOf(err); hint != "" {
		r.log.Info("hint: " + hint)
	}
	r.outcome = r.log.Masked(failure.Text(err))
	r.record(err)
	return r.outcome, err
}

func (r *run) close() {
	r.store.Close()
	r.rec.Close()
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

// homeDir asks the user database, for callers without HOME.
func homeDir() (string, error) {
	u, err := user.Current()
	if err != nil {
		return "", err
	}
	return u.HomeDir, nil
}

// openLog opens the log on stderr and, where asked for, in a file.
func openLog(s *settings, screen io.Writer) (*runlog.Log, func(), error) {
	opts := runlog.Options{Writers: []io.Writer{screen}, Format: s.logFormat, Clean: redact.Text}
	var file *os.File
	if s.logFile != "" {
		var err error
		if file, err = os.OpenFile(s.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640); err != nil {
			return nil, nil, failure.Usage("--log-file: %w", err)
		}
		opts.Writers = append(opts.Writers, file)
	}
	log := runlog.New(opts)
	return log, func() {
		_ = log.Close()
		if file != nil {
			_ = file.Close()
		}
	}, nil
}

// userAgent is v1.x's form.
func userAgent() string { return "Stretcher/" + version() }
