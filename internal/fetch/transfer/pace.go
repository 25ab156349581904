package transfer

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/time/rate"
)

// Pace holds copies to a bandwidth, all those together that have it in their
// Options. A nil *Pace is unlimited.
type Pace struct {
	limiter *rate.Limiter
	burst   int
}

// NewPace makes one; 0 is unlimited.
func NewPace(bytesPerSecond int64) *Pace {
	if bytesPerSecond <= 0 {
		return nil
	}
	burst := int(min(bytesPerSecond, chunk))
	return &Pace{rate.NewLimiter(rate.Limit(bytesPerSecond), burst), burst}
}

// chunk is the most to read at a time: a second's worth at low bandwidths.
func (p *Pace) chunk() int {
	if p == nil {
		return chunk
	}
	return p.burst
}

// wait pauses for n bytes, at most chunk. Not rate's own Wait: that one fails at
// once, with an error of its own, when the pause would outlast ctx.
func (p *Pace) wait(ctx context.Context, n int) error {
	if p == nil {
		return nil
	}
	return sleep(ctx, p.limiter.ReserveN(time.Now(), n).Delay())
}

// pause is the time between attempts.
type pause struct{ b *backoff.ExponentialBackOff }

func newPause(first time.Duration) *pause {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval = first
	b.RandomizationFactor = 0.5
	b.Multiplier = 2
	b.MaxInterval = max(first, maxWait)
	b.Reset()
	return &pause{b}
}

func (p *pause) next() time.Duration { return max(0, p.b.NextBackOff()) }
func (p *pause) reset()              { p.b.Reset() }

// sleep waits for d or the end of ctx, and gives ctx's error.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
