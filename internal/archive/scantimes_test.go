//go:build !386 && !arm

package archive

import (
	"math"
	"testing"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk/confined"
)

// TestScanTimes is for systems whose times have 64 bits.
func TestScanTimes(t *testing.T) {
	m := &memory{now: 42}
	for _, c := range []struct{ sec, nsec, want int64 }{
		{0, confined.TimeNow, 42}, {0, 0, 0}, {5, 7, 5e9 + 7}, {-5, 7, -5e9 + 7},
		{9223372035, 999999999, 9223372035999999999}, {9223372036, 0, math.MaxInt64}, {math.MaxInt64, 1, math.MaxInt64},
		{-9223372036, 0, -9223372036e9}, {-9223372037, 999999999, math.MinInt64}, {math.MinInt64, 1, math.MinInt64},
	} {
		if got := m.nanos(unix.Timespec{Sec: c.sec, Nsec: c.nsec}); got != c.want {
			t.Errorf("%d s %d ns: got %d", c.sec, c.nsec, got)
		}
	}
}
