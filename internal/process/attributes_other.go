//go:build unix && !linux

package process

import "syscall"

// attributes puts the child into a group of its own. There is no
// parent-death signal on this system.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
