package journal

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"

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

// Who leaves it, and who removes it.
const (
	deployments = "deployments, rollbacks"
	anyRun      = "the next run on the host, before its first step and when it has the lock"
	kernel      = "the kernel, with the process"
)

// leavings are all kinds, in the order of their removal. Directories go last:
// while they are there, it shows that there may be more.
func leavings() []leaving {
	return []leaving{
		{what: "process groups of commands and hooks", of: deployments + ", hooks run",
			noted: "running/RUN, as soon as the leader has started", remover: anyRun,
			there: (*Journal).hasGroups, remove: (*Journal).endGroups},
		{what: "commands that are just starting", of: deployments,
			noted:   "running/RUN.starting, before the start: the ID of " + commandMark + "ID in their environment",
			remover: anyRun, there: (*Journal).isStarting, remove: (*Journal).endStarting},
		{what: "processes of hooks that have left their group", of: deployments + ", hooks run",
			noted: runMark + "RUN and the mark of a hook, in their environment", remover: anyRun,
			remove: (*Journal).endMarked},
		{what: "containers of hooks", of: deployments + ", hooks run",
			noted: "running/RUN.containers, and their label", remover: anyRun,
			there: (*Journal).hasContainers, remove: (*Journal).removeContainers},
		{what: "records of dest of runs that were not good", of: deployments,
			noted: "trees/RUN, trees/RUN.new", remover: anyRun,
			there: (*Journal).hasTrees, remove: (*Journal).removeTrees},
		{what: "temporary directories", of: deployments + ", hooks run, hooks install",
			noted: "the run's row in the history; of commands that have no row, running/RUN.owner", remover: anyRun,
			there: (*Journal).hasDirs, remove: (*Journal).removeDirs},
		{what: "notes of commands that have no row", of: "hooks run, hooks install",
			noted: "running/RUN.owner", remover: anyRun, remove: (*Journal).removeOwner},

		{what: "temporary directories that no history knows", of: deployments + ", hooks run, hooks install",
			noted:   "the name .stretcher-RUN-N, and a lock on them while they are in use",
			remover: "the next run that makes a temporary directory beside them, after a minute"},
		{what: "archives and logs without a name", of: deployments + ", hooks run, hooks install",
			noted: "not at all", remover: kernel},
		{what: "locks", of: deployments + ", hooks install",
			noted: "locks/; the text in a lock file means nothing without the lock", remover: kernel},
		{what: "releases that are pending, links and marks that were about to be", of: deployments,
			noted:   "releases/RUN.json, before the release; names that begin with a dot",
			remover: "the next deployment of the same dest"},
		{what: "entries of the cache that are half there", of: deployments,
			noted: "cache/.RUN.N", remover: "the next run that keeps something"},
		{what: "hook pods that are half installed", of: "hooks install",
			noted: "pods/EVENT/POD below the root", remover: "hooks install of the same pod, called again"},
		{what: "plugins that are half checked out", of: deployments + ", hooks run",
			noted: "plugins/trees/REPOSITORY/.new-N", remover: "a run that checks out another commit, after 30 days"},
		{what: "logs of runs", of: deployments,
			noted: "logs/RUN.log", remover: "each run at its end, when they are too old"},
	}
}

// TempPattern matches the name of every run's temporary directories.
var TempPattern = regexp.MustCompile(`^\.stretcher-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-[0-9]+$`)

// TempPrefix begins the name of each temporary directory of a run; a number
// follows.
func TempPrefix(run string) string { return ".stretcher-" + run + "-" }

// isRun tells whether id is one that this program gives. It becomes a file's
// name.
func isRun(id string) bool {
	parsed, err := uuid.Parse(id)
	return err == nil && parsed.String() == id
}

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
	j.run.Staging = append(j.run.Staging, dir)
	if j.db != nil {
		j.write()
	} else if j.dir != nil {
		_ = j.dir.AddOwned(j.run.ID, dir)
	}
}

// hasDirs tells whether directories are left that removeDirs can remove.
func (j *Journal) hasDirs(d history.Run) bool {
	return slices.ContainsFunc(dirsOf(d), func(dir string) bool {
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
func (j *Journal) removeDirs(d history.Run, _ Hooks) (err error) {
	for _, dir := range dirsOf(d) {
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
