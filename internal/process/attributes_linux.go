package process

import "syscall"

// attributes puts the child into a group of its own and ties it to its
// parent's life: when the parent is killed, the leader must not go on
// changing a destination that the next run already works on.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
