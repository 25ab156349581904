package journal

import (
	"context"
	"fmt"
	"time"

	"stretcher/internal/journal/history"
	"stretcher/internal/process"
	"stretcher/internal/text/runid"
)

// Hooks is what has to be known of hooks to remove what they have left.
type Hooks struct {
	Mark             string                 // the variable that each process of a hook has in its environment
	RemoveContainers func(run string) error // nil: there are none
}

// ClearDied reports the runs that died and removes what they left. Of runs
// that have been reported before, it removes what is left still: who reported
// them may have been killed over it. Two that do it at once do no harm.
func (j *Journal) ClearDied(hooks Hooks) {
	if j.dir == nil {
		return
	}
	j.clearCommands(hooks)
	var reported, died []history.Run
	j.try(func(ctx context.Context, db *history.Store) (err error) {
		if reported, err = db.Reported(ctx); err == nil {
			died, err = db.Died(ctx, process.Alive)
		}
		return err
	})
	for _, d := range died {
		j.log.Warn(fmt.Sprintf("run %s died in step %q at %s", d.ID, d.Step, d.Finished.Local().Format(time.RFC3339)))
		j.clear(d, hooks)
	}
	for _, d := range reported {
		if !j.cleared[d.ID] && !process.Alive(d.PID, d.ProcStart) && j.hasLeft(d) {
			j.log.Info(fmt.Sprintf("removing what is left of run %s, which died in step %q", d.ID, d.Step))
			j.clear(d, hooks)
		}
	}
}

// clearCommands does so for commands that have no row in the history.
func (j *Journal) clearCommands(hooks Hooks) {
	for run, owner := range j.dir.Owners() {
		if run == j.run.ID || !runid.Is(run) || process.Alive(owner.PID, owner.Start) {
			continue
		}
		j.log.Warn(fmt.Sprintf("%s, run %s, died: removing what it left", owner.What, run))
		j.clear(history.Run{ID: run, Process: history.Process{Staging: owner.Dirs}}, hooks)
	}
}

// hasLeft tells whether something of a run that died is there.
func (j *Journal) hasLeft(d history.Run) bool {
	return runid.Is(d.ID) && j.remains(d, Hooks{}).there()
}

// clear removes what a run that died has left.
func (j *Journal) clear(d history.Run, hooks Hooks) {
	j.cleared[d.ID] = true
	if runid.Is(d.ID) { // else it was not written by this program
		j.remains(d, hooks).remove()
	}
}

func (j *Journal) remains(d history.Run, hooks Hooks) *remains {
	return &remains{run: d, dir: j.dir, hooks: hooks, log: j.log}
}
