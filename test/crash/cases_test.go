package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"stretcher/internal/journal/history"
	"stretcher/internal/manifest"
	"stretcher/internal/testparts"
)

// crashes lists the crash table. These pairs there are not:
//
//   - delay × error, hang, disk full, read-only: a run that only waits writes
//     nothing and asks nobody.
//   - manifest × disk full, read-only: the manifest is kept in memory.
//   - extract, sync, release, prune × hang: they work on local files and have
//     no timeout.
//   - sync × signals with mv: it is one rename(2), before or after which a
//     signal arrives, but not during it; the steps around it are listed.
//   - sync, release × signals with releases: they are a few renames. That each
//     of them may be the last is TestCrashSweep's.
//   - sync × disk full with mv: a rename takes no room; extract, which stages
//     beside dest, fails instead. The same for read-only.
//   - pre, post, verify, success, failure × disk full, read-only: what a
//     command writes is its own affair, and the pair is its error; one such is
//     there, the removal of a read-only dest by pre. What we write then is in
//     the state directory: it is full from the start (lock, where it is first
//     relied upon) or from pre on. It can't become read-only under a run, which
//     has files open for writing there.
//   - delay, extract × a rollback: it has no delay, and stages as a deployment.
//   - sync × disk full with a rollback of releases: a symlink takes no room.
func crashes() []crash {
	var all []crash
	for _, strategy := range []string{strategyRsync, strategyMv, strategyNative, strategyReleases} {
		all = append(all, errorCases(strategy)...)
		all = append(all, hangCases(strategy)...)
		all = append(all, signalCases(strategy)...)
		all = append(all, fullCases(strategy)...)
		all = append(all, readOnlyCases(strategy)...)
	}
	for i := range all {
		all[i].name += "/" + all[i].strategy
	}
	for _, strategy := range []string{strategyNative, strategyReleases} {
		for _, c := range rollbackCases(strategy) {
			c.name += "/" + strategy + "/rollback"
			c.strategy, c.back = strategy, true
			all = append(all, c)
		}
	}
	return all
}

// reached is what a run that has come to a step, and no further, has done. A
// run that has come to failure was turned there by its first post command.
func reached(step, strategy string) want {
	w := want{tree: oldTree, step: step, back: strategy == strategyReleases && (step == "post" || step == "verify")}
	var order []string
	for _, s := range []string{
		"delay", "manifest", "lock", "fetch", "pre", "extract", "sync", "post", "verify", "release",
		"pre_prune", "prune", "success",
	} {
		if manifest.IsPoint(s) {
			order = append(order, s)
		}
		if s == step || step == "failure" && s == "post" {
			break
		}
		if manifest.IsPoint(s) {
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
		if strategy == strategyReleases {
			order, w.tree = append(order, "post", "post2"), oldTree
		}
		order = append(order, step)
	}
	w.order = strings.Join(order, " ")
	return w
}

// ended is a run with a result; failure commands run after those that it had
// reached, unless there was no manifest to take them from.
func (w want) ended(exit int, result history.Result) want {
	w.exit, w.result = exit, result
	if w.back && result != history.Good {
		w.tree = oldTree
		w.order += " post post2"
	}
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
	return want{tree: newTree, step: "success", order: "pre pre2 post post2 verify verify2 success success2",
		result: history.Good}
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
		{name: "manifest/error/malformed", set: func(w *world) { w.extra = "dest_mode: abc\n" },
			want: at("manifest", exitMalformed)},
		{name: "lock/error", set: loop, mend: unloop, want: at("lock", exitFailed).withTree(absent)},
		{name: "fetch/error/500", set: kind("app.tar.gz", "status/500"), want: at("fetch", exitFailed)},
		{name: "fetch/error/cut", set: kind("app.tar.gz", "cut/0"), want: at("fetch", exitFailed)},
		{name: "fetch/error/checksum", set: kind("app.tar.gz", "status/200"),
			want: reached("fetch", strategy).ended(exitRefused, history.Refused)},
		{name: "extract/error/malformed", set: sendArchive("cut"), mend: sendArchive("small"),
			want: at("extract", exitMalformed)},
		{name: "success/error", set: fault("success", "exit 3"), want: good().saying("exit status 3")},
		{name: "failure/error", set: each(fault("post", "exit 3"), fault("failure", "exit 4")),
			want: at("post", exitFailed).saying("exit status 4")},
	}
	for _, step := range []string{"pre", "post", "verify"} {
		cases = append(cases,
			crash{name: step + "/error", set: fault(step, "exit 3"), want: at(step, exitFailed)},
			crash{name: step + "/error/killed", set: fault(step, "kill -9 $$"),
				want: at(step, exitFailed).saying("killed by signal 9")})
	}
	cases = append(cases, crash{name: "sync/error/exclude_from",
		set: func(w *world) { w.extra = "exclude_from: nowhere\n" }, want: at("sync", exitMalformed)})
	return with(strategy, append(cases, destErrors(strategy, at)...))
}

// destErrors are what each strategy can find at dest.
func destErrors(strategy string, at func(string, int) want) []crash {
	removeDest := func(w *world) { w.remove("srv/app") }
	isFile := crash{name: "extract/error/dest",
		set: fault("pre2", "rm -rf $STRETCHER_DEST; echo > $STRETCHER_DEST"), mend: removeDest,
		want: at("extract", exitFailed).withTree("file").saying("is not a directory")}
	switch strategy {
	case strategyMv:
		return []crash{{name: "extract/error/dest", set: fault("pre2", "mkdir $STRETCHER_DEST; echo 1 > $STRETCHER_DEST/a"),
			want: at("extract", exitFailed).withTree("a=1").saying("exists already")}}
	case strategyRsync:
		return []crash{isFile,
			{name: "sync/error/before", set: fault("rsync", "exit 12"), want: at("sync", exitFailed).saying("exit status 12")},
			{name: "sync/error/half", set: fault("rsync", half+"exit 23"), want: at("sync", exitFailed).withTree(halfTree)}}
	case strategyNative:
		return []crash{isFile}
	default:
		return releaseErrors(at)
	}
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
	if got := w.describe(); got != oldTree {
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

// patience is the timeout of what hangs, in seconds: on a busy machine more, for
// it shall come to where it hangs.
func patience() int { return 1 + int(testparts.Limit(time.Second).Seconds()) }

// hangCases are steps that hang past their timeout.
func hangCases(strategy string) []crash {
	at := func(step string, exit int) want { return reached(step, strategy).ended(exit, history.Failed) }
	limit := fmt.Sprint(patience())
	cases := []crash{
		{name: "manifest/hang", set: kind("manifest.yml", "stall"), args: []string{"--timeout", limit},
			want: at("manifest", exitFailed)},
		{name: "lock/hang", set: (*world).holdLock, args: []string{"--lock-wait", limit}, want: at("lock", exitBusy)},
		{name: "fetch/hang", set: kind("app.tar.gz", "stall"), args: []string{"--timeout", limit},
			want: at("fetch", exitFailed)},
		{name: "success/hang", set: impatient("success", hang), want: good().saying("timed out")},
		{name: "failure/hang", set: each(fault("post", "exit 3"), impatient("failure", hang)),
			want: at("post", exitFailed).saying("timed out")},
	}
	for _, step := range []string{"pre", "post", "verify"} {
		code := hangExec
		if step == "pre" {
			code = stubborn
		}
		cases = append(cases, crash{name: step + "/hang", set: impatient(step, code),
			want: at(step, exitFailed).saying("timed out")})
	}
	return with(strategy, cases)
}

func impatient(name, code string) func(*world) {
	return func(w *world) {
		w.hangs = name
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
		if s.signal == syscall.SIGINT && strategy != strategyRsync && strategy != strategyMv {
			continue // what it does, it does before a strategy has its say
		}
		for _, c := range stops(strategy, s.code) {
			c.name = fmt.Sprintf(c.name, strings.ToUpper(strings.TrimPrefix(signalName(s.signal), "SIG")))
			cases = append(cases, c.signalled(s.signal))
		}
	}
	for _, step := range []string{"pre", "success"} {
		c := crash{name: step + "/TERM/stubborn", strategy: strategy, set: fault(step, stubborn), stop: stop{at: marked},
			want: reached(step, strategy)}
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
	case slices.Contains([]string{"pre_prune", "prune"}, c.want.step): // and what was to be deployed is
		c.want = c.want.ended(exit, history.Failed)
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
		{name: "delay/%s", args: []string{"--random-delay", "100000000"},
			stop: stop{at: said("waiting ")}, want: at("delay")},
		{name: "manifest/%s", set: kind("manifest.yml", "stall"), stop: stop{at: requested("/stall/manifest.yml")},
			want: at("manifest")},
		{name: "lock/%s", set: (*world).holdLock, stop: stop{at: said("waiting for the lock")}, want: at("lock")},
		{name: "fetch/%s", set: kind("app.tar.gz", "stall"),
			stop: stop{at: requested("/stall/app.tar.gz")}, want: at("fetch")},
		{name: "extract/%s", set: sendArchive("many"), stop: stop{at: extracting, passing: unextracted}, want: at("extract")},
	}
	for _, step := range []string{"pre", "post", "verify", "success"} {
		cases = append(cases, crash{name: step + "/%s", set: fault(step, code), stop: stop{at: marked}, want: at(step)})
	}
	switch strategy {
	case strategyNative:
		cases = append(cases, nativeStops(at)...)
	case strategyReleases:
		cases = append(cases, releaseStops(code)...)
	case strategyRsync:
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
		{name: "failure/KILL", set: each(failing, fault("failure", stubborn)),
			stop: stop{at: marked, signal: syscall.SIGKILL},
			want: want{exit: 137, order: at.order, tree: at.tree, result: history.Died, step: "failure"}},
		{name: "failure/TERM/patient", set: each(failing, fault("failure", untilSignalled)),
			stop: stop{at: marked, signal: syscall.SIGTERM},
			want: want{exit: 143, order: at.order + " failure2", tree: at.tree, result: history.Failed, step: "post"}},
		{name: "pre/TERM/impatient", set: each(fault("pre", hang), fault("failure", hang)),
			stop: stop{at: marked, signal: syscall.SIGTERM, again: true},
			want: want{exit: 143, order: "pre failure", tree: oldTree, result: history.Failed, step: "pre"}},
	}
	for s, name := range map[syscall.Signal]string{syscall.SIGTERM: "TERM", syscall.SIGINT: "INT"} {
		cases = append(cases, crash{name: "failure/" + name + "/again", set: each(failing, fault("failure", hang)),
			stop: stop{at: marked, signal: s, again: true},
			want: want{exit: exitSignal + int(s), order: at.order, tree: at.tree, result: history.Failed, step: "post"}})
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

// unextracted tells whether a run that extracts has more to extract.
func unextracted(w *world) bool {
	names, _ := filepath.Glob(w.staged("many/*"))
	return len(names) < manyFiles
}
