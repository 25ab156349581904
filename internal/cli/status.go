package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"stretcher/internal/journal/history"
	"stretcher/internal/process"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
)

// statusOptions are those of stretcher status.
type statusOptions struct {
	*app
	json bool
}

func newStatus(a *app) *cobra.Command {
	o := &statusOptions{app: a}
	c := newCommand(&cobra.Command{
		Use:   "status DEST",
		Short: "how the last run on DEST went, for monitoring",
		Long: `Says in one line how the last run on DEST that has ended went, and how many
were refused since then before they came to any dest.

exit status:
  0  good
  1  the last run failed or was refused, or the history can't be read
  2  never deployed, or wrong usage
  3  the last run died`,
		Example: `stretcher status /srv/app
stretcher status --json /srv/app | jq -r .last.id`,
		RunE: a.runs(o.run),
	})
	c.ValidArgsFunction = a.completeDest
	declareJSON(c.Flags(), &o.json)
	return c
}

// Exit statuses of stretcher status.
const (
	statusGood   = 0
	statusFailed = 1
	statusNever  = 2
	statusDied   = 3
)

func (o *statusOptions) run(ctx context.Context, args []string) (int, error) {
	if len(args) != 1 {
		return ExitUsage, failure.Usage("status expects one DEST, got %d arguments", len(args))
	}
	dest, err := destArg(args[0])
	if err != nil {
		return Status(err), err
	}
	v, err := o.verdict(ctx, dest)
	if err != nil {
		return statusFailed, err // what can't be known must not look good
	}
	if o.json {
		err = v.printJSON(o.Stdout)
	} else {
		_, err = fmt.Fprintln(o.Stdout, printable.Line(v.String()))
	}
	if err != nil {
		return statusFailed, err
	}
	return v.status(), nil
}

// verdict is how things stand with a dest.
type verdict struct {
	dest  string
	last  *history.Run // that has ended; nil = none
	going *history.Run // that goes on; nil = none
	// Those since then that were refused before they came to any dest, as with a
	// policy that can't be used; the last first.
	refused []history.Run
}

// verdict judges the last run on dest that has ended; one that goes on is
// mentioned.
func (a *app) verdict(ctx context.Context, dest string) (v verdict, err error) {
	v.dest = dest
	err = a.readHistory(ctx, history.Options{ReadOnly: true}, func(db *history.Store) error {
		// The lock orders runs by their ends: one that gave up waiting for it
		// started after the one that it waited for.
		runs, err := db.List(ctx, history.Filter{Dest: dest, ByEnd: true})
		history.Judge(runs, process.Alive)
		for i := range runs {
			switch r := runs[i]; r.Result {
			case history.Running:
				v.going = &runs[i]
			case history.Failed, history.Refused:
				if v.last == nil && !r.FoundNothing() {
					v.last = &runs[i]
				}
			case history.Good, history.Died:
				if v.last == nil {
					v.last = &runs[i]
				}
			}
		}
		if err == nil {
			v.refused, err = refusedSince(ctx, db, v.last)
		}
		return err
	})
	return v, err
}

// refusedSince are the runs after last, nil for all, that were refused and have no
// dest.
func refusedSince(ctx context.Context, db *history.Store, last *history.Run) (runs []history.Run, err error) {
	if last == nil {
		runs, err = db.List(ctx, history.Filter{Results: []history.Result{history.Refused}, ByEnd: true})
	} else {
		runs, err = db.After(ctx, history.Run{ID: last.ID}) // of no dest, as those are
	}
	return slices.DeleteFunc(runs, func(r history.Run) bool {
		return r.Result != history.Refused || r.Dest != "" || r.FoundNothing()
	}), err
}

// status is what stretcher status exits with.
func (v verdict) status() int {
	switch {
	case v.last == nil:
		return statusNever
	case v.last.Result == history.Good:
		return statusGood
	case v.last.Result == history.Died:
		return statusDied
	default:
		return statusFailed
	}
}

// String is the verdict for people.
func (v verdict) String() string {
	going := ""
	if v.going != nil {
		going = fmt.Sprintf("; run %s is in step %q", v.going.ID, v.going.Step)
	}
	if n := len(v.refused); n > 0 {
		last := &v.refused[0]
		going += fmt.Sprintf("; since then refused: %s, the last, %s, at %s: %s", runsOf(n), last.ID, stamp(last), last.Error)
	}
	switch r := v.last; v.status() {
	case statusNever:
		return fmt.Sprintf("never deployed: %q%s", v.dest, going)
	case statusGood:
		version := ""
		if r.Version != "" {
			version = fmt.Sprintf(" version %q", r.Version)
		}
		return fmt.Sprintf("good: %q%s, run %s at %s%s", r.Name, version, r.ID, stamp(r), going)
	case statusDied:
		return fmt.Sprintf("died: run %s in step %q at %s%s", r.ID, r.Step, stamp(r), going)
	default:
		return fmt.Sprintf("%s: run %s at %s: %s%s", r.Result, r.ID, stamp(r), r.Error, going)
	}
}

func runsOf(n int) string {
	if n == 1 {
		return "1 run"
	}
	return fmt.Sprintf("%d runs", n)
}

func stamp(r *history.Run) string { return r.Finished.Local().Format(time.DateTime) }

// printJSON prints one object on one line: dest, status, the runs last, running
// and last_refused, each as history --json has it, or null, and how many were
// refused since last, whatever they were to deploy.
func (v verdict) printJSON(w io.Writer) error {
	out := struct {
		Dest    string          `json:"dest"`
		Status  string          `json:"status"`
		Last    json.RawMessage `json:"last"`
		Running json.RawMessage `json:"running"`
		Refused int             `json:"refused_since"`
		Newest  json.RawMessage `json:"last_refused"`
	}{Dest: v.dest, Status: "never", Refused: len(v.refused)}
	var newest *history.Run
	if len(v.refused) > 0 {
		newest = &v.refused[0]
	}
	if v.last != nil {
		out.Status = string(v.last.Result)
	}
	for to, r := range map[*json.RawMessage]*history.Run{
		&out.Last: v.last, &out.Running: v.going, &out.Newest: newest,
	} {
		if r == nil {
			*to = json.RawMessage("null")
			continue
		}
		var b bytes.Buffer
		if err := history.WriteJSON(&b, []history.Run{*r}); err != nil {
			return err
		}
		*to = b.Bytes()
	}
	return printable.EncodeJSON(w, out)
}
