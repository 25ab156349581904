package process

import (
	"bytes"
	"os"
	"strconv"
)

// maxAncestors bounds the way up: nobody wraps a handler this often.
const maxAncestors = 64

// SerfAgent names the Serf agent that this process handles an event for, by
// when it was started, as Start does, and its number: another name after each
// start. "" when it is not to be found. It is the nearest ancestor without the
// variable SERF_EVENT, which shells and other wrappers in between have
// inherited.
func SerfAgent() string {
	pid, w := os.Getppid(), &waits{maxWaits}
	for range maxAncestors {
		e, ok := lookUp(pid)
		if !ok {
			return ""
		}
		handles, err := hasVariable(pid, "SERF_EVENT=", w)
		switch {
		case err != nil: // of another user
			handles = !isAgent(pid)
		case pid == 1 && !isAgent(pid): // it adopts whoever has lost his parent
			return ""
		}
		if !handles {
			return Boot() + ":" + e.tick + ":" + strconv.Itoa(pid)
		}
		pid = e.Parent
	}
	return ""
}

// isAgent tells whether a process was started as `serf agent` is.
func isAgent(pid int) bool {
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	return err == nil && bytes.Contains(line, []byte("\x00agent\x00"))
}
