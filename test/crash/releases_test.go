package crash

import (
	"os"
	"strconv"

	"stretcher/internal/journal/history"
	"stretcher/internal/strategy/releases"
)

// The releases that are there at first, and how many the manifests keep.
const (
	olderRelease = "00000000-0000-7000-8000-000000000001"
	oldRelease   = "00000000-0000-7000-8000-000000000002"
	keptReleases = 2
)

// seedReleases puts a release with the old tree at dest, and an older one
// before it, which the next deployment prunes.
func (w *world) seedReleases() {
	w.t.Helper()
	d := w.layout()
	defer d.Close()
	if err := d.Prepare(); err != nil {
		w.t.Fatal(err)
	}
	in, err := os.OpenRoot(w.path("srv/app/releases"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer in.Close()
	for i, id := range []string{olderRelease, oldRelease} {
		w.seedIn("srv/app/releases/staged")
		if i == 0 {
			w.writeMany("srv/app/releases/staged/many")
		}
		for _, err := range []error{
			d.Add(w.t.Context(), in, "staged", releases.Release{ID: id}, nil),
			d.Switch(id), d.Mark(id, releases.Good, ""),
		} {
			if err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// olderFiles is how many files the oldest release has beside the tree.
const olderFiles = 100

func (w *world) writeMany(dir string) {
	w.t.Helper()
	if err := os.Mkdir(w.path(dir), 0o755); err != nil {
		w.t.Fatal(err)
	}
	for i := range olderFiles {
		w.write(dir+"/"+strconv.Itoa(i), "y")
	}
}

// releaseErrors are what else can be wrong with a dest of releases.
func releaseErrors(at func(string, int) want) []crash {
	plain := at("extract", exitRefused).withTree("a=1").saying("not a layout of releases")
	plain.result = history.Refused
	shared := at("sync", exitFailed).saying("is neither in the archive nor in")
	again := at("post", exitFailed).saying("where post command 1")
	again.order = "pre pre2 post post failure failure2"
	return []crash{
		{name: "extract/error/plain", set: fault("pre2", "cd $STRETCHER_DEST; rm current; mkdir current; echo 1 > current/a"),
			mend: func(w *world) { w.removeAll("srv/app/current") }, want: plain},
		{name: "sync/error/shared", set: func(w *world) { w.shared = "log/, nowhere" }, want: shared},
		// The command fails for the release that is gone back to as well.
		{name: "post/error/rerun", set: fault("post", "mv $WORK/faults/post.met $WORK/faults/post; exit 3"), want: again},
		{name: "post/error/first", set: each(undeployed, fault("post", "exit 3")), want: first(at("post", exitFailed))},
		{name: "pre_prune/error", set: fault("pre_prune", "exit 3"), want: at("pre_prune", exitFailed).withTree(newTree)},
		{name: "prune/error", set: each(mounting("srv/app/releases/"+olderRelease), fault("pre_prune", pinned)),
			mend: unmount("srv/app/releases/" + olderRelease), want: good().saying("old releases stay: ")},
	}
}

// first is the end of a first release: there is none to go back to.
func first(w want) want {
	w.order, w.tree = "pre pre2 post failure failure2", newTree
	return w.saying("there is no good one to go back to")
}

// pinned makes the release that is to be pruned impossible to remove: it is a
// mount point.
const pinned = "cd $WORK/srv/app/releases && mount --bind " + olderRelease + " " + olderRelease

// releaseStops are where a run can be stopped because there are releases.
func releaseStops(code string) []crash {
	at := func(step string) want { return reached(step, strategyReleases).withTree(newTree) }
	return []crash{
		{name: "pre_prune/%s", set: fault("pre_prune", code), stop: stop{at: marked}, want: at("pre_prune")},
	}
}

// markCases are runs that find the disk read-only after the switch.
func markCases() []crash {
	unmarked := good().saying("can't be gone back to later: ")
	unmarked.unmarked = true
	return []crash{
		{name: "release/readonly", set: frozen("verify2"), want: unmarked},
		{name: "prune/readonly", set: frozen("pre_prune"), want: good().saying("old releases stay: ")},
	}
}

// frozen makes dest's file system read-only from a command until the success
// commands.
func frozen(from string) func(*world) {
	const freeze, thaw = "mount -o remount,ro $WORK/srv", "mount -o remount,rw $WORK/srv"
	roomy := func(w *world) {
		w.tmpfs("srv", 64<<10)
		w.seed()
	}
	return each(roomy, fault(from, freeze), fault("success", thaw))
}
