// Package journal is what this machine remembers of runs, and what it does
// about those that died.
//
// Its words: a run is one execution of the program; its record is its row in
// the history with its steps, and its log; a note is a file in the state
// directory that says what a run may leave behind; a leaving is a kind of
// such things (leavings.go lists them all); a run has died when its process
// is gone and it has not said how it ended. Deployments and rollbacks have a
// row. Other commands that leave something (hooks run, hooks install) have a
// note in its place, since history, status and replay speak of deployments.
//
// Nothing of this may stop a deployment: the first call to the history that
// fails is a warning, and the history is left alone until the run ends.
//
// Below it are history (the rows), lock, runlog (the log), serial (how far each
// name has come), trace (the run for who collects traces) and state (where things
// are). The package may import these, and internal/text, process and
// disk. It knows no hooks: who removes containers is given.
package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"stretcher/internal/journal/history"
	"stretcher/internal/journal/runlog"
	"stretcher/internal/journal/state"
	"stretcher/internal/process"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/runid"
)

// Journal is the memory of one run. Its methods are not to be called
// concurrently, save for Starting and Started.
type Journal struct {
	record
	dir   *state.Dir     // nil without a usable state directory
	keeps bool           // the run is one for the history
	db    *history.Store // nil without a usable history
	old   *history.Store // to look at alone, instead of db; mostly nil
	lost  bool           // a call to the history has failed
	steps []history.Step // of the run, not written yet
	dirty bool           // there is more that is not written yet
	audit string         // file for auditors; "" = none

	meter
	cleared  map[string]bool // runs that died and that this one has cleaned up after
	children children
}

// New returns a journal that remembers nothing.
func New(log *runlog.Log) *Journal {
	return &Journal{record: record{log: log}, cleared: map[string]bool{}}
}

// Reading returns a journal that only knows where the state directory is: for
// those who look, and make nothing.
func Reading(path string, log *runlog.Log) *Journal {
	j := New(log)
	j.dir = state.At(path)
	return j
}

// OpenReading is Reading of a journal that also knows of earlier runs, where
// there is a history that nobody else can have written. It writes nothing.
func OpenReading(ctx context.Context, path string, log *runlog.Log) *Journal {
	j := Reading(path, log)
	if !state.Believed(path) {
		return j
	}
	j.old, _ = history.Open(ctx, j.dir.History(), history.Options{ReadOnly: true, Traceless: true})
	return j
}

// Open opens the state directory at path and the history in it. With an error
// the journal remembers nothing; one without a history has said so in the log.
func Open(ctx context.Context, path string, log *runlog.Log) (*Journal, error) {
	j, err := OpenNotes(path, log)
	if err != nil {
		return j, err
	}
	j.keeps = true
	j.db, err = history.Open(ctx, j.dir.History(), history.Options{Warn: func(err error) {
		log.Warn(failure.Sayf("history: %v", err))
	}})
	if err != nil {
		log.Warn(failure.Sayf("no history of this run: %v", err))
	}
	return j, nil
}

// OpenNotes opens the state directory at path alone, for a command that has
// no row in the history. With an error the journal remembers nothing.
func OpenNotes(path string, log *runlog.Log) (*Journal, error) {
	j := New(log)
	dir, err := state.Open(path)
	if err == nil {
		j.dir = dir
	}
	return j, err
}

// Close closes the history, and tells last of all how the run went.
func (j *Journal) Close() {
	for _, db := range []*history.Store{j.db, j.old} {
		if db != nil {
			_ = db.Close()
		}
	}
	j.tell()
}

// State is the state directory; nil when there is none.
func (j *Journal) State() *state.Dir { return j.dir }

// try runs one call to the history, if there is one.
func (j *Journal) try(call func(context.Context, *history.Store) error) {
	if j.db == nil || j.lost {
		return
	}
	// The record is made of interrupted runs too.
	if err := call(context.Background(), j.db); err != nil {
		j.log.Warn(failure.Text(err))
		j.lost = true
		if j.run.Finished.IsZero() {
			j.own("a deployment that no history knows")
		}
	}
}

// remembers tells whether the history takes what is noted.
func (j *Journal) remembers() bool { return j.db != nil && !j.lost }

// Claim is who has the event of a run already.
type Claim struct {
	Taken   string // says so; "" = nobody: the run has begun
	Dropped bool   // its manifest was not accepted: it stands in no older event's way
	Heard   bool   // its run has ended, and had come so far that its manifest was accepted and is fresh
}

// Begin begins the run's record, in the step that run names, unless its event
// has been handled or is being handled. With force it is handled once more.
func (j *Journal) Begin(run history.Run, force bool) (c Claim) {
	if j.dir != nil {
		run.Log = j.dir.Log(run.ID)
	}
	j.run = run
	j.enter(run.Step)
	j.try(func(ctx context.Context, db *history.Store) error {
		by, begun, err := db.Claim(ctx, run, force, process.Alive)
		switch {
		case err != nil || begun:
			return err
		case by.Ended() || by.PID == 0:
			c.Taken = fmt.Sprintf("nothing to do: event %q has been handled by run %s", run.Event, by.ID)
			c.Dropped, c.Heard = wasDropped(by), wasHeard(by)
		default:
			c.Taken = fmt.Sprintf("nothing to do: event %q is being handled by run %s, process %d", run.Event, by.ID, by.PID)
		}
		return nil
	})
	if c.Taken != "" {
		j.Conclude(history.Skipped, 0, "")
		return c
	}
	if j.db == nil {
		j.own("a deployment that no history knows")
	}
	j.keepLog()
	return c
}

// wasDropped tells whether a run has ended before its manifest was accepted.
// One that was interrupted there is somebody's wish.
func wasDropped(r history.Run) bool {
	return (r.Result == history.Failed || r.Result == history.Refused) && r.Exit < 128 &&
		(slices.Contains([]string{"", "delay", "manifest"}, r.Step) || r.Step == "freshness" && r.Result == history.Refused)
}

// wasHeard tells whether a run has come beyond the step in which an old manifest is
// refused.
func wasHeard(r history.Run) bool {
	return r.Ended() && !slices.Contains([]string{"", "delay", "manifest", "lock", "freshness"}, r.Step)
}

// keepLog moves the log to its file in the state directory.
func (j *Journal) keepLog() {
	if j.dir == nil {
		return
	}
	f, err := os.OpenFile(j.dir.Log(j.run.ID), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		j.log.Warn(failure.Sayf("log of this run: %v", err))
		j.Describe(func(run *history.Run) { run.Log = "" })
		return
	}
	j.log.Keep(f)
}

// BeginCommand begins the notes of a command that has no row: its id and what
// it is, for people. EndCommand ends them.
func (j *Journal) BeginCommand(id, what string) {
	j.run = history.Run{ID: id}
	j.own(what)
}

// own makes the note that stands for a row, with the directories that there
// are already.
func (j *Journal) own(what string) {
	if j.dir == nil {
		return
	}
	owner := state.Owner{What: what, PID: os.Getpid(), Start: process.Start(os.Getpid())}
	if err := j.dir.SetOwner(j.run.ID, owner); err != nil {
		j.log.Warn(failure.Sayf("what this command leaves when it is killed is not known: %v", err))
	}
	for _, dir := range j.run.Staging {
		_ = j.dir.AddOwned(j.run.ID, dir)
	}
}

// EndCommand ends what BeginCommand began. All that was noted is removed.
func (j *Journal) EndCommand() {
	if j.dir != nil {
		_ = j.dir.SetContainers(j.run.ID, false)
		_ = j.dir.ForgetOwner(j.run.ID)
	}
}

// Describe notes what is known of the run by now. It is written with what
// comes next.
func (j *Journal) Describe(change func(*history.Run)) {
	change(&j.run)
	j.dirty = true
}

// write writes all that is known of the run and has not been written.
func (j *Journal) write() {
	steps := j.steps
	j.steps, j.dirty = nil, false
	j.measure(&j.run)
	j.try(func(ctx context.Context, db *history.Store) error { return db.Update(ctx, j.run, steps...) })
	if !j.remembers() {
		mark(j)
	}
}

// Skip notes an event that gave way to this run's. It returns false for one
// that has been handled already or is being handled.
func (j *Journal) Skip(run history.Run) bool {
	handled := false
	j.try(func(ctx context.Context, db *history.Store) (err error) {
		if _, handled, err = db.Taken(ctx, run.EventKey, process.Alive); handled || err != nil {
			return err
		}
		return db.Skip(ctx, run)
	})
	return !handled
}

// IsTaken tells whether an event has been handled or is being handled.
func (j *Journal) IsTaken(key string) (taken bool) {
	j.try(func(ctx context.Context, db *history.Store) (err error) {
		_, taken, err = db.Taken(ctx, key, process.Alive)
		return err
	})
	return taken
}

// Enter notes the step that the run is in.
func (j *Journal) Enter(step string) {
	if j.run.Step == step && !j.dirty && len(j.steps) == 0 {
		return // Begin has written it
	}
	j.enter(step)
	j.write()
}

// Aside does something that is a step of its own, and is then back in the
// step that the run was in: that is where it has failed.
func (j *Journal) Aside(step string, do func()) {
	before := j.run.Step
	j.Enter(step)
	defer func() {
		j.run.Step = before
		j.log.Enter(before)
		j.write() // the run may be killed now
	}()
	do()
}

// Add notes a step that has ended. One of the process itself is written with
// what comes next, which is at once.
func (j *Journal) Add(s history.Step) {
	s.Run = j.run.ID
	j.appendAudit(s)
	j.way.add(j.run.Step, s)
	j.steps = append(j.steps, s)
	if !s.OK() {
		j.failing.bad = append(j.failing.bad, s)
	}
	if s.Dialect != DialectSelf {
		j.write()
	}
}

// Finish notes how the run ended. With handled, its event will not run again.
func (j *Journal) Finish(result history.Result, exit int, text string, handled bool) {
	j.Conclude(result, exit, text)
	// Worth another attempt, since the disk may have room again: without its
	// end the run would count as dead, and its event would run once more.
	j.lost = false
	steps := j.steps
	j.steps = nil
	j.measure(&j.run)
	j.try(func(ctx context.Context, db *history.Store) error { return db.Finish(ctx, j.run, handled, steps...) })
	mark(j)
	j.EndCommand()
}

// Withdraw ends a run that nobody needs to know of: there is no record of it.
func (j *Journal) Withdraw(result history.Result, exit int, text string) {
	j.Conclude(result, exit, text)
	j.steps = nil
	j.try(func(ctx context.Context, db *history.Store) error { return db.Withdraw(ctx, j.run.ID) })
	if j.dir != nil {
		j.dir.Forget(j.run.ID)
	}
	j.EndCommand()
}

// Prune forgets runs older than keep, but none that began after this one did;
// see history.Store.Prune.
func (j *Journal) Prune(keep time.Duration, gone func(dest string) bool) {
	before := time.Now().Add(-keep)
	if j.run.Started.Before(before) {
		before = j.run.Started
	}
	j.try(func(ctx context.Context, db *history.Store) error {
		runs, err := db.Prune(ctx, before, gone)
		for _, run := range runs {
			if runid.Is(run) { // it becomes a file's name
				j.dir.Forget(run)
			}
		}
		return err
	})
}

// look is try for calls that change nothing.
func (j *Journal) look(call func(context.Context, *history.Store) error) {
	if j.old == nil {
		j.try(call)
		return
	}
	_ = call(context.Background(), j.old) // who only looks can do without
}

// LastGood is the last good run on dest.
func (j *Journal) LastGood(dest string) (good history.Run, ok bool) {
	j.look(func(ctx context.Context, db *history.Store) (err error) {
		good, err = db.LastGood(ctx, dest)
		if ok = err == nil; errors.Is(err, history.ErrNotFound) {
			return nil
		}
		return err
	})
	return good, ok
}

// IsGood tells whether the last run on dest that ended was a good one.
func (j *Journal) IsGood(dest string) (is bool) {
	good, ok := j.LastGood(dest)
	if !ok {
		return false
	}
	j.look(func(ctx context.Context, db *history.Store) error {
		later, err := db.After(ctx, good)
		is = err == nil && !slices.ContainsFunc(later, func(l history.Run) bool {
			return l.ID != j.run.ID && l.Result != history.Good
		})
		return err
	})
	return is
}

// Overtaken finds the newest run on the dest of j's run that began after it, and has
// been let change dest, or may have.
func Overtaken(j *Journal) (by history.Run, is bool) {
	if j.run.Dest == "" {
		return by, false
	}
	early := []string{"", "delay", "manifest", "lock", "freshness"} // it may still be refused
	j.look(func(ctx context.Context, db *history.Store) error {
		runs, err := db.List(ctx, history.Filter{Dest: j.run.Dest, Limit: maxLater})
		history.Judge(runs, process.Alive)
		for _, r := range runs {
			if r.ID == j.run.ID {
				break
			}
			goesOn := r.Result == history.Running && !slices.Contains(early, r.Step)
			if goesOn || r.Result != history.Running && r.Result != history.Skipped && r.MayHaveSynced() {
				by, is = r, true
				break
			}
		}
		return err
	})
	return by, is
}

// Touched is the last run that has changed a dest, or may have; "" where none is known.
func Touched(j *Journal, dest string) (run string) {
	j.look(func(ctx context.Context, db *history.Store) error {
		runs, err := db.List(ctx, history.Filter{Dest: dest, Limit: maxLater})
		for _, r := range runs {
			ended := r.Result != history.Running && r.Result != history.Skipped
			if ended && (r.MayHaveSynced() || r.Result == history.Good) && r.ID != j.run.ID {
				run = max(run, r.ID)
			}
		}
		return err
	})
	return run
}

// Held is what a dest holds by the runs on it. The own run counts as one that has ended
// in the step that it is in, and has failed.
func Held(j *Journal, dest string) (held history.Held) {
	j.look(func(ctx context.Context, db *history.Store) error {
		runs, err := db.List(ctx, history.Filter{Dest: dest, Limit: maxLater, ByEnd: true})
		history.Judge(runs, process.Alive)
		runs = slices.DeleteFunc(runs, func(r history.Run) bool { return r.ID == j.run.ID })
		if own := j.run; own.Dest == dest {
			own.Result, own.Finished = history.Failed, time.Now()
			runs = slices.Insert(runs, 0, own)
		}
		held = history.HeldAt(dest, runs)
		return err
	})
	return held
}

// maxLater bounds how many later runs are looked at.
const maxLater = 10_000

// IsLast tells whether no run has touched the good run's dest since: one that
// failed may have left files there that look like the good run's.
func (j *Journal) IsLast(good history.Run) bool {
	last := false
	j.look(func(ctx context.Context, db *history.Store) error {
		later, err := db.After(ctx, good)
		last = err == nil && !slices.ContainsFunc(later, func(l history.Run) bool {
			return l.Result != history.Running && l.MayHaveSynced()
		})
		return err
	})
	return last
}
