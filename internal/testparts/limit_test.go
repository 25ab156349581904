package testparts

import (
	"testing"
	"time"
)

func TestCrowd(t *testing.T) {
	for _, c := range []struct {
		load       float64
		processors int
		want       float64
	}{
		{0, 2, 1}, {1.5, 2, 1}, {2, 2, 1}, {20, 2, 10}, {20, 16, 1.25}, {1000, 2, 20},
	} {
		if got := crowd(c.load, c.processors); got != c.want {
			t.Errorf("load %v on %d processors: %v, want %v", c.load, c.processors, got, c.want)
		}
	}
}

func TestLimitIsNeverShorter(t *testing.T) {
	if got := Limit(time.Second); got < time.Second || got > 20*time.Second {
		t.Errorf("a second becomes %v", got)
	}
}
