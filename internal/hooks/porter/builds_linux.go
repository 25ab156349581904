package porter

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"stretcher/internal/process"
)

const (
	// endRounds bounds how often processes of a build are looked for: one that
	// forks meanwhile is found in the next round.
	endRounds = 100
	endWait   = 20 * time.Millisecond
)

// endWithin kills the processes in containers of builds with mark.
func endWithin(mark string) {
	for range endRounds {
		found := false
		for _, p := range process.Table() {
			if !p.Zombie && isWithin(p.PID, mark) {
				found = syscall.Kill(p.PID, syscall.SIGKILL) == nil || found
			}
		}
		if !found {
			return
		}
		time.Sleep(endWait)
	}
}

// isWithin tells whether a process is in a container of a build with mark: it
// has mounts of its own, and a file of the build's directory is one of them.
func isWithin(pid int, mark string) bool {
	dir := "/proc/" + strconv.Itoa(pid)
	theirs, err := os.Readlink(dir + "/ns/mnt")
	ours, ownErr := os.Readlink("/proc/self/ns/mnt")
	if err != nil || ownErr != nil || theirs == ours || pid == 1 {
		return false
	}
	f, err := os.Open(dir + "/mountinfo")
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			continue
		}
		_, below, ok := strings.Cut(fields[3], "/"+mark) // the file; fields[4] is where it is mounted
		if ok && strings.Contains("/"+fields[3], "/"+buildDir) && strings.Contains("/"+below, "/buildah") {
			return true
		}
	}
	return false
}
