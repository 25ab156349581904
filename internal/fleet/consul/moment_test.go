package consul

import (
	"testing"
	"time"
)

// TestSlept: a machine that was suspended knows it by either of the clocks that go on,
// or are set right afterwards; one that was not, does not.
func TestSlept(t *testing.T) {
	const long = time.Hour
	n := now()
	for name, c := range map[string]struct {
		m     moment
		slept bool
	}{
		"awake":           {n, false},
		"awake for long":  {moment{n.Add(-long), n.wall.Add(-long), n.boot - long}, false},
		"by the boot":     {moment{n.Time, n.wall, n.boot - long}, true},
		"by the wall":     {moment{n.Time, n.wall.Add(-long), n.boot}, true},
		"wall set back":   {moment{n.Time, n.wall.Add(long), n.boot}, false},
		"boot, wall back": {moment{n.Time, n.wall.Add(long), n.boot - long}, true},
		"half a second":   {moment{n.Time, n.wall, n.boot - 500*time.Millisecond}, false},
	} {
		if slept := c.m.slept(); (slept >= long-time.Minute) != c.slept || !c.slept && slept != 0 {
			t.Errorf("%s: it slept for %s", name, slept)
		}
	}
}

// TestUntilAfterSleep: what is left of a lease is so much less.
func TestUntilAfterSleep(t *testing.T) {
	h := &holder{lease: time.Hour, confirmed: now()}
	if left := time.Until(h.Until()); left < 59*time.Minute || h.stoodStill() {
		t.Errorf("%s are left, and it stood still: %v", left, h.stoodStill())
	}
	h.confirmed.boot -= 50 * time.Minute
	if left := time.Until(h.Until()); left > 10*time.Minute || !h.stoodStill() {
		t.Errorf("%s are left, and it stood still: %v", left, h.stoodStill())
	}
}
