package testparts

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Limit is how long a test waits, on this machine as it is now, for what a quiet
// one has done within d: as many times longer as there are programs that want
// to run for each processor.
func Limit(d time.Duration) time.Duration {
	return time.Duration(float64(d) * crowd(load(), runtime.GOMAXPROCS(0)))
}

// crowd is by how much a machine with that load is slower than a quiet one. It
// has a bound, since a broken test shall end too.
func crowd(load float64, processors int) float64 {
	return min(max(load/float64(processors), 1), 20)
}

// load is the number of programs that wanted to run in the last minute; 0 where
// the system does not tell it.
func load() float64 {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	n, _ := strconv.ParseFloat(first, 64)
	return n
}
