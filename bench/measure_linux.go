package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// awaitEnd waits until a child has ended, but does not reap it, so that
// proc(5) still has its count of written bytes, with those of its own
// children that it waited for.
func awaitEnd(pid int) (written int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	io, _ := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	return procValue(string(io), "wchar")
}

// changedAt is ctime in nanoseconds.
func changedAt(st *syscall.Stat_t) int64 { return st.Ctim.Nano() }
