package fetch

import (
	"fmt"
	"testing"
	"time"
)

// TestShare: the delays of a fleet are spread over the span, are the same
// each time, and keep their order when the span is another.
func TestShare(t *testing.T) {
	const hosts, parts = 4000, 8
	var count [parts]int
	for i := range hosts {
		host := fmt.Sprintf("web-%d.example.com", i)
		wait := share(host, time.Hour)
		if wait < 0 || wait >= time.Hour || wait != share(host, time.Hour) {
			t.Fatalf("%s waits %s", host, wait)
		}
		if short := share(host, time.Minute); (short - wait/60).Abs() > time.Millisecond {
			t.Errorf("%s waits %s of an hour and %s of a minute", host, wait, short)
		}
		count[wait*parts/time.Hour]++
	}
	for i, n := range count {
		if n < hosts/parts*3/4 || n > hosts/parts*5/4 {
			t.Errorf("%d of %d hosts wait in part %d of %d", n, hosts, i, parts)
		}
	}
}
