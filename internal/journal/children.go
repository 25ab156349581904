package journal

import (
	"sync"

	"github.com/google/uuid"
)

// runMark begins what the environment of everything that a run executes holds.
const runMark = "STRETCHER_RUN_ID="

// commandMark begins what the environment of a command holds, and no other's.
const commandMark = "STRETCHER_COMMAND_ID="

// Mark is what the environment of everything that a run executes holds.
func Mark(run string) string { return runMark + run }

// children are the process groups that a run is executing.
type children struct {
	mu     sync.Mutex
	live   int   // groups that are running
	groups []int // the live ones and, until none is, those that have ended
}

// Starting returns the environment of a command that is about to start, with
// an id by which the next run finds it, should this one be killed before
// Started.
func (j *Journal) Starting(env []string) []string {
	id := uuid.NewString()
	if j.dir != nil {
		_ = j.dir.SetStarting(j.run.ID, id)
	}
	return append(env, commandMark+id)
}

// Started notes a process group that the run is executing; 0 says that one of
// those noted has ended. Hooks may run concurrently.
func (j *Journal) Started(pgid int) {
	if j.dir == nil {
		return
	}
	c := &j.children
	c.mu.Lock()
	defer c.mu.Unlock()
	if pgid != 0 {
		c.live++
		c.groups = append(c.groups, pgid)
	} else if c.live = max(0, c.live-1); c.live == 0 {
		c.groups = nil
	} else {
		return
	}
	_ = j.dir.SetGroups(j.run.ID, c.groups...)
	_ = j.dir.SetStarting(j.run.ID, "")
}

// Containers notes whether the run may have containers.
func (j *Journal) Containers(may bool) {
	if j.dir != nil {
		_ = j.dir.SetContainers(j.run.ID, may)
	}
}
