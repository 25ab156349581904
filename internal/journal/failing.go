package journal

import (
	"bytes"
	"os"
	"strings"
	"time"

	"stretcher/internal/journal/history"
	"stretcher/internal/journal/summary"
)

// failing is what is known of a step because of which the run fails.
type failing struct {
	bad   []history.Step // those that did not do what they should
	step  string         // that the run was in
	ended int64          // where the step's output ends in the log
	known bool
}

// Fails notes that the run fails because of the step that it is in. What the log
// says from here on is not the step's.
func (r *record) Fails() {
	r.failing.step, r.failing.ended, r.failing.known = r.run.Step, r.log.Offset(), true
}

// Foretell notes how the run is going to end. The row has it from now on: who is
// told of the run while it still goes on can ask why.
func (j *Journal) Foretell(exit int, text string) {
	j.Describe(func(run *history.Run) { run.Exit, run.Error = exit, text })
}

// Summary tells of this run, which is about to end so, as one line of JSON.
func (r *record) Summary(result history.Result, exit int, text string) string {
	d := history.Detail{Run: r.run, Steps: r.failing.bad}
	d.Result, d.Exit, d.Error = result, exit, text
	var lines []string
	if r.failing.known {
		d.Step = r.failing.step
		lines, _ = summary.Lines(d, r.log, r.log.Offset(), r.failing.ended) // who is told does without
	}
	host, _ := os.Hostname()
	var b bytes.Buffer
	_ = summary.Of(d, host, time.Now(), lines).WriteJSON(&b)
	return strings.TrimSuffix(b.String(), "\n")
}
