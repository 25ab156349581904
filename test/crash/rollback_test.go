package crash

import (
	"fmt"
	"path/filepath"
	"syscall"

	"stretcher/internal/journal/history"
)

// deployBoth deploys the new tree, then the old one: a rollback to the run of
// the first is what the case is about.
func (w *world) deployBoth() {
	w.t.Helper()
	for _, archive := range []string{"small", "old"} {
		w.archive = archive
		w.writeManifest()
		child := w.start("seed-"+archive, "", w.manifestURL())
		if got := child.wait(); got != exitGood {
			w.t.Fatalf("the deployment of %s: exit status %d, want 0", archive, got)
		}
		if kept, _ := filepath.Glob(w.path("state/cache/[^.]*")); w.to == "" && len(kept) == 1 {
			w.to = filepath.Base(kept[0])
		}
	}
	w.archive = "small"
	w.forgetOrder()
	if got := w.describe(); got != oldTree || w.to == "" {
		w.t.Fatalf("dest is %q, want %q, and run %q is kept", got, oldTree, w.to)
	}
}

// rollbackCases are the same for a rollback, as far as it is something else.
func rollbackCases(strategy string) []crash {
	at := func(step string) want { return reached(step, strategy).ended(exitFailed, history.Failed) }
	cases := []crash{
		{name: "lock/error", set: loop, mend: unloop, want: rolled(at("lock").withTree(absent))},
		{name: "lock/hang", set: (*world).holdLock, args: []string{"--lock-wait", fmt.Sprint(patience())},
			want: rolled(reached("lock", strategy).ended(exitBusy, history.Failed))},
		{name: "manifest/error", set: (*world).loseManifest, mend: (*world).findManifest, want: rolled(at("manifest"))},
		{name: "success/error", set: fault("success", "exit 3"), want: good().saying("exit status 3")},
		{name: "success/hang", hangs: "success", set: fault("success", hang), want: good().saying("timed out")},
		readOnlyDest(strategy, func(step string) want { return at(step).saying("ead-only file system") }),
	}
	for _, step := range []string{"pre", "post", "verify"} {
		cases = append(cases,
			crash{name: step + "/error", set: fault(step, "exit 3"), want: at(step)},
			crash{name: step + "/hang", hangs: step, set: fault(step, hangExec), want: at(step).saying("timed out")})
	}
	for _, s := range []struct {
		name   string
		signal syscall.Signal
	}{{"TERM", syscall.SIGTERM}, {"KILL", syscall.SIGKILL}} {
		lock := crash{name: "lock/" + s.name, set: (*world).holdLock, stop: stop{at: said("waiting for the lock")},
			want: reached("lock", strategy)}
		lock = lock.signalled(s.signal)
		lock.want = rolled(lock.want)
		cases = append(cases, lock)
		for _, step := range []string{"pre", "post", "verify", "success"} {
			c := crash{name: step + "/" + s.name, set: fault(step, hang), stop: stop{at: marked}, want: reached(step, strategy)}
			cases = append(cases, c.signalled(s.signal))
		}
	}
	if strategy == strategyReleases {
		cases = append(cases, crash{name: "sync/error", set: (*world).blockSwitch, mend: (*world).unblockSwitch,
			want: at("sync").saying("switch: ")})
	}
	if strategy == strategyNative {
		cases = append(cases, keptCases(at)...)
	}
	return cases
}

// rolled is a run that ended before it knew its manifest's commands.
func rolled(w want) want {
	w.order = ""
	return w
}

// keptCases are rollbacks that find the archive they need lost.
func keptCases(at func(string) want) []crash {
	lost := func(w *world) {
		w.rename(w.inKept("archive"), "archive.away")
		w.removeAll("state/archives")
	}
	return []crash{
		{name: "fetch/error/500", set: each(lost, kind("app.tar.gz", "status/500")), want: at("fetch")},
		{name: "fetch/hang", set: each(lost, kind("app.tar.gz", "stall")),
			args: []string{"--timeout", fmt.Sprint(patience())}, want: at("fetch")},
		{name: "fetch/lost", set: lost, want: good().saying("fetching it again")},
		{name: "fetch/damaged", set: func(w *world) { w.write(w.inKept("archive"), string(w.archives["cut"])) },
			want: good().saying("fetching it again")},
		{name: "extract/readonly", set: readOnly("srv"), mend: unmount("srv"),
			want: at("extract").saying("ead-only file system")},
	}
}

// inKept is a file of what is kept of the run to go back to.
func (w *world) inKept(name string) string { return "state/cache/" + w.to + "/" + name }

// blockSwitch puts something in the way of the switch, from a command.
func (w *world) blockSwitch() { fault("pre2", "mkdir -p $STRETCHER_DEST/.current-"+w.to+"/x")(w) }

func (w *world) unblockSwitch() { w.removeAll("srv/app/.current-" + w.to) }

func (w *world) loseManifest() { w.rename(w.inKept("manifest"), "manifest.away") }
func (w *world) findManifest() { w.rename("manifest.away", w.inKept("manifest")) }
