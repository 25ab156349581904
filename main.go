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
	"runtime/debug"
	"syscall"

	"github.com/google/uuid"
	"golang.org/x/term"

	"stretcher/internal/progress"
	"stretcher/internal/runlog"
	"stretcher/internal/store"
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

func main() { os.Exit(realMain()) }

// realMain is main with an exit status, so that deferred calls run.
func realMain() int {
	s, err := parseArgs(os.Args[1:])
	if err != nil {
		return report(err)
	}
	switch {
	case s.showHelp:
		fmt.Print(helpText(s.flagsAsTyped))
		return exitGood
	case s.showVersion, s.subcommand == "version":
		fmt.Printf("stretcher version %s\n", version())
		return exitGood
	}
	ctx, again, stop := withSignals(context.Background())
	defer stop()
	if s.subcommand == "check" {
		return report(runCheck(ctx, s))
	}
	err = runDeploy(ctx, again, s)
	if os.Getenv("CONSUL_INDEX") != "" && !s.strictExit && !errors.Is(err, errUsage) {
		return exitGood // a handler that fails ends consul watch; the log has the truth
	}
	return exitCode(err)
}

// report says an error that no run has said, and returns its exit status.
func report(err error) int {
	if err != nil {
		fmt.Fprintf(os.Stderr, "stretcher: %v\n", err)
		if hint := hintOf(err); hint != "" {
			fmt.Fprintf(os.Stderr, "hint: %s\n", hint)
		}
	}
	return exitCode(err)
}

// withSignals returns a context that SIGINT or SIGTERM ends, with the signal
// as its cause, and a channel that a second one closes.
func withSignals(parent context.Context) (context.Context, <-chan struct{}, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	again := make(chan struct{})
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		cancel(signalError{<-signals})
		<-signals
		close(again)
	}()
	return ctx, again, func() { signal.Stop(signals); cancel(nil) }
}

// runDeploy reads the event and deploys.
func runDeploy(ctx context.Context, again <-chan struct{}, s *settings) error {
	e, err := ReadEvent(Input{
		Args: s.args, Stdin: os.Stdin, Getenv: os.Getenv,
		Terminal: term.IsTerminal(int(os.Stdin.Fd())),
	})
	if err != nil {
		report(err)
		return err
	}
	screen := progress.New(os.Stderr, s.progress == "auto" && term.IsTerminal(int(os.Stderr.Fd())))
	log, closeLog, err := openLog(s, screen)
	if err != nil {
		report(err)
		return err
	}
	defer closeLog()
	if e == nil {
		log.Info("nothing to do: no event")
		return nil
	}
	id, err := uuid.NewV7()
	if err != nil {
		report(err)
		return err
	}
	log.Logger = log.With("run", id.String())
	set := store.NewSet(store.Options{UserAgent: userAgent()})
	defer set.Close()
	environ, lookup := environOf()
	r := &run{
		id: id.String(), opts: s.Options, log: log, screen: screen, store: set,
		environ: environ, lookup: lookup, tmpdir: os.Getenv("TMPDIR"),
		stdout: os.Stdout, stderr: screen, again: again,
	}
	return r.deploy(ctx, e)
}

// openLog opens the log on stderr and, where asked for, in a file.
func openLog(s *settings, screen io.Writer) (*runlog.Log, func(), error) {
	opts := runlog.Options{Writers: []io.Writer{screen}, Format: s.logFormat}
	var file *os.File
	if s.logFile != "" {
		var err error
		if file, err = os.OpenFile(s.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640); err != nil {
			return nil, nil, usage("--log-file: %w", err)
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
