package hooks

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/process"
)

const (
	// rounds bounds how often leftovers are looked for: one that forks
	// between the look and the signal is found in the next round.
	rounds    = 500
	roundWait = 10 * time.Millisecond
)

// endAll kills every process with mark (NAME=value) in its environment, those
// of the group leader, and all their descendants, until none is left. It
// returns how many it has killed.
//
// The processes of a hook may be in any group or session and may have no
// parent any more; the environment they began with is what they still share.
func endAll(mark string, leader int) int {
	return killUntilNone(func(p process.Entry) bool {
		return leader > 0 && p.Group == leader || p.HasVariable(mark)
	})
}

func killUntilNone(root func(process.Entry) bool) int {
	killed := map[int]bool{}
	for range rounds {
		more := false
		for _, pid := range family(root) {
			if syscall.Kill(pid, syscall.SIGKILL) == nil { // else it is gone, or another user's
				killed[pid], more = true, true
			}
		}
		if !more {
			break
		}
		time.Sleep(roundWait)
	}
	return len(killed)
}

// family lists the processes that root picks and their descendants, zombies
// aside.
func family(root func(process.Entry) bool) (pids []int) {
	self := os.Getpid()
	children := map[int][]process.Entry{}
	var todo []process.Entry
	for _, p := range process.Table() {
		if p.PID == self {
			continue
		}
		children[p.Parent] = append(children[p.Parent], p)
		if root(p) {
			todo = append(todo, p)
		}
	}
	seen := map[int]bool{}
	for len(todo) > 0 {
		p := todo[0]
		todo = todo[1:]
		if seen[p.PID] {
			continue
		}
		seen[p.PID] = true
		todo = append(todo, children[p.PID]...)
		if !p.Zombie {
			pids = append(pids, p.PID)
		}
	}
	return pids
}

// adopt makes this process the parent of orphans until release is called,
// which ends and reaps all children that were not there before and returns
// how many it has killed.
//
// The attribute is the whole process's; Runner.Adopt says who may ask for it.
func adopt() (release func() int) {
	before := children()
	if unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != nil {
		return func() int { return 0 }
	}
	return func() int {
		isNew := func(p process.Entry) bool { return p.Parent == os.Getpid() && !before[p.PID] }
		killed := killUntilNone(isNew)
		for pid := range children() {
			if !before[pid] {
				_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
			}
		}
		_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
		return killed
	}
}

// children are the direct children of this process, zombies too.
func children() map[int]bool {
	pids := map[int]bool{}
	self := os.Getpid()
	for _, p := range process.Table() {
		if p.Parent == self {
			pids[p.PID] = true
		}
	}
	return pids
}
