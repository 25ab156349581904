package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"stretcher/internal/journal/history"
	"stretcher/internal/journal/state"
	"stretcher/internal/process"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
)

// statusOptions are those of stretcher status.
type statusOptions struct {
	*app
	json   bool
	result bool          // as fleet status --from reads it
	node   string        // the name of this host in it
	maxAge time.Duration // of the last good run; 0 = any
}

func newStatus(a *app) *cobra.Command {
	o := &statusOptions{app: a}
	c := newCommand(&cobra.Command{
		Use:   "status DEST",
		Short: "how the last run on DEST went, for monitoring",
		Long: `Says in one line how the last run on DEST that has ended went, how long ago,
and how many were refused since then before they came to any dest.

exit status:
` + indented(statusText()),
		Example: `stretcher status /srv/app
stretcher status --max-age 7d /srv/app
stretcher status --json /srv/app | jq -r .last.id
stretcher status --result /srv/app > results/web-1.json`,
		RunE: a.runs(o.run),
	})
	c.ValidArgsFunction = a.completeDest
	declareJSON(c.Flags(), &o.json)
	c.Flags().BoolVar(&o.result, "result", false,
		"print one JSON object of at most 1 KiB, as stretcher fleet status --from reads it")
	c.Flags().Var(&textValue{&o.node, "NODE"}, "node", nodeUsage)
	c.Flags().Var((*ageValue)(&o.maxAge), "max-age", "how old the last good run may be, as 36h or 7d")
	return c
}

// Exit statuses of stretcher status.
const (
	statusGood    = 0
	statusFailed  = 1
	statusNever   = 2
	statusDied    = 3
	statusUnknown = 5
	statusOld     = 6
)

// StatusTable is the exit statuses of stretcher status as the documents and help
// list them.
func StatusTable() [][2]string {
	return [][2]string{
		{"0", "good"},
		{"1", "the last run failed, was refused or stopped"},
		{"2", "never deployed, or wrong usage"},
		{"3", "the last run died"},
		{"5", "not known: the history can't be read, or could not be written"},
		{"6", "good, but longer ago than --max-age"},
	}
}

func statusText() string {
	var lines []string
	for _, row := range StatusTable() {
		lines = append(lines, row[0]+"  "+row[1])
	}
	return strings.Join(lines, "\n")
}

func (o *statusOptions) run(ctx context.Context, args []string) (int, error) {
	if len(args) != 1 {
		return ExitUsage, failure.Usage("status expects one DEST, got %d arguments", len(args))
	}
	if o.result && o.json {
		return ExitUsage, failure.Usage("--result and --json can't be used together")
	}
	if o.result && o.line.has("result") && o.line.has("max-age") {
		return ExitUsage, failure.Usage("--max-age judges this host, and --result only tells of it")
	}
	dest, err := destArg(args[0])
	if err != nil {
		return Status(err), err
	}
	v, err := o.verdict(ctx, dest)
	v.maxAge = o.maxAge
	if err != nil { // what can't be known must not look good
		v.unknown = failure.Text(err)
		if o.json {
			err = errors.Join(err, v.printJSON(o.Stdout))
		}
		if o.result {
			err = errors.Join(err, o.printResult(v, err))
		}
		return statusUnknown, err
	}
	switch {
	case o.result:
		err = o.printResult(v, nil)
	case o.json:
		err = v.printJSON(o.Stdout)
	default:
		_, err = fmt.Fprintln(o.Stdout, printable.Line(v.String()))
	}
	if err != nil {
		return statusUnknown, err
	}
	return v.status(), nil
}

const nodeUsage = "the name of this host in its fleet, where that is not its agent's or its hostname"

// verdict is how things stand with a dest.
type verdict struct {
	history.Standing
	// Those since the last run that were refused before they came to any dest, as
	// with a policy that can't be used; the last first.
	refused []history.Run
	held    history.Held // what dest holds
	now     time.Time
	maxAge  time.Duration // of the last good run; 0 = any
	unknown string        // why nothing of this is known; "" = it is
}

// verdict judges the last run on dest that has ended; one that goes on is
// mentioned.
func (a *app) verdict(ctx context.Context, dest string) (v verdict, err error) {
	v.Dest, v.now = dest, time.Now()
	err = a.readHistory(ctx, history.Options{ReadOnly: true}, func(db *history.Store) error {
		// The lock orders runs by their ends: one that gave up waiting for it
		// started after the one that it waited for.
		runs, err := db.List(ctx, history.Filter{Dest: dest, ByEnd: true})
		if err != nil {
			return err
		}
		history.Judge(runs, process.Alive)
		for i := range runs {
			v.Judge(&runs[i])
		}
		v.held = history.HeldAt(dest, runs)
		v.refused, err = refusedSince(ctx, db, v.Last)
		return err
	})
	if err != nil {
		return v, fmt.Errorf("the history can't be read: %w", err)
	}
	return v, a.recorded(dest)
}

// recorded returns an error where the last run on dest is not in the history, which
// could not be written.
func (a *app) recorded(dest string) error {
	is, err := state.At(a.host.StateDir).Unrecorded(dest)
	if err == nil && is {
		err = failure.Hinted("the state directory needs room, and to be written; then deploy again",
			fmt.Errorf("a run on %q could not be recorded: what is there is not known", dest))
	}
	return err
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
	case v.Last == nil:
		return statusNever
	case v.Last.Result == history.Died:
		return statusDied
	case v.Last.Result != history.Good:
		return statusFailed
	case v.isOld():
		return statusOld
	}
	return statusGood
}

// isOld tells whether the last good run is longer ago than it may be. One that
// lies further ahead than that counts as well: the clock has been set back, and
// nobody knows how long ago it was.
func (v verdict) isOld() bool {
	return v.maxAge > 0 && v.Good != nil && v.now.Sub(v.Good.Finished).Abs() > v.maxAge
}

// String is the verdict for people.
func (v verdict) String() string {
	more := v.more()
	switch r := v.Last; v.status() {
	case statusNever:
		return fmt.Sprintf("never deployed: %q%s", v.Dest, more)
	case statusGood:
		return fmt.Sprintf("good: %s, run %s at %s, deployed %s%s", title(r), r.ID, stamp(r), v.age(r), more)
	case statusOld:
		return fmt.Sprintf("old: %s, run %s at %s, deployed %s, --max-age is %s%s",
			title(r), r.ID, stamp(r), v.age(r), (*ageValue)(&v.maxAge), more)
	case statusDied:
		return fmt.Sprintf("died: run %s in step %q at %s, %s%s%s", r.ID, r.Step, stamp(r), v.age(r), v.before(), more)
	default:
		return fmt.Sprintf("%s: run %s at %s, %s: %s%s%s", r.Result, r.ID, stamp(r), v.age(r), r.Error, v.before(), more)
	}
}

// more is what is said beside the last run.
func (v verdict) more() (text string) {
	if v.Going != nil {
		text = fmt.Sprintf("; run %s is in step %q", v.Going.ID, v.Going.Step)
	}
	if n := len(v.refused); n > 0 {
		last := &v.refused[0]
		text += fmt.Sprintf("; since then refused: %s, the last, %s, at %s: %s", runsOf(n), last.ID, stamp(last), last.Error)
	}
	return text
}

// before is the good run before one that was not.
func (v verdict) before() string {
	if v.Good == nil {
		return "; never good before"
	}
	return fmt.Sprintf("; last good: %s, %s", title(v.Good), v.age(v.Good))
}

func title(r *history.Run) string {
	if r.Version == "" {
		return strconv.Quote(r.Name)
	}
	return fmt.Sprintf("%q version %q", r.Name, r.Version)
}

// age is how long ago a run has ended.
func (v verdict) age(r *history.Run) string {
	d := v.now.Sub(r.Finished)
	if d < -time.Second { // the clock has been set back
		return rough(-d) + " ahead of the clock"
	}
	return rough(max(d, 0)) + " ago"
}

// rough is a time span by its largest unit, as people say it.
func rough(d time.Duration) string {
	for _, unit := range []time.Duration{day, time.Hour, time.Minute} {
		if d >= 2*unit || d >= unit && unit < day {
			return (*ageValue)(new(d.Truncate(unit))).String()
		}
	}
	return d.Truncate(time.Second).String()
}

func runsOf(n int) string {
	if n == 1 {
		return "1 run"
	}
	return fmt.Sprintf("%d runs", n)
}

func stamp(r *history.Run) string { return r.Finished.Local().Format(history.TimeFormat) }

// jsonVerdict is what --json prints.
type jsonVerdict struct {
	Dest    string          `json:"dest"`
	Raw     []byte          `json:"raw,omitempty"` // base64 of a dest that is not UTF-8
	Status  string          `json:"status"`
	Last    json.RawMessage `json:"last"`
	Running json.RawMessage `json:"running"`
	Refused int             `json:"refused_since"`
	Newest  json.RawMessage `json:"last_refused"`
	Age     *float64        `json:"age_s"`
	Good    json.RawMessage `json:"last_good"`
	GoodAge *float64        `json:"last_good_age_s"`
	Old     bool            `json:"too_old"`
	Error   string          `json:"error"`
}

// printJSON prints one object on one line: dest, its bytes in raw where they are no
// text, status, the runs last, running,
// last_refused and last_good, each as history --json has it, or null, how many were
// refused since last, whatever they were to deploy, and how many seconds ago last
// and last_good have ended.
func (v verdict) printJSON(w io.Writer) error {
	out := jsonVerdict{
		Dest: v.Dest, Status: "never", Refused: len(v.refused), Age: v.seconds(v.Last), GoodAge: v.seconds(v.Good),
		Old: v.isOld(), Error: v.unknown,
	}
	if !utf8.ValidString(v.Dest) {
		out.Raw = []byte(v.Dest)
	}
	switch {
	case v.unknown != "":
		out.Status = "unknown"
	case v.Last != nil:
		out.Status = string(v.Last.Result)
	}
	var newest *history.Run
	if len(v.refused) > 0 {
		newest = &v.refused[0]
	}
	for to, r := range map[*json.RawMessage]*history.Run{
		&out.Last: v.Last, &out.Running: v.Going, &out.Newest: newest, &out.Good: v.Good,
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

// seconds is how long ago a run has ended; less than 0 when the clock has been set
// back.
func (v verdict) seconds(r *history.Run) *float64 {
	if r == nil {
		return nil
	}
	return new(v.now.Sub(r.Finished).Round(time.Millisecond).Seconds())
}
