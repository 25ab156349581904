package process

import (
	"errors"
	"os"
	"strings"
	"syscall"
)

// Start names the moment at which the process pid started, in a form that no
// other process with that number ever has: the boot and the clock tick in it
// (proc(5), field 22 of stat). "" when there is no such process.
func Start(pid int) string {
	e, ok := lookUp(pid)
	if !ok || e.Zombie {
		return ""
	}
	return Boot() + ":" + e.tick
}

// Boot names the time since the machine was started.
func Boot() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// Alive reports whether pid is the process that Start described, and has not
// ended.
func Alive(pid int, start string) bool {
	if start == "" {
		return running(pid)
	}
	return Start(pid) == start
}

func running(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// KillMarked ends every process that has variable (NAME=value) in its
// environment and a variable whose name is name, in whatever group it is. It
// returns how many there were.
func KillMarked(variable, name string) int {
	killed := 0
	for _, e := range Table() {
		if e.PID != os.Getpid() && e.HasVariable(variable) && e.HasVariable(name+"=") &&
			syscall.Kill(e.PID, syscall.SIGKILL) == nil {
			killed++
		}
	}
	return killed
}

// KillGroupsOf ends the process groups of all that have variable (NAME=value)
// in their environment, this process's own excepted. It reports whether there
// were any.
func KillGroupsOf(variable string) bool {
	killed := false
	for _, e := range Table() {
		if e.Group > 1 && e.Group != syscall.Getpgrp() && e.HasVariable(variable) {
			killed = syscall.Kill(-e.Group, syscall.SIGKILL) == nil || killed
		}
	}
	return killed
}

// KillGroup ends the process group pgid, if it is not this process's own and
// one of its processes has variable (NAME=value) in its environment: the number
// may belong to another group by now. It reports whether it did.
func KillGroup(pgid int, variable string) bool {
	if pgid <= 1 || pgid == syscall.Getpgrp() {
		return false
	}
	for _, e := range Table() {
		if e.Group == pgid && e.HasVariable(variable) {
			return syscall.Kill(-pgid, syscall.SIGKILL) == nil
		}
	}
	return false
}
