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

const (
	timeFormat = "2006-01-02 15:04:05 MST"
	shortID    = 13 // digits of a UUIDv7 that hold its whole time, with the dash
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
		line(r.ID[:min(n, len(r.ID))], r.Started.Format(timeFormat), r.Name, r.Version, r.Dest, string(r.Result),
			runDuration(r), who(r))
	}
	return tw.Flush() // reports the errors of all writes before it
}

// WriteDetail writes what is known of one run, then a table of its steps: when
// in the run each began, how long it took, how it ended, and the offset of its
// output in the run's log file, in bytes.
func WriteDetail(w io.Writer, d Detail) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range fields(d.Run) {
		row(tw, f.Name, f.Value)
	}
	if len(d.Steps) > 0 {
		// The tab-less line ends the column block, so each has its own widths.
		fmt.Fprintln(tw, "\nSTEP\tPOINT\tDIALECT\tAT\tDURATION\tEXIT\tLOG OFFSET\tNAME")
	}
	for _, s := range d.Steps {
		row(tw, strconv.Itoa(s.Seq), s.Point, s.Dialect, "+"+human(max(s.Started.Sub(d.Started), 0)),
			human(s.Duration), stepEnd(s), strconv.FormatInt(s.Offset, 10), told(s))
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

// field is a line of a run's description.
type field struct{ Name, Value string }

// fields describes a run, without what is empty.
func fields(r Run) []field {
	all := []field{
		{"run", r.ID},
		{"name", r.Name},
		{"version", r.Version},
		{"dest", r.Dest},
		{"manifest", r.URL},
		{"by", who(r)},
		{"signed by", r.Signers},
		{"serial", serial(r)},
		{"policy", r.Policy},
		{"started", r.Started.Format(timeFormat)},
		{"finished", finished(r)},
		{"result", outcome(r)},
		{"error", r.Error},
		{"back to", r.Back},
		{"log", r.Log},
	}
	var told []field
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
		return "no; last sign of life " + r.Finished.Format(timeFormat)
	}
	return r.Finished.Format(timeFormat) + ", after " + human(r.Duration())
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

// who says what asked for the run, and which user.
func who(r Run) string {
	switch {
	case r.User == "":
		return r.Event
	case r.Event == "":
		return "by " + r.User
	}
	return r.Event + " by " + r.User
}

func runDuration(r Run) string {
	if r.Finished.IsZero() || r.Result == Skipped {
		return ""
	}
	return human(r.Duration())
}

// stepEnd says how a step ended: "0", "1", "SIGKILL (timed out)", "never started".
func stepEnd(s Step) string {
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

// told is the name of a step, where it was defined unless the name says so, and
// why it never started.
func told(s Step) string {
	name := s.Name
	if s.Source != "" && !strings.HasSuffix(s.Source, "."+s.Name) {
		name += " from " + s.Source
	}
	if s.Why != "" {
		name += ": " + s.Why
	}
	return name
}

// human shows a duration with about three digits.
func human(d time.Duration) string {
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
