package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"stretcher/internal/disk"
	"stretcher/internal/journal/history"
	"stretcher/internal/journal/page"
	"stretcher/internal/journal/runlog"
	"stretcher/internal/journal/state"
	"stretcher/internal/journal/summary"
	"stretcher/internal/process"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
	"stretcher/internal/text/runid"
)

// historyOptions are those of stretcher history.
type historyOptions struct {
	*app
	json  bool
	html  string
	id    string // of the run whose steps are asked for
	log   string // of the run whose log is asked for
	limit int

	summary bool   // of that run, in a few lines
	format  string // of the summary
}

func newHistory(a *app) *cobra.Command {
	o := &historyOptions{app: a, format: summary.Formats()[0].Name}
	c := newCommand(&cobra.Command{
		Use:   "history [DEST]",
		Short: "what ran here: a table, JSON, a page, a run, its log",
		Long: `Prints what ran here, newest first: all runs, or those that had to do with
DEST. It reads only.`,
		Example: `stretcher history /srv/app
stretcher history --run 01a20418-63d3
stretcher history --json --limit 1 /srv/app | jq -r .result
stretcher history --run "$STRETCHER_RUN_ID" --summary`,
		RunE: a.runs(o.run),
	})
	c.ValidArgsFunction = a.completeDest
	f := c.Flags()
	f.BoolVar(&o.json, "json", false, "print one JSON object per line and run")
	f.Var(&textValue{&o.html, "FILE"}, "html", "write one self-contained page to this file")
	f.Var(&textValue{&o.id, "RUN"}, "run", "the steps of the run with this id or beginning of an id")
	f.Var(&textValue{&o.log, "RUN"}, "log", "print the log of the run with this id or beginning of an id")
	f.BoolVar(&o.summary, "summary", false,
		"with --run: the run in a few lines, also while its success or failure commands run")
	f.Var(&choiceValue{&o.format, formatNames()}, "format",
		"of the summary: for people, or what a webhook or sendmail takes")
	f.Var((*countValue)(&o.limit), "limit", "the newest so many runs (0 = all; without it a table has 50, a page 1000)")
	asFile(f, "html")
	completeBy(c, "run", a.completeRun)
	completeBy(c, "log", a.completeRun)
	return c
}

// How many runs a table and a page have when nobody says it.
const (
	tableLimit = 50
	pageLimit  = 1000
)

// check refuses flags that can't be used together.
func (o *historyOptions) check(args []string) error {
	for _, flag := range []struct{ name, value, wants string }{
		{"run", o.id, "a run id"}, {"log", o.log, "a run id"}, {"html", o.html, "a file"},
	} {
		if flag.value == "" && o.line.has(flag.name) { // as of "$(something that printed nothing)"
			return failure.Usage("--%s expects %s", flag.name, flag.wants)
		}
	}
	switch {
	case len(args) > 1:
		return failure.Usage("history expects at most one DEST, got %d arguments", len(args))
	case o.html != "" && (o.json || o.id != ""), o.log != "" && (o.json || o.html != "" || o.id != "" || o.limit > 0):
		return failure.Usage("--html, --log and --json or --run can't be used together")
	case (o.id != "" || o.log != "") && !o.summary && (len(args) > 0 || o.line.has("limit")):
		return failure.Usage("--run and --log are of one run: neither DEST nor --limit goes with them")
	case o.summary && (o.id == "" || len(args) > 0 || o.limit > 0):
		return failure.Usage("--summary is of one run, and expects --run RUN alone")
	case o.line.has("format") && !o.summary, o.line.has("format") && o.json:
		return failure.Usage("--format says how --summary is printed, and --json is one of its formats")
	}
	return nil
}

func (o *historyOptions) run(ctx context.Context, args []string) (int, error) {
	dest, err := "", o.check(args)
	if err == nil && len(args) == 1 {
		dest, err = destArg(args[0])
	}
	if told, ok := o.toldSummary(); err == nil && ok {
		err = o.printSummary(told)
		return Status(err), err
	}
	if err == nil {
		err = o.readHistory(ctx, history.Options{ReadOnly: true}, func(db *history.Store) error {
			return o.print(ctx, db, dest)
		})
	}
	return Status(err), err
}

// readHistory opens the history to be read and calls f with it.
func (a *app) readHistory(ctx context.Context, opts history.Options, f func(*history.Store) error) error {
	if a.host.StateError != nil {
		return a.host.StateError
	}
	db, err := history.Open(ctx, state.At(a.host.StateDir).History(), opts)
	if err != nil {
		return err
	}
	defer db.Close()
	return f(db)
}

// print prints what is asked for.
func (o *historyOptions) print(ctx context.Context, db *history.Store, dest string) error {
	switch {
	case o.log != "":
		return printLog(ctx, db, state.At(o.host.StateDir), o.log, o.Stdout)
	case o.summary:
		return o.printRunSummary(ctx, db)
	case o.id != "":
		return o.printRun(ctx, db)
	}
	limit := o.limit
	switch said := o.line.command.Flags().Changed("limit"); {
	case said || o.json:
	case o.html != "":
		limit = pageLimit
	default:
		limit = tableLimit
	}
	runs, err := db.List(ctx, history.Filter{Dest: dest, Limit: limit})
	if err != nil {
		return err
	}
	if dest != "" && len(runs) == 0 {
		return failure.Hinted("stretcher history tells of all dests", fmt.Errorf("no run on %q is known", dest))
	}
	history.Judge(runs, process.Alive)
	return o.printRuns(ctx, db, runs, dest)
}

func (o *historyOptions) printRuns(ctx context.Context, db *history.Store, runs []history.Run, dest string) error {
	switch {
	case o.html != "":
		details, err := db.Details(ctx, runs)
		if err != nil {
			return err
		}
		return o.writePage(ctx, db, dest, details)
	case o.json:
		return history.WriteJSON(o.Stdout, runs)
	default:
		return history.WriteTable(o.Stdout, runs, dest == "")
	}
}

// writePage writes the page, completely or not at all where it goes to a file.
func (o *historyOptions) writePage(
	ctx context.Context, db *history.Store, dest string, details []history.Detail,
) error {
	all, err := db.List(ctx, history.Filter{Dest: dest, ByEnd: true})
	if err != nil {
		return err
	}
	history.Judge(all, process.Alive)
	content := page.Content{
		Now: time.Now(), Runs: details, Older: max(len(all)-len(details), 0), Places: history.Places(all),
		Logs: excerpts(state.At(o.host.StateDir)),
	}
	content.Host, _ = os.Hostname()
	return o.app.writePage(o.html, func(w io.Writer) error { return page.Write(w, content) })
}

// writePage writes a page to a file that --html names, completely or not at all.
func (a *app) writePage(file string, write func(io.Writer) error) error {
	if file == "-" {
		return write(a.Stdout)
	}
	err := disk.ReplacePrivate(file, ".stretcher-page-", write)
	if err == nil {
		return nil
	}
	hint := ""
	if errors.Is(err, disk.ErrIrregular) || errors.Is(err, disk.ErrDangling) { // /dev/stdout may be either
		hint = "--html - writes to standard output"
	}
	var named *fs.PathError
	if errors.As(err, &named) { // which names a file that nobody knows
		err = named.Err
	}
	return failure.Hinted(hint, fmt.Errorf("--html: write %q: %w", file, err))
}

// excerpts reads the logs of runs.
func excerpts(dir *state.Dir) page.Excerpter {
	return func(run string, from, to int64, n int) ([]string, bool, error) {
		if !runid.Is(run) { // it becomes a file's name
			return nil, false, errors.New("its run has no log")
		}
		f, err := disk.OpenRegular(dir.Log(run), os.O_RDONLY, 0)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, false, errors.New("its log is not there")
		}
		if err != nil {
			return nil, false, err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return nil, false, err
		}
		return runlog.Tail(f, info.Size(), from, to, n)
	}
}

func (o *historyOptions) printRun(ctx context.Context, db *history.Store) error {
	d, err := o.detail(ctx, db)
	if err != nil {
		return err
	}
	if o.json {
		return history.WriteDetailJSON(o.Stdout, d)
	}
	return history.WriteDetail(o.Stdout, d)
}

// detail is the run that --run names.
func (o *historyOptions) detail(ctx context.Context, db *history.Store) (history.Detail, error) {
	r, err := db.Run(ctx, o.id)
	if err != nil {
		return history.Detail{}, err
	}
	one := []history.Run{r}
	history.Judge(one, process.Alive)
	details, err := db.Details(ctx, one)
	if err != nil {
		return history.Detail{}, err
	}
	return details[0], nil
}

func printLog(ctx context.Context, db *history.Store, dir *state.Dir, id string, w io.Writer) error {
	r, err := db.Run(ctx, id)
	if err != nil {
		return err
	}
	if r.Log == "" {
		return fmt.Errorf("run %s has no log", r.ID)
	}
	// Not what the row says: anything may stand there.
	f, err := disk.OpenRegular(dir.Log(r.ID), os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return copyLines(w, f)
}

// copyLines copies a log. It was escaped when it was written, unless somebody
// else has put another file there.
func copyLines(w io.Writer, r io.Reader) error {
	from, to := bufio.NewReader(r), bufio.NewWriter(w)
	var cut, text []byte // a rune that a piece has the beginning of; a piece, escaped
	for {
		piece, err := from.ReadSlice('\n')
		line, ended := bytes.CutSuffix(append(cut, piece...), []byte("\n"))
		whole := len(line)
		if errors.Is(err, bufio.ErrBufferFull) { // a line of any length
			whole, err = wholeRunes(line), nil
		}
		text = printable.AppendLine(text[:0], string(line[:whole]))
		if ended {
			text = append(text, '\n')
		}
		cut = append(cut[:0], line[whole:]...)
		_, written := to.Write(text)
		switch {
		case written != nil:
			return written
		case errors.Is(err, io.EOF):
			return to.Flush()
		case err != nil:
			return errors.Join(err, to.Flush())
		}
	}
}

// wholeRunes is the length of text without a last rune that has only begun.
func wholeRunes(text []byte) int {
	for n := len(text) - 1; n >= max(0, len(text)-utf8.UTFMax); n-- {
		if utf8.RuneStart(text[n]) {
			if utf8.FullRune(text[n:]) {
				break
			}
			return n
		}
	}
	return len(text)
}
