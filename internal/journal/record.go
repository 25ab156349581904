package journal

import (
	"time"

	"stretcher/internal/journal/history"
	"stretcher/internal/journal/runlog"
)

// record is what is known of a run by now, wherever it is written.
type record struct {
	log     *runlog.Log
	run     history.Run
	failing failing
	way     way
}

// Run is the row of this run as far as it is known, also where there is no
// history to write it to.
func (r *record) Run() history.Run { return r.run }

// Step is the step that the run is in.
func (r *record) Step() string { return r.run.Step }

// enter has the run, and its log, in a step from here on.
func (r *record) enter(step string) {
	r.run.Step = step
	r.way.enter(step)
	r.log.Enter(step)
}

// Conclude says how the run ended, for what is told of it last. Nothing of that is
// written into the history.
func (r *record) Conclude(result history.Result, exit int, text string) {
	r.run.Result, r.run.Exit, r.run.Error, r.run.Finished = result, exit, text, time.Now()
}

// tell tells how the run went. Of one that has not been concluded there is nothing
// to be told.
func (r *record) tell() {
	if !r.run.Finished.IsZero() {
		r.log.End(r.run.Attributes()...)
	}
}
