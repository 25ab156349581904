package consul

import (
	"testing"
	"time"
)

// TestPatience: who leaves while a leader is elected waits for that, and not for a Consul
// that has been away for long, or has never answered.
func TestPatience(t *testing.T) {
	const lease = 2 * time.Minute
	for name, c := range map[string]struct {
		head        *head
		away        time.Duration
		least, most time.Duration
	}{
		"it answers":           {new(head), 0, lease, lease},
		"for a moment":         {new(head), time.Second, 25 * time.Second, 30 * time.Second},
		"for long":             {new(head), time.Hour, requestTime / 2, requestTime / 2},
		"it has never":         {nil, 0, requestTime / 2, requestTime / 2},
		"never, since a while": {nil, time.Second, requestTime / 2, requestTime / 2},
	} {
		p := &Place{known: known{head: c.head}, holder: holder{lease: lease}}
		if c.away > 0 {
			p.since = time.Now().Add(-c.away)
		}
		if got := patience(p); got < c.least || got > c.most {
			t.Errorf("%s: %s", name, got)
		}
	}
	p := &Place{known: known{head: new(head)}, holder: holder{lease: lease}, spot: spot{holds: true}}
	if got := patience(p); got != 2*lease {
		t.Errorf("it has a slot: %s", got)
	}
}
