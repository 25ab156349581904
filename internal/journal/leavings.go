package journal

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
	there  func(*remains) bool
	remove func(*remains) error
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
			there: (*remains).hasGroups, remove: (*remains).endGroups},
		{what: "commands that are just starting", of: deployments,
			noted:   "running/RUN.starting, before the start: the ID of " + commandMark + "ID in their environment",
			remover: anyRun, there: (*remains).isStarting, remove: (*remains).endStarting},
		{what: "processes of hooks that have left their group", of: deployments + ", hooks run",
			noted: runMark + "RUN and the mark of a hook, in their environment", remover: anyRun,
			remove: (*remains).endMarked},
		{what: "containers of hooks", of: deployments + ", hooks run",
			noted: "running/RUN.containers, and their label", remover: anyRun,
			there: (*remains).hasContainers, remove: (*remains).removeContainers},
		{what: "records of dest of runs that were not good", of: deployments,
			noted: "trees/RUN, trees/RUN.new", remover: anyRun,
			there: (*remains).hasTrees, remove: (*remains).removeTrees},
		{what: "temporary directories", of: deployments + ", hooks run, hooks install",
			noted: "the run's row in the history; of commands that have no row, running/RUN.owner", remover: anyRun,
			there: (*remains).hasDirs, remove: (*remains).removeDirs},
		{what: "notes of commands that have no row", of: "hooks run, hooks install",
			noted: "running/RUN.owner", remover: anyRun, remove: (*remains).removeOwner},

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
		{what: "archives of the cache that are half written", of: deployments + ", fetch",
			noted: "archives/.new-N, and a lock on them while they are written", remover: "the next run, after a minute"},
		{what: "records of serials that are half written", of: "deployments, hooks install",
			noted: "serials/.new", remover: "the next run that raises a serial"},
		{what: "hook pods that are half installed", of: "hooks install",
			noted: "pods/EVENT/POD below the root", remover: "hooks install of the same pod, called again"},
		{what: "plugins that are half checked out", of: deployments + ", hooks run",
			noted: "plugins/trees/REPOSITORY/.new-N", remover: "a run that checks out another commit, after 30 days"},
		{what: "metrics that are about to be, where a file system has no files without a name", of: deployments + ", metrics",
			noted: "the name .stretcher-metrics-N, which no collector reads", remover: "nobody"},
		{what: "logs of runs", of: deployments,
			noted: "logs/RUN.log", remover: "each run at its end, when they are too old"},
	}
}

// Leave notes a temporary directory that is about to be made.
func (j *Journal) Leave(dir string) {
	j.run.Staging = append(j.run.Staging, dir)
	if j.remembers() {
		j.write() // or, when that fails, notes all directories
	} else if j.dir != nil {
		_ = j.dir.AddOwned(j.run.ID, dir)
	}
}
