package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"stretcher/internal/journal/history"
	"stretcher/internal/journal/state"
	"stretcher/internal/process"
	"stretcher/internal/text/failure"
)

// historyFlags are those of the history subcommand.
type historyFlags struct {
	json  bool
	html  string
	run   string
	log   string
	limit int
}

func (h *historyFlags) names() []string { return []string{"json", "html", "run", "log", "limit"} }

func (h *historyFlags) declare(f *pflag.FlagSet) {
	f.BoolVar(&h.json, "json", false, "history, hooks list, plan: one JSON object per line; runs newest first")
	f.StringVar(&h.html, "html", "", "history: write one self-contained page to this file")
	f.StringVar(&h.run, "run", "", "history: the steps of the run with this id or beginning of an id")
	f.StringVar(&h.log, "log", "", "history: print the log of the run with this id or beginning of an id")
	f.IntVar(&h.limit, "limit", 0, "history: the newest so many runs (0 = all)")
}

// check refuses these flags where they mean nothing, and together.
func (h *historyFlags) check(s *settings) error {
	var given []string
	for _, name := range h.names() {
		if s.flags.Changed(name) && !(name == "json" && (s.subcommand == "hooks" || s.subcommand == "plan" || s.dryRun)) {
			given = append(given, name)
		}
	}
	if len(given) > 0 && s.subcommand != "history" {
		return failure.Usage("--%s belongs to stretcher history", given[0])
	}
	if h.limit < 0 {
		return failure.Usage("invalid --limit %d: it must not be negative", h.limit)
	}
	if h.html != "" && (h.json || h.run != "") || h.log != "" && len(given) > 1 {
		return failure.Usage("--html, --log and --json or --run can't be used together")
	}
	return nil
}

// stateDir is the state directory's path: the flag, else STRETCHER_STATE_DIR,
// else the default of the user.
func (s *settings) statePath() (string, error) {
	if s.stateDir != "" {
		return filepath.Abs(s.stateDir)
	}
	if dir := os.Getenv("STRETCHER_STATE_DIR"); dir != "" {
		return filepath.Abs(dir)
	}
	return state.Default(state.User{UID: os.Getuid(), Getenv: os.Getenv, Home: homeDir})
}

// readHistory opens the history to be read and calls f with it.
func readHistory(ctx context.Context, s *settings, f func(*history.Store) error) error {
	path, err := s.statePath()
	if err != nil {
		return err
	}
	db, err := history.Open(ctx, state.At(path).History(), history.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer db.Close()
	return f(db)
}

// destArg is the DEST of a subcommand, as manifests name it.
func destArg(args []string) (string, error) {
	if len(args) == 0 {
		return "", nil
	}
	if args[0] == "" { // of a variable that is not set, not the current directory
		return "", failure.Usage("DEST is empty")
	}
	return filepath.Abs(args[0])
}

// runHistory tells what ran here.
func runHistory(ctx context.Context, s *settings) error {
	if len(s.args) > 1 {
		return failure.Usage("history expects at most one DEST, got %d arguments", len(s.args))
	}
	dest, err := destArg(s.args)
	if err != nil {
		return err
	}
	return readHistory(ctx, s, func(db *history.Store) error {
		switch h := s.history; {
		case h.log != "":
			return printLog(ctx, db, h.log, os.Stdout)
		case h.run != "":
			return printRun(ctx, db, h, os.Stdout)
		}
		runs, err := db.List(ctx, history.Filter{Dest: dest, Limit: s.history.limit})
		if err != nil {
			return err
		}
		history.Judge(runs, process.Alive)
		return printRuns(ctx, db, s.history, runs)
	})
}

func printRuns(ctx context.Context, db *history.Store, h historyFlags, runs []history.Run) error {
	switch {
	case h.html != "":
		details, err := db.Details(ctx, runs)
		if err != nil {
			return err
		}
		return writePage(h.html, details)
	case h.json:
		return history.WriteJSON(os.Stdout, runs)
	default:
		return history.WriteTable(os.Stdout, runs)
	}
}

// writePage writes the page completely or not at all.
func writePage(name string, details []history.Detail) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".stretcher-page-*")
	if err != nil {
		return fmt.Errorf("--html: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	host, _ := os.Hostname()
	err = errors.Join(history.WriteHTML(f, host, details, time.Now()), f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("--html: %w", err)
	}
	return nil
}

func printRun(ctx context.Context, db *history.Store, h historyFlags, w io.Writer) error {
	r, err := db.Run(ctx, h.run)
	if err != nil {
		return err
	}
	one := []history.Run{r}
	history.Judge(one, process.Alive)
	details, err := db.Details(ctx, one)
	if err != nil {
		return err
	}
	if h.json {
		return history.WriteDetailJSON(w, details[0])
	}
	return history.WriteDetail(w, details[0])
}

func printLog(ctx context.Context, db *history.Store, id string, w io.Writer) error {
	r, err := db.Run(ctx, id)
	if err != nil {
		return err
	}
	if r.Log == "" {
		return fmt.Errorf("run %s has no log", r.ID)
	}
	f, err := os.Open(r.Log)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// Exit statuses of stretcher status.
const (
	statusGood   = 0
	statusFailed = 1
	statusNever  = 2
	statusDied   = 3
)

// runStatus says in one line how the last run on dest went.
func runStatus(ctx context.Context, s *settings) (code int, err error) {
	if len(s.args) != 1 {
		return exitUsage, failure.Usage("status expects one DEST, got %d arguments", len(s.args))
	}
	dest, err := destArg(s.args)
	if err != nil {
		return exitCode(err), err
	}
	err = readHistory(ctx, s, func(db *history.Store) error {
		var text string
		text, code, err = statusOf(ctx, db, dest)
		if err == nil {
			fmt.Println(text)
		}
		return err
	})
	if err != nil {
		return statusFailed, err // what can't be known must not look good
	}
	return code, nil
}

// statusOf judges the last run on dest that has ended; one that goes on is
// mentioned.
func statusOf(ctx context.Context, db *history.Store, dest string) (text string, code int, err error) {
	// The lock orders runs by their ends: one that gave up waiting for it
	// started after the one that it waited for.
	runs, err := db.List(ctx, history.Filter{Dest: dest, ByEnd: true})
	if err != nil {
		return "", statusFailed, err
	}
	history.Judge(runs, process.Alive)
	going := ""
	for _, r := range runs {
		if r.Result == history.Running {
			going = fmt.Sprintf("; run %s is in step %q", r.ID, r.Step)
		}
	}
	for _, r := range runs {
		switch r.Result {
		case history.Good:
			return fmt.Sprintf("good: %q version %q, run %s at %s%s", r.Name, r.Version, r.ID, stamp(r), going), statusGood, nil
		case history.Died:
			return fmt.Sprintf("died: run %s in step %q at %s%s", r.ID, r.Step, stamp(r), going), statusDied, nil
		case history.Failed, history.Refused:
			return fmt.Sprintf("%s: run %s at %s: %s%s", r.Result, r.ID, stamp(r), r.Error, going), statusFailed, nil
		}
	}
	return fmt.Sprintf("never deployed: %q%s", dest, going), statusNever, nil
}

func stamp(r history.Run) string { return r.Finished.Local().Format(time.DateTime) }
