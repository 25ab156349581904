package process

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// attributes puts the child into a group of its own and ties it to its
// parent's life: when the parent is killed, the leader must not go on
// changing a destination that the next run already works on.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// groupGone reports whether the process group has no process but zombies:
// orphans wait for init to reap them, and in a container there may be none.
func groupGone(pgid int) bool {
	if syscall.Kill(-pgid, 0) != nil {
		return true
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		return false
	}
	for _, name := range stats {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		// The name, in parentheses, may hold anything; after it come state,
		// parent and process group (proc(5)).
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) > 2 && string(fields[2]) == strconv.Itoa(pgid) && string(fields[0]) != "Z" {
			return false
		}
	}
	return true
}
