package hooks

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// rounds bounds how often leftovers are looked for: one that forks
	// between the look and the signal is found in the next round.
	rounds    = 500
	roundWait = 10 * time.Millisecond
)

// proc is one line of the process table.
type proc struct {
	pid, parent, group int
	zombie             bool
}

// endAll kills every process with mark (NAME=value) in its environment, those
// of the group leader, and all their descendants, until none is left. It
// returns how many it has killed.
//
// The processes of a hook may be in any group or session and may have no
// parent any more; the environment they began with is what they still share.
func endAll(mark string, leader int) int {
	return killUntilNone(func(p proc) bool {
		return leader > 0 && p.group == leader || marked(p.pid, mark)
	})
}

func killUntilNone(root func(proc) bool) int {
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
func family(root func(proc) bool) (pids []int) {
	self := os.Getpid()
	children := map[int][]proc{}
	var todo []proc
	for _, p := range table() {
		if p.pid == self {
			continue
		}
		children[p.parent] = append(children[p.parent], p)
		if root(p) {
			todo = append(todo, p)
		}
	}
	seen := map[int]bool{}
	for len(todo) > 0 {
		p := todo[0]
		todo = todo[1:]
		if seen[p.pid] {
			continue
		}
		seen[p.pid] = true
		todo = append(todo, children[p.pid]...)
		if !p.zombie {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

// table reads the process table.
func table() (procs []proc) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue // it has ended
		}
		// The name, in parentheses, may hold anything; after it come state,
		// parent and process group (proc(5)).
		f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(f) < 3 {
			continue
		}
		p := proc{pid: pid, zombie: string(f[0]) == "Z" || string(f[0]) == "X"}
		p.parent, _ = strconv.Atoi(string(f[1]))
		p.group, _ = strconv.Atoi(string(f[2]))
		procs = append(procs, p)
	}
	return procs
}

// marked tells whether a process began with mark in its environment.
func marked(pid int, mark string) bool {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	return err == nil && bytes.Contains(append([]byte{0}, env...), []byte("\x00"+mark+"\x00"))
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
		isNew := func(p proc) bool { return p.parent == os.Getpid() && !before[p.pid] }
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
	for _, p := range table() {
		if p.parent == self {
			pids[p.pid] = true
		}
	}
	return pids
}
