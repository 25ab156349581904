package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stretcher/internal/fetch/store"
)

// road is what a server far away is like: it gives each connection a rate.
type road struct {
	size  int64
	rtt   time.Duration
	rate  int64 // bytes per second and connection
	limit int   // of connections at once; 0 = none
	// stop is how many bytes the n-th body brings, from 0 on, before it brings
	// nothing more; 0 = all.
	stop func(n int) int64
}

// far is an Opener at the end of a road. The clock moves when everybody waits:
// the times are exact on any machine.
type far struct {
	road
	mu     sync.Mutex
	opened int
	open   int
	sent   int64
}

func (f *far) Open(ctx context.Context, _ string, from store.Position) (*store.Object, error) {
	if err := sleep(ctx, f.rtt); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.limit > 0 && f.open == f.limit {
		return nil, &store.Error{Err: errors.New("503"), Retryable: true}
	}
	body := &farBody{ctx: ctx, far: f, left: f.size - from.Offset}
	if from.Length > 0 {
		body.left = from.Length
	}
	if f.stop != nil {
		body.stop = f.stop(f.opened)
	}
	f.opened++
	f.open++
	return &store.Object{Body: body, Offset: from.Offset, Size: f.size, Version: "v", Part: from.Length > 0}, nil
}

type farBody struct {
	ctx  context.Context
	far  *far
	left int64
	stop int64
	come int64
	done bool
}

func (b *farBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), b.left)
	if b.stop > 0 {
		n = min(n, b.stop-b.come)
	}
	wait := time.Duration(float64(n) / float64(b.far.rate) * float64(time.Second))
	if n == 0 {
		wait = 1000 * time.Hour
	}
	if err := sleep(b.ctx, wait); err != nil {
		return 0, err
	}
	b.left -= n
	b.come += n
	b.far.mu.Lock()
	b.far.sent += n
	b.far.mu.Unlock()
	return int(n), nil
}

func (b *farBody) Close() error {
	b.far.mu.Lock()
	defer b.far.mu.Unlock()
	if !b.done {
		b.far.open--
	}
	b.done = true
	return nil
}

// nowhere is a Scattered destination that keeps nothing.
type nowhere struct{ settled int64 }

func (n *nowhere) Write(p []byte) (int, error)            { return len(p), nil }
func (n *nowhere) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (n *nowhere) Settled(offset int64)                   { n.settled = offset }
func (n *nowhere) Reset() error                           { return nil }
func (f *far) fetch(t *testing.T, opts Options) (took time.Duration, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		began, dst := time.Now(), &nowhere{}
		_, err = Copy(t.Context(), f, "http://far/x", dst, opts)
		took = time.Since(began)
		if err == nil && opts.Connections > 1 && dst.settled != f.size {
			t.Errorf("settled up to %d of %d", dst.settled, f.size)
		}
	})
	return took, err
}

// TestSeveralTakesItsTime compares several connections with one.
func TestSeveralTakesItsTime(t *testing.T) {
	const mb = 1_000_000
	for _, c := range []struct {
		name        string
		road        road
		connections int
		most        float64 // of the time that one takes
		opened      int     // requests at most
	}{
		{"50 MB/s", road{size: 131 * mb, rtt: 20 * time.Millisecond, rate: 50 * mb}, 4, 0.32, 30},
		{"50 MB/s, not much larger", road{size: 40 * mb, rtt: 20 * time.Millisecond, rate: 50 * mb}, 4, 0.35, 16},
		{"50 MB/s, large", road{size: 2000 * mb, rtt: 20 * time.Millisecond, rate: 50 * mb}, 4, 0.28, 300},
		{"two", road{size: 131 * mb, rtt: 20 * time.Millisecond, rate: 50 * mb}, 2, 0.56, 30},
		{"sixteen", road{size: 500 * mb, rtt: 20 * time.Millisecond, rate: 50 * mb}, 16, 0.1, 130},
		{"around the world", road{size: 131 * mb, rtt: 300 * time.Millisecond, rate: 3 * mb}, 4, 0.32, 30},
		{"slow", road{size: 131 * mb, rtt: 20 * time.Millisecond, rate: mb / 10}, 4, 0.27, 30},
		{"one at a time", road{size: 131 * mb, rtt: 20 * time.Millisecond, rate: 50 * mb, limit: 1}, 4, 1.0001, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			one, err := (&far{road: c.road}).fetch(t, Options{})
			if err != nil {
				t.Fatal(err)
			}
			f := &far{road: c.road}
			took, err := f.fetch(t, Options{Connections: c.connections})
			ratio := took.Seconds() / one.Seconds()
			if err != nil || ratio > c.most || f.opened > c.opened {
				t.Errorf("%s instead of %s, %.3f; %d requests; error %v", took, one, ratio, f.opened, err)
			}
			if over := f.sent - f.size; over > int64(c.connections)*chunk {
				t.Errorf("%d bytes too many", over)
			}
		})
	}
}

// TestSeveralHelpsOut: a connection that brings nothing any more does not hold
// the others up as long as it may be silent.
func TestSeveralHelpsOut(t *testing.T) {
	for _, silent := range []int{0, 1, 3} {
		f := &far{road: road{size: 100 << 20, rtt: 20 * time.Millisecond, rate: 50 << 20, stop: func(n int) int64 {
			if n == silent {
				return mib
			}
			return 0
		}}}
		took, err := f.fetch(t, Options{Connections: 4, Stall: time.Minute})
		if err != nil || took > 5*time.Second {
			t.Errorf("body %d is silent: %s, error %v", silent, took, err)
		}
	}
}

// TestSeveralStalls: when nothing comes on any connection, that is a stall, for
// as long as it is on one.
func TestSeveralStalls(t *testing.T) {
	f := &far{road: road{size: 100 << 20, rtt: 20 * time.Millisecond, rate: 50 << 20, stop: func(int) int64 { return 1 }}}
	took, err := f.fetch(t, Options{Connections: 4, Stall: time.Minute, Wait: time.Second})
	if !errors.Is(err, ErrStalled) || took > 10*time.Minute || f.opened > 4*(patience+1) {
		t.Errorf("after %s and %d requests: %v", took, f.opened, err)
	}
}

// TestSeveralTogether: the bandwidth limit and the least rate are those of all
// connections together.
func TestSeveralTogether(t *testing.T) {
	f := &far{road: road{size: 64 << 20, rtt: 20 * time.Millisecond, rate: 50 << 20}}
	took, err := f.fetch(t, Options{Connections: 4, Bandwidth: 1 << 20})
	if err != nil || took < 63*time.Second || took > 66*time.Second {
		t.Errorf("64 MiB at 1 MiB/s take %s, error %v", took, err)
	}
	for _, c := range []struct {
		least int64
		ok    bool
	}{{390, true}, {410, false}} {
		f := &far{road: road{size: 200 << 20, rtt: 20 * time.Millisecond, rate: 100 << 10}}
		_, err := f.fetch(t, Options{Connections: 4, LeastRate: c.least << 10})
		if c.ok != (err == nil) || err != nil && !errors.Is(err, ErrTooSlow) {
			t.Errorf("4 x 100 KiB/s, %d wanted: %v", c.least, err)
		}
	}
}

// TestSeveralSaysWhatAnAttemptIs: attempts of all connections are counted
// together.
func TestSeveralSaysWhatAnAttemptIs(t *testing.T) {
	f := &far{road: road{size: 64 << 20, rtt: 20 * time.Millisecond, rate: 50 << 20, stop: func(int) int64 { return 1 }}}
	_, err := f.fetch(t, Options{Connections: 2, Stall: time.Minute})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("(after %d attempts)", f.opened)) {
		t.Errorf("%d requests: %v", f.opened, err)
	}
}
