package testparts

import "syscall"

// ownGroup starts a child in a process group of its own, which can be killed as
// a whole, and has the kernel kill it when the test binary dies without
// cleaning up (a timeout panic, say).
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
