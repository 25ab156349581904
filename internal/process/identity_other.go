//go:build unix && !linux

package process

import (
	"errors"
	"syscall"
)

// Start names the moment at which a process started; this system does not
// say it to us.
func Start(int) string { return "" }

// Boot names the time since the machine was started; this system does not
// say it to us.
func Boot() string { return "" }

// SerfAgent names the Serf agent that this process handles an event for; this
// system does not say it to us.
func SerfAgent() string { return "" }

// Alive reports whether there is a process with that number.
func Alive(pid int, _ string) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// KillMarked ends nothing where environments can't be read.
func KillMarked(string, string) int { return 0 }

// KillGroupsOf ends nothing where environments can't be read.
func KillGroupsOf(string) bool { return false }

// KillGroup ends nothing where a group's environment can't be read.
func KillGroup(int, string) bool { return false }
