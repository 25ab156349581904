package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"stretcher/internal/disk"
	"stretcher/internal/hooks"
	"stretcher/internal/journal/history"
	"stretcher/internal/journal/lock"
	"stretcher/internal/journal/runlog"
	"stretcher/internal/journal/state"
	"stretcher/internal/process"
	"stretcher/internal/text/failure"
)

// recorder keeps the memory of one run: its row in the history, its log, what
// it leaves at dest. Nothing of that may stop a deployment: the first thing
// that fails is a warning, and the history is left alone until the run ends.
type recorder struct {
	log  *runlog.Log
	dir  *state.Dir     // nil without a usable state directory
	db   *history.Store // nil without a usable history
	lost bool           // a call to the history has failed
	row  history.Run
	json string // file for auditors; "" = none

	buried map[string]bool // runs that died and that this one has cleaned up after

	groups sync.Mutex
	live   int   // process groups that are running
	pgids  []int // the live ones and, until none is, those that have ended
}

// openRecorder opens the state directory at path.
func openRecorder(ctx context.Context, path string, log *runlog.Log) (*recorder, error) {
	c := &recorder{log: log, buried: map[string]bool{}}
	dir, err := state.Open(path)
	if err != nil {
		return c, err
	}
	c.dir = dir
	c.db, err = history.Open(ctx, dir.History(), history.Options{Warn: func(err error) {
		log.Warn(failure.Sayf("history: %v", err))
	}})
	if err != nil {
		log.Warn(failure.Sayf("no history of this run: %v", err))
	}
	return c, nil
}

func (c *recorder) close() {
	if c.db != nil {
		_ = c.db.Close()
	}
}

// try runs one call to the history, if there is one.
func (c *recorder) try(call func(context.Context, *history.Store) error) {
	if c.db == nil || c.lost {
		return
	}
	// The record is made of interrupted runs too.
	if err := call(context.Background(), c.db); err != nil {
		c.log.Warn(failure.Text(err))
		c.lost = true
	}
}

// claim begins the run in the history. When its event has been handled or is
// being handled, it says so and returns what it said.
func (c *recorder) claim(row history.Run, force bool) (taken string) {
	c.row = row
	c.try(func(ctx context.Context, db *history.Store) error {
		by, begun, err := db.Claim(ctx, row, force, process.Alive)
		switch {
		case err != nil || begun:
			return err
		case by.Ended() || by.PID == 0:
			taken = fmt.Sprintf("nothing to do: event %q has been handled by run %s", row.Event, by.ID)
		default:
			taken = fmt.Sprintf("nothing to do: event %q is being handled by run %s, process %d", row.Event, by.ID, by.PID)
		}
		return nil
	})
	if taken != "" {
		c.log.Info(taken)
	} else {
		c.keepLog()
	}
	return taken
}

// keepLog moves the log to its file in the state directory.
func (c *recorder) keepLog() {
	if c.dir == nil {
		return
	}
	f, err := os.OpenFile(c.dir.Log(c.row.ID), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		c.log.Warn(failure.Sayf("log of this run: %v", err))
		return
	}
	c.log.Keep(f)
	c.row.Log = f.Name()
	c.update()
}

// update writes what is known of the run by now.
func (c *recorder) update() {
	c.try(func(ctx context.Context, db *history.Store) error { return db.Update(ctx, c.row) })
}

// skip notes an event that gave way to this run's. It returns false for one
// that has been handled already or is being handled.
func (c *recorder) skip(row history.Run) bool {
	handled := false
	c.try(func(ctx context.Context, db *history.Store) (err error) {
		if _, handled, err = db.Taken(ctx, row.EventKey, process.Alive); handled || err != nil {
			return err
		}
		return db.Skip(ctx, row)
	})
	return !handled
}

// enter notes the step that the run is in.
func (c *recorder) enter(step string) {
	c.row.Step = step
	c.try(func(ctx context.Context, db *history.Store) error { return db.SetStep(ctx, c.row.ID, step) })
}

// add notes a step that has ended.
func (c *recorder) add(s history.Step) {
	s.Run = c.row.ID
	c.audit(s)
	c.try(func(ctx context.Context, db *history.Store) error { return db.AddStep(ctx, s) })
}

// finish notes how the run ended. With handled, its event will not run again.
func (c *recorder) finish(result history.Result, exit int, text string, handled bool) {
	c.row.Result, c.row.Exit, c.row.Error = result, exit, text
	// Worth another attempt, since the disk may have room again: without its
	// end the run would count as dead, and its event would run once more.
	c.lost = false
	c.try(func(ctx context.Context, db *history.Store) error { return db.Finish(ctx, c.row, handled) })
}

// prune forgets runs older than keep.
func (c *recorder) prune(keep time.Duration) {
	c.try(func(ctx context.Context, db *history.Store) error {
		logs, err := db.Prune(ctx, time.Now().Add(-keep))
		for _, name := range logs {
			c.dir.Forget(strings.TrimSuffix(filepath.Base(name), ".log"))
		}
		return err
	})
}

// lastGood is the last good run on dest.
func (c *recorder) lastGood(dest string) (good history.Run, ok bool) {
	c.try(func(ctx context.Context, db *history.Store) (err error) {
		good, err = db.LastGood(ctx, dest)
		if ok = err == nil; errors.Is(err, history.ErrNotFound) {
			return nil
		}
		return err
	})
	return good, ok
}

// isLast tells whether no run has touched the good run's dest since: one that
// failed may have left files there that look like the good run's.
func (c *recorder) isLast(good history.Run) bool {
	last := false
	c.try(func(ctx context.Context, db *history.Store) error {
		later, err := db.After(ctx, good)
		last = err == nil && !slices.ContainsFunc(later, func(l history.Run) bool {
			return l.Result != history.Running && mayHaveSynced(l.Step)
		})
		return err
	})
	return last
}

// mayHaveSynced tells whether a run that ended in step may have begun to sync.
func mayHaveSynced(step string) bool {
	return !slices.Contains([]string{
		"", "delay", "manifest", "lock", "hooks", "init", "pre_fetch", "fetch", "auth_fail",
		"pre_extract", "pre", "extract", "post_extract", "pre_sync",
	}, step)
}

// buryDied reports the runs that died and removes what they left: processes,
// containers, by the function given, and temporary directories. Of runs that
// have been reported before, it removes what is left still: who reported them
// may have been killed over it. Two that do it at once do no harm.
func (c *recorder) buryDied(removeContainers func(run string) error) {
	var reported, died []history.Run
	c.try(func(ctx context.Context, db *history.Store) (err error) {
		if reported, err = db.List(ctx, history.Filter{Results: []history.Result{history.Died}}); err == nil {
			died, err = db.Died(ctx, process.Alive)
		}
		return err
	})
	for _, d := range died {
		c.log.Warn(fmt.Sprintf("run %s died in step %q at %s", d.ID, d.Step, d.Finished.Local().Format(time.DateTime)))
		c.bury(d, removeContainers)
	}
	for _, d := range reported {
		if !c.buried[d.ID] && !process.Alive(d.PID, d.ProcStart) && c.hasLeft(d) {
			c.log.Info(fmt.Sprintf("removing what is left of run %s, which died in step %q", d.ID, d.Step))
			c.bury(d, removeContainers)
		}
	}
}

// bury removes what a run that died has left. Directories go last: they show
// that there may be more.
func (c *recorder) bury(d history.Run, removeContainers func(run string) error) {
	c.buried[d.ID] = true
	c.endRest(d.ID, removeContainers)
	for _, name := range c.treesOf(d) {
		_ = os.Remove(name) // read only of runs that went well
	}
	for _, dir := range stagingOf(d) {
		if err := disk.RemovePath(dir); err != nil {
			c.log.Warn(failure.Sayf("clean-up after run %s: %v", d.ID, err))
		}
	}
}

// hasLeft tells whether something of a run that died is there.
func (c *recorder) hasLeft(d history.Run) bool {
	return len(c.dir.Groups(d.ID)) > 0 || c.dir.Starting(d.ID) != "" || c.dir.Containers(d.ID) ||
		slices.ContainsFunc(append(c.treesOf(d), stagingOf(d)...), func(name string) bool {
			_, err := os.Lstat(name)
			return err == nil
		})
}

// treesOf are the files in which a run records dest.
func (c *recorder) treesOf(d history.Run) []string {
	return []string{c.dir.Tree(d.ID), c.dir.Tree(d.ID) + ".new"}
}

// stagingOf are a run's temporary directories, as far as they have names that
// this program gives.
func stagingOf(d history.Run) (dirs []string) {
	for _, dir := range d.Staging {
		if strings.HasPrefix(filepath.Base(dir), tempPrefix(d.ID)) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// endRest ends the processes and containers of a run that died.
func (c *recorder) endRest(run string, removeContainers func(run string) error) {
	ended := false
	for _, pgid := range c.dir.Groups(run) {
		ended = process.KillGroup(pgid, markOf(run)) || ended
	}
	if id := c.dir.Starting(run); id != "" {
		ended = process.KillGroupsOf(commandMark+id) || ended
	}
	if n := process.KillMarked(markOf(run), hooks.MarkName); n > 0 { // in groups of their own
		ended = true
	}
	if ended {
		c.log.Info(fmt.Sprintf("ended what run %s had left running", run))
	}
	_ = c.dir.SetGroups(run)
	_ = c.dir.SetStarting(run, "")
	if !c.dir.Containers(run) {
		return // and no engine is started to look for any
	}
	err := removeContainers(run)
	if err != nil {
		c.log.Warn(failure.Sayf("containers of run %s: %v", run, err))
	}
	_ = c.dir.SetContainers(run, false) // not tried again: an engine that hangs would delay each run from now on
}

// markOf is what the environment of everything that a run executes holds.
func markOf(run string) string { return "STRETCHER_RUN_ID=" + run }

// commandMark begins what the environment of a command holds, and no other's.
const commandMark = "STRETCHER_COMMAND_ID="

// begin returns the environment of a command that is about to start, with an
// id by which the next run finds it, should this one be killed before setGroup.
func (c *recorder) begin(env []string) []string {
	id := uuid.NewString()
	if c.dir != nil {
		_ = c.dir.SetStarting(c.row.ID, id)
	}
	return append(env, commandMark+id)
}

// setGroup notes a process group that the run is executing, for buryDied; 0
// says that one of those noted has ended. Hooks may run concurrently.
func (c *recorder) setGroup(pgid int) {
	if c.dir == nil {
		return
	}
	c.groups.Lock()
	defer c.groups.Unlock()
	if pgid != 0 {
		c.live++
		c.pgids = append(c.pgids, pgid)
	} else if c.live = max(0, c.live-1); c.live == 0 {
		c.pgids = nil
	} else {
		return
	}
	_ = c.dir.SetGroups(c.row.ID, c.pgids...)
	_ = c.dir.SetStarting(c.row.ID, "")
}

// setContainers notes whether the run may have containers, for buryDied.
func (c *recorder) setContainers(may bool) {
	if c.dir != nil {
		_ = c.dir.SetContainers(c.row.ID, may)
	}
}

// lock takes the lock on dest, in the state directory or, when that can't be
// used, in the system's temporary directory. Where neither can hold a lock
// the deployment goes on without: the state of a machine must not stop it.
func (c *recorder) lock(ctx context.Context, dest string, wait time.Duration) (unlock func() error, err error) {
	if c.dir != nil {
		unlock, err = c.lockIn(ctx, c.dir.Locks(), dest, wait)
		if err == nil || errors.Is(err, lock.ErrHeld) || ctx.Err() != nil || errors.Is(err, lock.ErrDest) {
			return unlock, err
		}
		c.log.Warn(failure.Sayf("%v; the lock is taken elsewhere", err))
	}
	dir, err := state.FallbackLocks(os.TempDir(), os.Getuid())
	if err == nil {
		unlock, err = c.lockIn(ctx, dir, dest, wait)
		if err == nil || errors.Is(err, lock.ErrHeld) || ctx.Err() != nil || errors.Is(err, lock.ErrDest) {
			return unlock, err
		}
	}
	c.log.Warn(failure.Sayf("no lock on %q, another run may work on it too: %v", dest, err))
	return func() error { return nil }, nil
}

func (c *recorder) lockIn(ctx context.Context, dir, dest string, wait time.Duration) (unlock func() error, err error) {
	return lock.Acquire(ctx, dir, dest, lock.Info{PID: os.Getpid(), Run: c.row.ID}, lock.Wait{
		Max: wait,
		Notify: func(holder lock.Info) {
			c.log.Info(fmt.Sprintf("waiting for the lock on %q: process %d, run %s has it", dest, holder.PID, holder.Run))
		},
	})
}
