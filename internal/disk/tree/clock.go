package tree

import "time"

// Settle waits until what is changed from now on gets another time of change
// than what was changed by ctime: some milliseconds at most, and not at all if
// that is long ago or, by another machine's clock, to come.
func Settle(ctime int64) {
	const step = time.Millisecond
	for range 20 {
		if t := now(); t > ctime || ctime-t > int64(time.Second) {
			return
		}
		time.Sleep(step)
	}
}
