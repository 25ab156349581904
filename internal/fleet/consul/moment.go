package consul

import "time"

// moment is a time by all the clocks of the host.
type moment struct {
	time.Time               // by the monotonic clock
	wall      time.Time     // by that on the wall alone
	boot      time.Duration // since the machine was started; 0 where the system does not tell it
}

func now() moment {
	t := time.Now()
	return moment{t, t.Round(0), sinceBoot()}
}

// slept is how long the machine stood still since then, by the clock that says the
// most: the monotonic one stands still as well, that since the start goes on, and that
// on the wall is set right afterwards. It may also have been set for another reason,
// so who needs to know asks Consul. Clocks are read one after the other: a second is
// nothing.
func (m moment) slept() time.Duration {
	n := now()
	slept := max(n.wall.Sub(m.wall), n.boot-m.boot) - n.Sub(m.Time)
	if slept < time.Second {
		return 0
	}
	return slept
}
