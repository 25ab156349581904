package tree

import (
	"time"

	"golang.org/x/sys/unix"
)

// now is the earliest time that the kernel gives to what is changed now. It
// stands still for some milliseconds at a time.
func now() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &ts) != nil {
		return time.Now().UnixNano()
	}
	return ts.Nano()
}
