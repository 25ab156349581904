//go:build unix && !linux

package process

import "syscall"

// attributes puts the child into a group of its own. There is no
// parent-death signal on this system.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// groupGone reports whether the process group has no process any more.
func groupGone(pgid int) bool { return syscall.Kill(-pgid, 0) != nil }
