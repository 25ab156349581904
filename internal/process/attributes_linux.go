package process

import "syscall"

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
	table := Table()
	for _, e := range table {
		if e.Group == pgid && !e.Zombie {
			return false
		}
	}
	return len(table) > 0 // without a table there is no telling
}
