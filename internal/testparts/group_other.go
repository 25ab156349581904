//go:build unix && !linux

package testparts

import "syscall"

// ownGroup starts a child in a process group of its own, which can be killed as
// a whole.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
