package journal

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"stretcher/internal/disk"
	"stretcher/internal/journal/history"
	"stretcher/internal/journal/runlog"
	"stretcher/internal/journal/state"
	"stretcher/internal/process"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/runid"
)

// remains is what a run that died has left. Its id is one that this program
// gives.
type remains struct {
	run   history.Run
	dir   *state.Dir
	hooks Hooks
	log   *runlog.Log
	ended bool // it is said that the run had left processes
}

// there tells whether something of it is there.
func (r *remains) there() bool {
	return slices.ContainsFunc(leavings(), func(l leaving) bool { return l.there != nil && l.there(r) })
}

// remove removes all of it.
func (r *remains) remove() {
	for _, l := range leavings() {
		if l.remove == nil {
			continue
		}
		if err := l.remove(r); err != nil {
			r.log.Warn(failure.Sayf("%s of run %s: %v", l.what, r.run.ID, err))
		}
	}
}

// dirsOf are a run's temporary directories, as far as they have names that
// this program gives to that run's.
func dirsOf(d history.Run) []string {
	return slices.DeleteFunc(slices.Clone(d.Staging), func(dir string) bool {
		name := filepath.Base(dir)
		return !filepath.IsAbs(dir) || filepath.Clean(dir) != dir ||
			!strings.HasPrefix(name, runid.TempPrefix(d.ID)) || !runid.IsTemp(name)
	})
}

// hasDirs tells whether directories are left that removeDirs can remove.
func (r *remains) hasDirs() bool {
	return slices.ContainsFunc(dirsOf(r.run), func(dir string) bool {
		parent, err := place(dir)
		if err != nil {
			return false
		}
		defer parent.Close()
		_, err = parent.Root().Lstat(filepath.Base(dir))
		return err == nil
	})
}

// removeDirs removes a run's temporary directories and tells the first error.
func (r *remains) removeDirs() (err error) {
	for _, dir := range dirsOf(r.run) {
		err = cmp.Or(err, removeDir(dir))
	}
	return err
}

func removeDir(dir string) error {
	parent, err := place(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer parent.Close()
	return disk.RemoveAll(parent.Root(), filepath.Base(dir))
}

// place opens the directory that a temporary directory is in. Where others can
// rename, they may have given its name to something else: then it stays.
func place(dir string) (*disk.Dir, error) {
	parent, err := disk.Open(filepath.Dir(dir))
	if err == nil && !parent.Private() {
		err = fmt.Errorf("%q stays: %s", dir, parent.Exposed())
		_ = parent.Close()
	}
	return parent, err
}

// trees are the files in which a run records dest.
func (r *remains) trees() []string {
	name := r.dir.Tree(r.run.ID)
	return []string{name, name + ".new"}
}

func (r *remains) hasTrees() bool { return anyThere(r.trees()) }

func (r *remains) removeTrees() error {
	for _, name := range r.trees() {
		_ = os.Remove(name) // read only of runs that went well
	}
	return nil
}

func anyThere(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		_, err := os.Lstat(name)
		return err == nil
	})
}

func (r *remains) hasGroups() bool { return len(r.dir.Groups(r.run.ID)) > 0 }

func (r *remains) endGroups() error {
	for _, pgid := range r.dir.Groups(r.run.ID) {
		if process.KillGroup(pgid, Mark(r.run.ID)) {
			r.sayEnded()
		}
	}
	return r.dir.SetGroups(r.run.ID)
}

func (r *remains) isStarting() bool { return r.dir.Starting(r.run.ID) != "" }

func (r *remains) endStarting() error {
	if id := r.dir.Starting(r.run.ID); id != "" && process.KillGroupsOf(commandMark+id) {
		r.sayEnded()
	}
	return r.dir.SetStarting(r.run.ID, "")
}

func (r *remains) endMarked() error {
	if process.KillMarked(Mark(r.run.ID), r.hooks.Mark) > 0 {
		r.sayEnded()
	}
	return nil
}

func (r *remains) hasContainers() bool { return r.dir.Containers(r.run.ID) }

// removeContainers removes a run's containers. Without a note no engine is
// started to look for any. It is tried once: an engine that hangs would delay
// each run from now on.
func (r *remains) removeContainers() error {
	if !r.dir.Containers(r.run.ID) || r.hooks.RemoveContainers == nil {
		return nil
	}
	err := r.hooks.RemoveContainers(r.run.ID)
	_ = r.dir.SetContainers(r.run.ID, false)
	return err
}

// removeOwner forgets the note when nothing is left that it tells of.
func (r *remains) removeOwner() error {
	if r.hasDirs() {
		return nil
	}
	return r.dir.ForgetOwner(r.run.ID)
}

// sayEnded says once that a run that died had left processes.
func (r *remains) sayEnded() {
	if !r.ended {
		r.log.Info(fmt.Sprintf("ended what run %s had left running", r.run.ID))
	}
	r.ended = true
}
