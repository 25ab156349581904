package history

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"stretcher/internal/text/printable"
)

// TimeFormat is that of times for people, who must know the zone.
const TimeFormat = "2006-01-02 15:04:05 MST"

const (
	shortID = 13 // digits of a UUIDv7 that hold its whole time, with the dash
)

// WriteTable writes one aligned line per run, in the order given, under a
// heading; nothing but the heading when there are none. Times are in the
// location they come in (local, from a Store); ids are shortened to a length
// that tells the given runs apart, and Store.Run takes them so. With dests
// there is a column for dest, whose name alone may be that of several.
func WriteTable(w io.Writer, runs []Run, dests bool) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	heading := []string{"RUN", "STARTED", "NAME", "VERSION", "DEST", "RESULT", "DURATION", "BY"}
	n := idLength(runs)
	line := func(cells ...string) {
		if !dests {
			cells = slices.Delete(cells, 4, 5)
		}
		row(tw, cells...)
	}
	line(heading...)
	for _, r := range runs {
		line(r.ID[:min(n, len(r.ID))], r.Started.Format(TimeFormat), r.Name, r.Version, r.Dest, string(r.Result),
			r.Took(), r.Who())
	}
	return tw.Flush() // reports the errors of all writes before it
}

// WriteDetail writes what is known of one run, then a table of its steps: when
// in the run each began, how long it took, how it ended, and the offset of its
// output in the run's log file, in bytes.
func WriteDetail(w io.Writer, d Detail) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range Fields(d.Run) {
		row(tw, f.Name, f.Value)
	}
	if len(d.Steps) > 0 {
		// The tab-less line ends the column block, so each has its own widths.
		fmt.Fprintln(tw, "\nSTEP\tPOINT\tDIALECT\tAT\tDURATION\tEXIT\tLOG OFFSET\tNAME")
	}
	for _, s := range d.Steps {
		row(tw, strconv.Itoa(s.Seq), s.Point, s.Dialect, "+"+Human(max(s.Started.Sub(d.Started), 0)),
			Human(s.Duration), s.End(), strconv.FormatInt(s.Offset, 10), s.Told())
	}
	return tw.Flush()
}

// row writes a line of escaped cells; an empty one shows as a dash, so that
// columns can be cut by scripts.
func row(tw *tabwriter.Writer, cells ...string) {
	for i, c := range cells {
		if cells[i] = printable.Line(c); c == "" {
			cells[i] = "-"
		}
	}
	fmt.Fprintln(tw, strings.Join(cells, "\t"))
}

// serial is that of a run's manifest, "" when it has none.
func serial(r Run) string {
	if r.Serial == 0 {
		return ""
	}
	return strconv.FormatInt(r.Serial, 10)
}

// Field is a line of a run's description.
type Field struct{ Name, Value string }

// Fields describes a run, without what is empty.
func Fields(r Run) []Field {
	all := []Field{
		{"run", r.ID},
		{"name", r.Name},
		{"version", r.Version},
		{"dest", r.Dest},
		{"manifest", r.URL},
		{"by", r.Who()},
		{"signed by", r.Signers},
		{"serial", serial(r)},
		{"policy", r.Policy},
		{"started", r.Started.Format(TimeFormat)},
		{"finished", finished(r)},
		{"result", outcome(r)},
		{"error", r.Error},
		{"back to", r.Back},
		{"log", r.Log},
	}
	var told []Field
	for _, f := range all {
		if f.Value != "" {
			told = append(told, f)
		}
	}
	return told
}

func finished(r Run) string {
	switch {
	case r.Finished.IsZero():
		return ""
	case r.Result == Died:
		return "no; last sign of life " + r.Finished.Format(TimeFormat)
	}
	return r.Finished.Format(TimeFormat) + ", after " + Human(r.Duration())
}

// outcome is the result in words: "failed in post, exit 1".
func outcome(r Run) string {
	text := string(r.Result)
	if r.Step != "" && r.Result != Good {
		text += " in " + r.Step
	}
	if r.Ended() && r.Result != Skipped {
		text += ", exit " + strconv.Itoa(r.Exit)
	}
	return text
}

// Who says what asked for the run, and which user.
func (r Run) Who() string {
	switch {
	case r.User == "":
		return r.Event
	case r.Event == "":
		return "by " + r.User
	}
	return r.Event + " by " + r.User
}

// Took is how long the run took, for people; "" while that is not known.
func (r Run) Took() string {
	if r.Finished.IsZero() || r.Result == Skipped {
		return ""
	}
	return Human(r.Duration())
}

// End says how a step ended: "0", "1", "SIGKILL (timed out)", "never started".
func (s Step) End() string {
	text := strconv.Itoa(s.Exit)
	switch {
	case s.Signal != "":
		text = s.Signal
	case s.Exit < 0:
		text = "never started"
	}
	if s.TimedOut {
		text += " (timed out)"
	}
	return text
}

// Told is the name of a step, where it was defined unless the name says so, and
// why it never started.
func (s Step) Told() string {
	name := s.Name
	if s.Source != "" && !strings.HasSuffix(s.Source, "."+s.Name) {
		name += " from " + s.Source
	}
	if s.Why != "" {
		name += ": " + s.Why
	}
	return name
}

// Human shows a duration with about three digits.
func Human(d time.Duration) string {
	switch {
	case d <= 0:
		return "0s"
	case d < time.Millisecond:
		return "<1ms"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Truncate(100*time.Millisecond).Seconds(), 'f', 1, 64) + "s"
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
}

// idLength is how many bytes of their ids tell the runs apart.
func idLength(runs []Run) int {
	for n := shortID; ; n++ {
		seen, longer, clash := map[string]bool{}, false, false
		for _, r := range runs {
			id := r.ID[:min(n, len(r.ID))]
			clash = clash || seen[id]
			longer = longer || len(r.ID) > n
			seen[id] = true
		}
		if !clash || !longer {
			return n
		}
	}
}
