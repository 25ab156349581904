package crash

import (
	"errors"
	"os"
	"syscall"

	"stretcher/internal/journal/history"
)

// fullCases are runs that find a disk full, be it TMPDIR's, dest's or that of
// the state directory, which stops nothing.
func fullCases(strategy string) []crash {
	at := func(step string) want {
		return reached(step, strategy).ended(exitFailed, history.Failed).saying("o space left")
	}
	unsized := each(sendArchive("random"), small("tmp"), kind("app.tar.gz", "unsized"))
	cases := []crash{
		{name: "lock/full/state", set: each(small("state"), fill), mend: unfill, want: good().unknown()},
		{name: "fetch/full", set: each(sendArchive("random"), small("tmp"), small("srv")),
			mend: each(grow("tmp"), grow("srv")),
			want: at("fetch").saying("not enough room")},
		{name: "fetch/full/unsized", set: unsized, mend: grow("tmp"), want: at("fetch")},
		{name: "pre/full/state", set: each(small("state"), fault("pre", fillState)), mend: unfill, want: good().lost("pre")},
		{name: "pre/full/state/briefly",
			set: each(small("state"), fault("pre", fillState), fault("post", "rm $WORK/state/filler")), mend: grow("state"),
			want: good().saying("history: ")},
	}
	elsewhere := crash{name: "fetch/full/tmp", set: each(sendArchive("random"), small("tmp")), mend: grow("tmp")}
	elsewhere.want = good().withTree("a=2 b=2 big=1048576 fresh=2")
	cases = append(cases, elsewhere)
	if strategy != strategyRsync { // the others stage beside dest, or in it
		cases = append(cases,
			crash{name: "extract/full", set: each(sendArchive("zeros"), small("srv")), mend: grow("srv"), want: at("extract")})
	} else {
		cases = append(cases,
			crash{name: "extract/full", set: each(sendArchive("zeros"), forArchive, small("srv")),
				mend: each(grow("tmp"), grow("srv")), want: at("extract")},
			crash{name: "sync/full", set: each(sendArchive("zeros"), small("srv")), mend: grow("srv"),
				want: at("sync").withTree(mixture)})
	}
	return with(strategy, cases)
}

// unknown is a run that the history could not be told of.
func (w want) unknown() want {
	w.result = ""
	return w
}

// lost is a run whose end the history could not be told of: it counts as dead.
func (w want) lost(step string) want {
	w.result, w.step = history.Died, step
	return w.saying("history: finish run: ")
}

// fillState takes all room of the state directory.
const fillState = "cat /dev/zero > $WORK/state/filler || :"

// small makes a directory a file system with little room.
func small(dir string) func(*world) {
	return func(w *world) {
		w.tmpfs(dir, 900)
		if dir == "srv" {
			w.seed()
		}
	}
}

// forArchive leaves TMPDIR room for a small archive and not for a large tree.
func forArchive(w *world) { w.tmpfs("tmp", 3000) }

func grow(dir string) func(*world) { return func(w *world) { w.grow(dir) } }

// fill takes all room of the state directory.
func fill(w *world) {
	f, err := os.Create(w.path("state/filler"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		w.t.Fatal(err)
	}
}

func unfill(w *world) {
	w.remove("state/filler")
	w.grow("state")
}

// readOnlyCases are runs that may not write where they want to.
func readOnlyCases(strategy string) []crash {
	at := func(step string) want {
		return reached(step, strategy).ended(exitFailed, history.Failed).saying("ead-only file system")
	}
	cases := []crash{
		{name: "lock/readonly/state", set: readOnly("state"), mend: unmount("state"),
			want: good().unknown().saying("no history of this run")},
		{name: "fetch/readonly", set: each(readOnly("tmp"), readOnly("srv"), readOnly("state")),
			mend: each(unmount("tmp"), unmount("srv"), unmount("state")), want: at("fetch").unknown()},
		{name: "fetch/readonly/tmp", set: readOnly("tmp"), mend: unmount("tmp"), want: good()},
	}
	switch strategy {
	case strategyMv:
		pre := at("pre")
		pre.order = "pre pre2 failure failure2"
		cases = append(cases,
			crash{name: "pre/readonly", set: readOnly("srv/app"), mend: unmount("srv/app"), want: pre},
			crash{name: "extract/readonly", set: each(undeployed, readOnly("srv")), mend: unmount("srv"), want: at("extract")})
	case strategyReleases:
		cases = append(cases, crash{name: "extract/readonly", set: readOnly("srv/app"), mend: unmount("srv/app"),
			want: at("extract")})
		cases = append(cases, markCases()...)
	default:
		cases = append(cases, readOnlyDest(strategy, at))
	}
	return with(strategy, cases)
}

// readOnlyDest is a run on a dest that is read-only, and a mount point by
// that. native stages in such a dest; the others meet it when they sync.
func readOnlyDest(strategy string, at func(step string) want) crash {
	name, step := "sync/readonly", "sync"
	if strategy == strategyNative {
		name, step = "extract/readonly/dest", "extract"
	}
	return crash{name: name, set: readOnly("srv/app"), mend: unmount("srv/app"), want: at(step)}
}

func readOnly(dir string) func(*world) { return func(w *world) { w.readOnly(dir) } }

func unmount(dir string) func(*world) { return func(w *world) { w.unmount(dir) } }

// removeAll removes a tree.
func (w *world) removeAll(name string) {
	w.t.Helper()
	if err := os.RemoveAll(w.path(name)); err != nil {
		w.t.Fatal(err)
	}
}

// undeployed is a host without an old tree.
func undeployed(w *world) { w.removeAll("srv/app") }
