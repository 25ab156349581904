package cli

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"stretcher/internal/disk"
	"stretcher/internal/journal/history"
	"stretcher/internal/journal/state"
	"stretcher/internal/journal/summary"
)

// formatNames are the formats of a summary.
func formatNames() (names []string) {
	for _, f := range summary.Formats() {
		names = append(names, f.Name)
	}
	return names
}

// toldSummary is the summary that a run gives to what it starts at its end, where
// that asks for it. It needs no history: a user whom run_as names can't read that,
// and there may be none.
func (o *historyOptions) toldSummary() (summary.Summary, bool) {
	text := o.Getenv("STRETCHER_RUN_SUMMARY")
	if !o.summary || text == "" || o.id != o.Getenv("STRETCHER_RUN_ID") {
		return summary.Summary{}, false
	}
	s, err := summary.Parse(text)
	return s, err == nil && s.ID == o.id
}

// printRunSummary prints what the history knows of a run.
func (o *historyOptions) printRunSummary(ctx context.Context, db *history.Store) error {
	d, err := o.detail(ctx, db)
	if err != nil {
		return err
	}
	foretell(&d.Run)
	host, _ := os.Hostname()
	return o.printSummary(summary.Of(d, host, time.Now(), lastLines(state.At(o.host.StateDir), d)))
}

// foretell gives a run whose success or failure commands run the result that it is
// going to have.
func foretell(r *history.Run) {
	switch {
	case r.Result != history.Running:
		return
	case r.Error != "":
		r.Result = history.Failed
		if r.Exit == ExitRefused {
			r.Result = history.Refused
		}
		if r.Step, _, _ = strings.Cut(r.Error, ": "); strings.Contains(r.Step, " ") {
			r.Step = ""
		}
	case r.Step == "success" || r.Step == "finish":
		r.Result = history.Good
	}
}

// lastLines are what the failed step of a run has left in the log; none where that
// can't be read.
func lastLines(dir *state.Dir, d history.Detail) []string {
	if d.Log == "" {
		return nil
	}
	f, err := disk.OpenRegular(dir.Log(d.ID), os.O_RDONLY, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	lines, _ := summary.Lines(d, f, info.Size(), -1)
	return lines
}

func (o *historyOptions) printSummary(s summary.Summary) error {
	if o.json {
		return s.WriteJSON(o.Stdout)
	}
	all := summary.Formats()
	return all[slices.IndexFunc(all, func(f summary.Format) bool { return f.Name == o.format })].Write(s, o.Stdout)
}
