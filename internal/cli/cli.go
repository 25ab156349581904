// Package cli is the command line: which command is meant, by which flags and
// variables, with which streams, and the exit status at the end.
//
// Its words: a command is a line of the table below newRoot and has a file of
// its own, with a constructor (newPlan), its options (planOptions) and what it
// does (run). The root command deploys. An action is what a command is for,
// handed in by package main: this package knows no deployment. It reads the
// history, for who asks what has run.
//
// It imports cobra and pflag, the rooms that it reads from (journal) and those
// whose errors have an exit status of their own. Nothing but package main
// imports it.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"stretcher/internal/text/failure"
	"stretcher/internal/text/outlet"
	"stretcher/internal/text/printable"
)

// Process is what this process was started with.
type Process struct {
	Args    []string // with the program's name
	Environ []string
	Stdin   *os.File
	Stdout  io.Writer
	Stderr  io.Writer
}

// Getenv returns a variable of the process's environment, or "".
func (p Process) Getenv(name string) string {
	for i := len(p.Environ) - 1; i >= 0; i-- { // the last one counts
		if value, ok := strings.CutPrefix(p.Environ[i], name+"="); ok {
			return value
		}
	}
	return ""
}

// app is one call of the program.
type app struct {
	Process
	actions Actions
	root    *cobra.Command
	line    line // the command line as it was read
	wait    *outlet.Patience
	host    Host
	version bool
	status  int

	unprinted error // help that could not be printed
}

// newApp builds the table of commands.
func newApp(p Process, actions Actions) *app {
	a := &app{Process: p, actions: actions}
	a.root = newRoot(a)
	a.root.AddCommand(newCheck(a), newRender(a), newPlan(a), newFetch(a), newPack(a), newRollback(a), newHistory(a),
		newStatus(a), newFleet(a), newMetrics(a), newHooks(a), newKeygen(a), newSign(a), newVerify(a), newSchema(a),
		newVersion(a), newCompletion(a), newMan(a), newHelp(a))
	return a
}

// maxHeldUp is how long output that nobody takes may hold up a program that
// has been told to end. What is said after that has a moment more.
const maxHeldUp = 4500 * time.Millisecond

// Main reads the command line, does what it asks for, and returns the exit
// status.
func Main(ctx context.Context, p Process, actions Actions) int {
	wait := outlet.NewPatience(ctx, maxHeldUp)
	p.Stdout, p.Stderr = outlet.New(p.Stdout, wait), outlet.New(p.Stderr, wait)
	a := newApp(p, actions)
	a.wait = wait
	return a.main(ctx)
}

func (a *app) main(ctx context.Context) int {
	args, err := a.read(a.Args[1:])
	if err == nil {
		a.root.SetArgs(args)
		err = a.root.ExecuteContext(ctx)
	}
	switch {
	case err == nil && a.unprinted != nil:
		return a.report(a.unprinted)
	case err == nil:
		return a.status
	case a.Getenv("SERF_EVENT") == "query": // Serf hands on stderr too
		fmt.Fprintln(a.Stdout, replyLine("error: "+failure.Text(err), a.replyRoom()))
		return ExitUsage
	}
	return a.report(err)
}

// runFunc is what a command does. Its error has not been said yet.
type runFunc func(ctx context.Context, args []string) (status int, err error)

// runs makes of what a command does what cobra calls. An error that cobra gets
// is one of the command line.
func (a *app) runs(run runFunc) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		if err := a.settle(c); err != nil {
			return err
		}
		if a.version {
			err := a.printVersion(false)
			if a.status = Status(err); err != nil {
				a.report(err)
			}
			return nil
		}
		status, err := run(c.Context(), args)
		if a.status = status; err != nil {
			a.report(err)
		}
		return nil
	}
}

// wentAway tells whether an error is that who reads what is printed has gone away, as
// head does. Of a server that breaks a connection off it is not.
func wentAway(err error) bool {
	return errors.Is(err, syscall.EPIPE) && !errors.As(err, new(*net.OpError))
}

// report says an error that no run has said, and returns its exit status. Who
// has gone away knows.
func (a *app) report(err error) int {
	if !wentAway(err) {
		a.say(a.Stderr, failure.Text(err), Hint(err))
	}
	return Status(err)
}

// warn says what is doubtful.
func (a *app) warn(format string, args ...any) {
	a.tell(a.Stderr, slog.LevelWarn, failure.Sayf(format, args...))
}

// say says in a line what is wrong, and in another, unless hint is "", what can be
// done.
func (a *app) say(w io.Writer, text, hint string) {
	a.tell(w, slog.LevelError, text)
	a.sayHint(w, hint)
}

func (a *app) sayHint(w io.Writer, hint string) {
	if before, ok := strings.CutSuffix(hint, failure.SeeHelp); ok && a.line.command != nil {
		hint = before + a.seeHelp()
	}
	if hint != "" {
		a.tell(w, slog.LevelInfo, "hint: "+printable.Line(hint))
	}
}

// seeHelp is the hint at the help of the command that was meant.
func (a *app) seeHelp() string {
	words := path(a.line.command)
	if len(words) == 0 || words[0] == "help" {
		return failure.SeeHelp
	}
	return "see stretcher help " + strings.Join(words, " ")
}

// columnsOf is how wide the terminal is that a stream is; 0 = it is none. One
// that does not say it has what terminals had.
func columnsOf(stream any) int {
	f := outlet.File(stream)
	if f == nil || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width == 0 {
		return columns
	}
	return width
}

// isTerminal tells whether a stream is a terminal.
func isTerminal(stream any) bool {
	f := outlet.File(stream)
	return f != nil && term.IsTerminal(int(f.Fd()))
}
