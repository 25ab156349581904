package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"stretcher/internal/history"
)

// crashes lists the crash table. These pairs there are not:
//
//   - delay × error, hang, disk full, read-only: a run that only waits writes
//     nothing and asks nobody.
//   - manifest × disk full, read-only: the manifest is kept in memory.
//   - extract, sync × hang: both work on local files and have no timeout.
//   - sync × signals with mv: it is one rename(2), before or after which a
//     signal arrives, but not during it; the steps around it are listed.
//   - sync × disk full with mv: a rename takes no room; extract, which stages
//     beside dest, fails instead. The same for read-only.
//   - pre, post, verify, success, failure × disk full, read-only: what a
//     command writes is its own affair, and the pair is its error; one such is
//     there, the removal of a read-only dest by pre. What we write then is in
//     the state directory: it is full from the start (lock, where it is first
//     relied upon) or from pre on. It can't become read-only under a run, which
//     has files open for writing there.
func crashes() []crash {
	var all []crash
	for _, strategy := range []string{strategyRsync, strategyMv} {
		all = append(all, errorCases(strategy)...)
		all = append(all, hangCases(strategy)...)
		all = append(all, signalCases(strategy)...)
		all = append(all, fullCases(strategy)...)
		all = append(all, readOnlyCases(strategy)...)
	}
	for i := range all {
		all[i].name += "/" + all[i].strategy
	}
	return all
}

// reached is what a run that has come to a step, and no further, has done. A
// run that has come to failure was turned there by its first post command.
func reached(step, strategy string) want {
	w := want{tree: oldTree, step: step}
	var order []string
	for _, s := range []string{"delay", "manifest", "lock", "fetch", "pre", "extract", "sync", "post", "verify", "success"} {
		if isPoint(s) {
			order = append(order, s)
		}
		if s == step || step == "failure" && s == "post" {
			break
		}
		if isPoint(s) {
			order = append(order, s+"2")
		}
		if s == "pre" && strategy == strategyMv {
			w.tree = absent
		}
		if s == "sync" {
			w.tree = newTree
		}
	}
	if step == "failure" {
		order = append(order, step)
	}
	w.order = strings.Join(order, " ")
	return w
}

// ended is a run with a result; failure commands run after those that it had
// reached, unless there was no manifest to take them from.
func (w want) ended(exit int, result history.Result) want {
	w.exit, w.result = exit, result
	switch {
	case w.step == "delay" || w.step == "manifest" || result == history.Good:
	default:
		w.order = strings.TrimSpace(w.order + " failure failure2")
	}
	return w
}

func (w want) saying(text string) want {
	w.says = text
	return w
}

func (w want) withTree(tree string) want {
	w.tree = tree
	return w
}

// good is a run that nothing could stop.
func good() want {
	return want{tree: newTree, step: "success", order: "pre pre2 post post2 verify verify2 success success2", result: history.Good}
}

func kind(name, kind string) func(*world) { return func(w *world) { w.gate.set(name, kind) } }

func fault(name, code string) func(*world) { return func(w *world) { w.fault(name, code) } }

func sendArchive(name string) func(*world) { return func(w *world) { w.archive = name } }

// each returns a function that does all of these.
func each(funcs ...func(*world)) func(*world) {
	return func(w *world) {
		for _, f := range funcs {
			f(w)
		}
	}
}

// errorCases are steps that fail by themselves.
func errorCases(strategy string) []crash {
	at := func(step string, exit int) want { return reached(step, strategy).ended(exit, history.Failed) }
	cases := []crash{
		{name: "manifest/error/404", set: kind("manifest.yml", "status/404"), want: at("manifest", exitFailed)},
		{name: "manifest/error/cut", set: kind("manifest.yml", "cut/0"), want: at("manifest", exitFailed)},
		{name: "manifest/error/malformed", set: func(w *world) { w.extra = "dest_mode: abc\n" }, want: at("manifest", exitMalformed)},
		{name: "lock/error", set: loop, mend: unloop, want: at("lock", exitFailed).withTree(absent)},
		{name: "fetch/error/500", set: kind("app.tar.gz", "status/500"), want: at("fetch", exitFailed)},
		{name: "fetch/error/cut", set: kind("app.tar.gz", "cut/0"), want: at("fetch", exitFailed)},
		{name: "fetch/error/checksum", set: kind("app.tar.gz", "status/200"), want: reached("fetch", strategy).ended(exitRefused, history.Refused)},
		{name: "extract/error/malformed", set: sendArchive("cut"), mend: sendArchive("small"), want: at("extract", exitMalformed)},
		{name: "success/error", set: fault("success", "exit 3"), want: good().saying("exit status 3")},
		{name: "failure/error", set: each(fault("post", "exit 3"), fault("failure", "exit 4")),
			want: at("post", exitFailed).saying("exit status 4")},
		{name: "sync/error/exclude_from", set: func(w *world) { w.extra = "exclude_from: nowhere\n" }, want: at("sync", exitMalformed)},
	}
	for _, step := range []string{"pre", "post", "verify"} {
		cases = append(cases,
			crash{name: step + "/error", set: fault(step, "exit 3"), want: at(step, exitFailed)},
			crash{name: step + "/error/killed", set: fault(step, "kill -9 $$"), want: at(step, exitFailed).saying("killed by signal 9")})
	}
	if strategy == strategyMv {
		cases = append(cases, crash{name: "extract/error/dest", set: fault("pre2", "mkdir $STRETCHER_DEST; echo 1 > $STRETCHER_DEST/a"),
			want: at("extract", exitFailed).withTree("a=1").saying("exists already")})
	} else {
		cases = append(cases,
			crash{name: "extract/error/dest", set: fault("pre2", "rm -rf $STRETCHER_DEST; echo > $STRETCHER_DEST"),
				mend: func(w *world) { w.remove("srv/app") },
				want: at("extract", exitFailed).withTree("file").saying("is not a directory")},
			crash{name: "sync/error/before", set: fault("rsync", "exit 12"), want: at("sync", exitFailed).saying("exit status 12")},
			crash{name: "sync/error/half", set: fault("rsync", half+"exit 23"), want: at("sync", exitFailed).withTree(halfTree)})
	}
	return with(strategy, cases)
}

// half is the part of the new tree that a sync brings to dest before it is
// stopped, and halfTree what dest is then: a documented mixture.
const (
	half     = `$RSYNC --exclude=/b --exclude=/gone "$@"; `
	whole    = `$RSYNC "$@"; `
	halfTree = "a=2 b=1 fresh=2 gone=1"
)

func with(strategy string, cases []crash) []crash {
	for i := range cases {
		cases[i].strategy = strategy
	}
	return cases
}

// loop makes it impossible to say which place dest is.
func loop(w *world) {
	w.rename("srv", "srv.away")
	if err := os.Symlink("srv", w.path("srv")); err != nil {
		w.t.Fatal(err)
	}
}

func unloop(w *world) {
	w.remove("srv")
	w.rename("srv.away", "srv")
	if got := describeDest(w.path("srv/app")); got != oldTree {
		w.t.Errorf("dest is %q, want %q", got, oldTree)
	}
}

// remove removes one file.
func (w *world) remove(name string) {
	w.t.Helper()
	if err := os.Remove(w.path(name)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) rename(from, to string) {
	w.t.Helper()
	if err := os.Rename(w.path(from), w.path(to)); err != nil {
		w.t.Fatal(err)
	}
}

// Shell code that hangs: with the shell waiting for its child, as the only
// process, and with a grandchild that ignores signals.
const (
	hang     = "touch $WORK/mark; sleep 1000"
	hangExec = "touch $WORK/mark; exec sleep 1000"
	stubborn = `sh -c 'trap "" TERM INT; touch $WORK/mark; while :; do sleep 1; done' & wait`
)

// patience is the timeout of cases that hang, in seconds.
const patience = 3

// hangCases are steps that hang past their timeout.
func hangCases(strategy string) []crash {
	at := func(step string, exit int) want { return reached(step, strategy).ended(exit, history.Failed) }
	limit := fmt.Sprint(patience)
	cases := []crash{
		{name: "manifest/hang", set: kind("manifest.yml", "stall"), args: []string{"--timeout", limit}, want: at("manifest", exitFailed)},
		{name: "lock/hang", set: (*world).holdLock, args: []string{"--lock-wait", limit}, want: at("lock", exitBusy)},
		{name: "fetch/hang", set: kind("app.tar.gz", "stall"), args: []string{"--timeout", limit}, want: at("fetch", exitFailed)},
		{name: "success/hang", set: impatient("success", hang), want: good().saying("timed out")},
		{name: "failure/hang", set: each(fault("post", "exit 3"), impatient("failure", hang)), want: at("post", exitFailed).saying("timed out")},
	}
	for _, step := range []string{"pre", "post", "verify"} {
		code := hangExec
		if step == "pre" {
			code = stubborn
		}
		cases = append(cases, crash{name: step + "/hang", set: impatient(step, code), want: at(step, exitFailed).saying("timed out")})
	}
	return with(strategy, cases)
}

func impatient(name, code string) func(*world) {
	return func(w *world) {
		w.timeout = patience
		w.fault(name, code)
	}
}

// signalCases are runs that get a signal in each of their steps.
func signalCases(strategy string) []crash {
	var cases []crash
	for _, s := range []struct {
		signal syscall.Signal
		code   string // how commands hang
	}{{syscall.SIGTERM, hang}, {syscall.SIGINT, hangExec}, {syscall.SIGKILL, stubborn}} {
		for _, c := range stops(strategy, s.code) {
			c.name = fmt.Sprintf(c.name, strings.ToUpper(strings.TrimPrefix(signalName(s.signal), "SIG")))
			cases = append(cases, c.signalled(s.signal))
		}
	}
	for _, step := range []string{"pre", "success"} {
		c := crash{name: step + "/TERM/stubborn", strategy: strategy, set: fault(step, stubborn), stop: stop{at: marked}, want: reached(step, strategy)}
		cases = append(cases, c.signalled(syscall.SIGTERM))
	}
	return append(cases, failureCases(strategy)...)
}

func signalName(s syscall.Signal) string {
	return map[syscall.Signal]string{syscall.SIGTERM: "SIGTERM", syscall.SIGINT: "SIGINT", syscall.SIGKILL: "SIGKILL"}[s]
}

// signalled is a case of stops for one signal.
func (c crash) signalled(s syscall.Signal) crash {
	c.stop.signal = s
	exit := exitSignal + int(s)
	switch {
	case s == syscall.SIGKILL:
		c.want.exit, c.want.result = exit, history.Died
	case c.want.step == "success": // what was to be deployed is
		c.want = c.want.ended(exit, history.Good)
	default:
		c.want = c.want.ended(exit, history.Failed)
	}
	return c
}

// stops are the places at which a run can be stopped. Names have a place for
// the signal's; commands and rsync hang by code.
func stops(strategy, code string) []crash {
	at := func(step string) want { return reached(step, strategy) }
	cases := []crash{
		{name: "delay/%s", args: []string{"--random-delay", "100000000"}, stop: stop{at: said("waiting ")}, want: at("delay")},
		{name: "manifest/%s", set: kind("manifest.yml", "stall"), stop: stop{at: requested("/stall/manifest.yml")}, want: at("manifest")},
		{name: "lock/%s", set: (*world).holdLock, stop: stop{at: said("waiting for the lock")}, want: at("lock")},
		{name: "fetch/%s", set: kind("app.tar.gz", "stall"), stop: stop{at: found("tmp/.stretcher-*/archive.unverified")}, want: at("fetch")},
		{name: "extract/%s", set: sendArchive("many"), stop: stop{at: extracting, frozen: true}, want: at("extract")},
	}
	for _, step := range []string{"pre", "post", "verify", "success"} {
		cases = append(cases, crash{name: step + "/%s", set: fault(step, code), stop: stop{at: marked}, want: at(step)})
	}
	if strategy == strategyRsync {
		for _, s := range []struct{ how, before, tree string }{
			{"before", "", oldTree}, {"half", half, halfTree}, {"after", whole, newTree},
		} {
			cases = append(cases, crash{name: "sync/%s/" + s.how, set: fault("rsync", s.before+code), stop: stop{at: marked},
				want: at("sync").withTree(s.tree)})
		}
	}
	return with(strategy, cases)
}

// failureCases are runs that are stopped in their failure commands. Those get
// the time they need, whether the signal comes before or among them; a second
// signal takes it from them.
func failureCases(strategy string) []crash {
	at := reached("failure", strategy)
	failing := fault("post", "exit 3")
	cases := []crash{
		{name: "failure/KILL", set: each(failing, fault("failure", stubborn)), stop: stop{at: marked, signal: syscall.SIGKILL},
			want: want{exit: 137, order: at.order, tree: newTree, result: history.Died, step: "failure"}},
		{name: "failure/TERM/patient", set: each(failing, fault("failure", untilSignalled)), stop: stop{at: marked, signal: syscall.SIGTERM},
			want: want{exit: 143, order: at.order + " failure2", tree: newTree, result: history.Failed, step: "post"}},
		{name: "pre/TERM/impatient", set: each(fault("pre", hang), fault("failure", hang)), stop: stop{at: marked, signal: syscall.SIGTERM, again: true},
			want: want{exit: 143, order: "pre failure", tree: oldTree, result: history.Failed, step: "pre"}},
	}
	for s, name := range map[syscall.Signal]string{syscall.SIGTERM: "TERM", syscall.SIGINT: "INT"} {
		cases = append(cases, crash{name: "failure/" + name + "/again", set: each(failing, fault("failure", hang)),
			stop: stop{at: marked, signal: s, again: true},
			want: want{exit: exitSignal + int(s), order: at.order, tree: newTree, result: history.Failed, step: "post"}})
	}
	slices.SortFunc(cases, func(a, b crash) int { return strings.Compare(a.name, b.name) })
	return with(strategy, cases)
}

// untilSignalled goes on until the signal has been sent.
const untilSignalled = "touch $WORK/mark; until test -e $WORK/signalled; do sleep 0.05; done"

func marked(w *world) bool { return w.exists("mark") }

func said(text string) func(*world) bool {
	return func(w *world) bool { return strings.Contains(w.read("first.err"), text) }
}

func requested(path string) func(*world) bool {
	return func(w *world) bool { return strings.Contains(w.read("requests"), path) }
}

func found(pattern string) func(*world) bool {
	return func(w *world) bool {
		names, _ := filepath.Glob(w.path(pattern))
		return len(names) > 0
	}
}

func extracting(w *world) bool {
	names, _ := filepath.Glob(w.staged("many"))
	return len(names) > 0
}

// fullCases are runs that find a disk full, be it TMPDIR's, dest's or that of
// the state directory, which stops nothing.
func fullCases(strategy string) []crash {
	at := func(step string) want {
		return reached(step, strategy).ended(exitFailed, history.Failed).saying("o space left")
	}
	unsized := each(sendArchive("random"), small("tmp"), kind("app.tar.gz", "unsized"))
	cases := []crash{
		{name: "lock/full/state", set: each(small("state"), fill), mend: unfill, want: good().unknown()},
		{name: "fetch/full", set: each(sendArchive("random"), small("tmp"), small("srv")), mend: each(grow("tmp"), grow("srv")),
			want: at("fetch").saying("not enough room")},
		{name: "fetch/full/unsized", set: unsized, mend: grow("tmp"), want: at("fetch")},
		{name: "pre/full/state", set: each(small("state"), fault("pre", fillState)), mend: unfill, want: good().lost("pre")},
		{name: "pre/full/state/briefly", set: each(small("state"), fault("pre", fillState), fault("post", "rm $WORK/state/filler")),
			want: good().saying("history: ")},
	}
	elsewhere := crash{name: "fetch/full/tmp", set: each(sendArchive("random"), small("tmp")), mend: grow("tmp")}
	if strategy == strategyMv {
		elsewhere.want = good().withTree("a=2 b=2 big=1048576 fresh=2")
		cases = append(cases, elsewhere,
			crash{name: "extract/full", set: each(sendArchive("zeros"), small("srv")), mend: grow("srv"), want: at("extract")})
	} else {
		elsewhere.want = at("extract") // the tree's size is not known in advance, so it is staged in TMPDIR
		cases = append(cases, elsewhere,
			crash{name: "extract/full", set: each(sendArchive("zeros"), small("tmp")), mend: grow("tmp"), want: at("extract")},
			crash{name: "sync/full", set: each(sendArchive("zeros"), small("srv")), mend: grow("srv"), want: at("sync").withTree(mixture)})
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
		{name: "lock/readonly/state", set: readOnly("state"), mend: unmount("state"), want: good().unknown().saying("no history of this run")},
		{name: "fetch/readonly", set: each(readOnly("tmp"), readOnly("srv")), mend: each(unmount("tmp"), unmount("srv")), want: at("fetch")},
		{name: "fetch/readonly/tmp", set: readOnly("tmp"), mend: unmount("tmp"), want: good()},
	}
	if strategy == strategyMv {
		pre := at("pre")
		pre.order = "pre pre2 failure failure2"
		cases = append(cases,
			crash{name: "pre/readonly", set: readOnly("srv/app"), mend: unmount("srv/app"), want: pre},
			crash{name: "extract/readonly", set: each(undeployed, readOnly("srv")), mend: unmount("srv"), want: at("extract")})
	} else {
		cases = append(cases, crash{name: "sync/readonly", set: readOnly("srv/app"), mend: unmount("srv/app"), want: at("sync")})
	}
	return with(strategy, cases)
}

func readOnly(dir string) func(*world) { return func(w *world) { w.readOnly(dir) } }

func unmount(dir string) func(*world) { return func(w *world) { w.unmount(dir) } }

// undeployed is a host without an old tree.
func undeployed(w *world) {
	if err := os.RemoveAll(w.path("srv/app")); err != nil {
		w.t.Fatal(err)
	}
}
