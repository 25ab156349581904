package consul

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/fleet"
)

// outage is how long Consul has been out of reach, and what has been said of it.
type outage struct {
	since time.Time // zero = it is not
	cause error
	said  time.Time // when it was said last; zero = it was not
	every time.Duration
}

// When it is said that Consul is away: not of what a new leader takes, then at once, and
// then more and more rarely.
const (
	firstSaid = 2 * time.Second
	thenSaid  = time.Minute
	leastSaid = time.Hour
)

// reached notes that Consul has answered.
func (p *Place) reached() {
	if !p.said.IsZero() {
		p.info("consul answers again, after %s", time.Since(p.since).Round(time.Second))
	}
	p.outage = outage{}
}

// without decides what the host does that has no answer of use. A leader is elected
// in seconds: nothing is decided before an eighth of the lease.
func (p *Place) without(ctx context.Context, err error) (proceed bool, _ error) {
	if p.since.IsZero() {
		p.since = time.Now()
	}
	p.cause = err
	if b := (*barred)(nil); errors.As(err, &b) && p.leads(ctx) {
		return false, shutOut(p, b, err)
	}
	decided := p.since.Add(p.lease / 8)
	switch p.entry.Rollout.Unreachable() {
	case fleet.Proceed:
		if time.Now().After(decided) {
			p.log("Consul is out of reach, and on_unreachable is proceed: "+
				"this host deploys WITHOUT the limits of the rollout: %v", err)
			return true, nil
		}
		complain(p, "goes on without any limit at", decided)
	case fleet.Fail:
		if time.Now().After(decided) {
			return false, err
		}
		complain(p, "fails at", decided)
	default:
		until, _ := ctx.Deadline()
		complain(p, "waits until", until)
	}
	return false, nil
}

// complain says now and then that Consul is away, and what the host does.
func complain(p *Place, does string, until time.Time) {
	slow := errors.Is(p.cause, context.DeadlineExceeded)
	if time.Since(p.since) < firstSaid && !slow || time.Since(p.said) < p.every {
		return
	}
	p.said, p.every = time.Now(), min(max(2*p.every, thenSaid), leastSaid)
	p.log("no answer of consul since %s, this host %s %s: %v", clock(p.since), does, clock(until), p.cause)
}

// clock is a time for people, who may have to wait for a week.
func clock(t time.Time) string { return t.Format("2006-01-02 15:04:05") }

// shutOut ends the wait of a host that Consul does not serve, whatever on_unreachable
// says: at once, where it never did, and else after half a lease. It is asked twice.
func shutOut(p *Place, b *barred, err error) error {
	until := b.since
	if b.had {
		until = until.Add(p.lease / 2)
	}
	switch {
	case b.times > 1 && !time.Now().Before(until):
		return err
	case b.had && time.Since(p.said) >= thenSaid:
		p.said = time.Now()
		p.log("this host is served no more, and fails at %s unless it is again: %v", clock(until), err)
	}
	return nil
}

// leads tells whether there is a leader, by whose word the host is not served. An agent
// that reaches none lets nobody in whom it has not seen before.
func (c *Client) leads(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	leader, err := c.api.Status().LeaderWithQueryOptions((&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return barredBy(err) != nil
	}
	return leader != ""
}
