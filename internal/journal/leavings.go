package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"stretcher/internal/disk"
	"stretcher/internal/journal/history"
	"stretcher/internal/process"
)

// leaving is a kind of thing that a run leaves behind when it is killed. Each
// is noted before it is made, or has a name by which it is known, so that
// there is no moment at which a kill leaves something that nobody finds.
type leaving struct {
	what    string // in plural
	of      string // the commands that leave it
	noted   string // where, or the name that tells it
	remover string // who removes it, and when
	// there tells whether a run that died has left some; nil: that does not
	// show. remove removes them; nil: somebody else does.
	there  func(j *Journal, d history.Run) bool
	remove func(j *Journal, d history.Run, hooks Hooks) error
}

// Who removes what is left.
const (
	anyRun  = "the next run on the host, before its first step and when it has the lock"
	kernel  = "the kernel, with the process"
	nextOne = "the next deployment of the same dest"
)

// leavings are all kinds, in the order of their removal. Directories go last:
// while they are there, it shows that there may be more.
func leavings() []leaving {
	return []leaving{
		{"process groups of commands and hooks", "deployments, rollbacks, hooks run",
			"running/RUN, as soon as the leader has started", anyRun, (*Journal).hasGroups, (*Journal).endGroups},
		{"commands that are just starting", "deployments, rollbacks",
			"running/RUN.starting, before the start: " + commandMark + "ID, which is in their environment", anyRun,
			(*Journal).isStarting, (*Journal).endStarting},
		{"processes of hooks that have left their group", "deployments, rollbacks, hooks run",
			runMark + "RUN and the mark of a hook, which are in their environment", anyRun, nil, (*Journal).endMarked},
		{"containers of hooks", "deployments, rollbacks, hooks run",
			"running/RUN.containers, and their label", anyRun, (*Journal).hasContainers, (*Journal).removeContainers},
		{"records of dest of runs that were not good", "deployments, rollbacks",
			"trees/RUN, trees/RUN.new", anyRun, (*Journal).hasTrees, (*Journal).removeTrees},
		{"temporary directories", "deployments, rollbacks, hooks run, hooks install",
			"the run's row in the history; of commands that have no row, running/RUN.owner", anyRun,
			(*Journal).hasDirs, (*Journal).removeDirs},
		{"notes of commands that have no row", "hooks run, hooks install",
			"running/RUN.owner", anyRun, nil, (*Journal).removeOwner},

		{"temporary directories that no history knows", "deployments, rollbacks, hooks run, hooks install",
			"the name .stretcher-RUN-N, and a lock on them while they are in use",
			"the next run that makes a temporary directory beside them, after a minute", nil, nil},
		{"archives and logs without a name", "deployments, rollbacks, hooks run, hooks install", "not at all", kernel, nil, nil},
		{"locks", "deployments, rollbacks, hooks install", "locks/; the text in a lock file means nothing without the lock", kernel, nil, nil},
		{"releases that are pending, links and marks that were about to be", "deployments, rollbacks",
			"releases/RUN.json beside the release; names that begin with a dot", nextOne, nil, nil},
		{"entries of the cache that are half there", "deployments, rollbacks", "cache/.RUN.N", "the next run that keeps something", nil, nil},
		{"hook pods that are half installed", "hooks install", "pods/EVENT/POD below the root", "hooks install of the same pod, called again", nil, nil},
		{"plugins that are half checked out", "deployments, rollbacks, hooks run", "plugins/trees/REPOSITORY/.new-N",
			"a run that checks out another commit, after 30 days", nil, nil},
		{"logs of runs", "deployments, rollbacks", "logs/RUN.log", "the end of each run, when the row is too old", nil, nil},
	}
}

// TempPattern matches the name of every run's temporary directories.
var TempPattern = regexp.MustCompile(`^\.stretcher-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-[0-9]+$`)

// TempPrefix begins the name of each temporary directory of a run; a number
// follows.
func TempPrefix(run string) string { return ".stretcher-" + run + "-" }

var runPattern = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// isRun tells whether id is one that this program gives. It becomes a file's
// name.
func isRun(id string) bool { return runPattern.MatchString(id) }

// dirsOf are a run's temporary directories, as far as they have names that
// this program gives to that run's.
func dirsOf(d history.Run) []string {
	return slices.DeleteFunc(slices.Clone(d.Staging), func(dir string) bool {
		name := filepath.Base(dir)
		return !filepath.IsAbs(dir) || filepath.Clean(dir) != dir ||
			!strings.HasPrefix(name, TempPrefix(d.ID)) || !TempPattern.MatchString(name)
	})
}

// Leave notes a temporary directory that is about to be made.
func (j *Journal) Leave(dir string) {
	if j.db != nil {
		j.Describe(func(run *history.Run) { run.Staging = append(run.Staging, dir) })
		return
	}
	j.run.Staging = append(j.run.Staging, dir)
	if j.dir != nil {
		_ = j.dir.AddOwned(j.run.ID, dir)
	}
}

func (j *Journal) hasDirs(d history.Run) bool { return anyThere(dirsOf(d)) }

func (j *Journal) removeDirs(d history.Run, _ Hooks) error {
	for _, dir := range dirsOf(d) {
		if err := disk.RemovePath(dir); err != nil {
			return err
		}
	}
	return nil
}

func (j *Journal) hasTrees(d history.Run) bool { return anyThere(j.treesOf(d)) }

func (j *Journal) removeTrees(d history.Run, _ Hooks) error {
	for _, name := range j.treesOf(d) {
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

func (j *Journal) hasGroups(d history.Run) bool { return len(j.dir.Groups(d.ID)) > 0 }

func (j *Journal) endGroups(d history.Run, _ Hooks) error {
	for _, pgid := range j.dir.Groups(d.ID) {
		if process.KillGroup(pgid, Mark(d.ID)) {
			j.sayEnded(d)
		}
	}
	return j.dir.SetGroups(d.ID)
}

func (j *Journal) isStarting(d history.Run) bool { return j.dir.Starting(d.ID) != "" }

func (j *Journal) endStarting(d history.Run, _ Hooks) error {
	if id := j.dir.Starting(d.ID); id != "" && process.KillGroupsOf(commandMark+id) {
		j.sayEnded(d)
	}
	return j.dir.SetStarting(d.ID, "")
}

func (j *Journal) endMarked(d history.Run, hooks Hooks) error {
	if process.KillMarked(Mark(d.ID), hooks.Mark) > 0 {
		j.sayEnded(d)
	}
	return nil
}

func (j *Journal) hasContainers(d history.Run) bool { return j.dir.Containers(d.ID) }

// removeContainers removes a run's containers. Without a note no engine is
// started to look for any. It is tried once: an engine that hangs would delay
// each run from now on.
func (j *Journal) removeContainers(d history.Run, hooks Hooks) error {
	if !j.dir.Containers(d.ID) || hooks.RemoveContainers == nil {
		return nil
	}
	err := hooks.RemoveContainers(d.ID)
	_ = j.dir.SetContainers(d.ID, false)
	return err
}

// removeOwner forgets the note when nothing is left that it tells of.
func (j *Journal) removeOwner(d history.Run, _ Hooks) error {
	if j.hasDirs(d) {
		return nil
	}
	return j.dir.ForgetOwner(d.ID)
}

// sayEnded says once that a run that died had left processes.
func (j *Journal) sayEnded(d history.Run) {
	if j.ended != d.ID {
		j.log.Info(fmt.Sprintf("ended what run %s had left running", d.ID))
	}
	j.ended = d.ID
}
