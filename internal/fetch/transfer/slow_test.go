package transfer

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"stretcher/internal/fetch/store"
)

// slowly is a body that brings n bytes at a time, each after a pause of the
// clock that it moves.
type slowly struct {
	clock *time.Time
	pause time.Duration
	n     int
	left  int
}

func (s *slowly) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	*s.clock = s.clock.Add(s.pause)
	n := min(len(p), s.n, s.left)
	s.left -= n
	return n, nil
}

func (s *slowly) Close() error { return nil }

// opening is an Opener of one kind of body.
type opening struct {
	opened int
	open   func(from store.Position) *store.Object
}

func (o *opening) Open(_ context.Context, _ string, from store.Position) (*store.Object, error) {
	o.opened++
	return o.open(from), nil
}

// TestLeastRate: by a clock of its own. A server that is too slow for a minute
// has failed, however much it has brought before.
func TestLeastRate(t *testing.T) {
	for _, c := range []struct {
		name     string
		least    int64
		pause    time.Duration // between the pieces
		piece    int
		size     int
		dstPause time.Duration // of the destination, for each piece
		attempts int           // 0 = the first one ends well
	}{
		{name: "a byte a second", least: kib, pause: time.Second, piece: 1, size: kib, attempts: 4},
		{name: "little less", least: kib, pause: time.Second, piece: kib - 1, size: 1000 * kib, attempts: 4},
		{name: "as fast as it must", least: kib, pause: time.Second, piece: kib, size: 300 * kib},
		{name: "long pauses, much in between", least: kib, pause: 29 * time.Second, piece: 30 * kib, size: 300 * kib},
		{name: "short", least: kib, pause: time.Second, piece: 1, size: 59},
		{name: "slow destination", least: kib, pause: time.Millisecond, piece: kib, size: 100 * kib, dstPause: time.Hour},
		{name: "any", least: 0, pause: time.Minute, piece: 1, size: 100},
		{name: "much, but less than asked for", least: 100 * kib, pause: time.Second, piece: 30 * kib, size: 99 << 20,
			attempts: 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			clock := time.Unix(0, 0)
			opener := &opening{open: func(from store.Position) *store.Object {
				body := &slowly{&clock, c.pause, c.piece, c.size - int(from.Offset)}
				return &store.Object{Body: body, Offset: from.Offset, Size: int64(c.size), Version: "v"}
			}}
			_, err := Copy(t.Context(), opener, "http://host/x", &memory{}, Options{
				LeastRate: c.least,
				Progress:  func(int64, int64) { clock = clock.Add(c.dstPause) },
				now:       func() time.Time { return clock },
			})
			if c.attempts == 0 && err != nil || c.attempts > 0 && !errors.Is(err, ErrTooSlow) {
				t.Errorf("error %v", err)
			}
			if c.attempts > 0 && opener.opened != c.attempts {
				t.Errorf("%d attempts, not %d", opener.opened, c.attempts)
			}
		})
	}
}

// TestTooSlowSays tells what came, and what was wanted.
func TestTooSlowSays(t *testing.T) {
	clock := time.Unix(0, 0)
	h := &haste{least: kib, now: func() time.Time { return clock }}
	h.watch()
	clock = clock.Add(61 * time.Second)
	err := h.rest(100)
	if err == nil || !strings.Contains(err.Error(), "too slow: 100 B in 1m1s, less than 1.0 KiB/s") {
		t.Errorf("got %v", err)
	}
}

// TestRetryAfter: a pause is no shorter than the server asks for, and no longer
// than a bound.
func TestRetryAfter(t *testing.T) {
	for after, want := range map[time.Duration][2]time.Duration{
		0:                {0, 2 * time.Second},
		7 * time.Second:  {7 * time.Second, 7 * time.Second},
		time.Hour:        {maxAfter, maxAfter},
		-time.Second:     {0, 2 * time.Second},
		time.Millisecond: {time.Millisecond, 2 * time.Second},
	} {
		c := newCopier(nil, "http://host/x", nil, Options{Wait: time.Second})
		got := c.wait(&store.Error{Err: errors.New("503"), After: after})
		if got < want[0] || got > want[1] {
			t.Errorf("after %s: %s", after, got)
		}
	}
}

// TestRetryAfterEnds: the end of the context ends the pause that a server asks
// for, which is longer than a test may last.
func TestRetryAfterEnds(t *testing.T) {
	for _, code := range []int{429, 503} {
		srv := serve(t, noise(1, kib), step{status: code, after: "3600"})
		ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer stop()
		_, err := Copy(ctx, stores(t), srv.URL, &memory{}, Options{Retries: 9, Wait: time.Nanosecond})
		if !errors.Is(err, context.DeadlineExceeded) || len(srv.asked()) != 1 {
			t.Errorf("%d: %v after %d requests", code, err, len(srv.asked()))
		}
	}
}
