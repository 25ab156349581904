package transfer

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stretcher/internal/fetch/store"
)

const mib = 1 << 20

// scattered is a Scattered destination that holds Copy to what it promises.
type scattered struct {
	t *testing.T

	mu      sync.Mutex
	data    []byte
	written []bool // by the KiB
	settled int64
	scatter bool // WriteAt was called
	resets  int
	fullAt  int64 // an offset that can't be written; 0 = none
}

var errFull = errors.New("no space left on device")

func (s *scattered) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data = append(s.data, p...)
	return len(p), nil
}

func (s *scattered) WriteAt(p []byte, at int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scatter = true
	end := at + int64(len(p))
	if s.fullAt > 0 && end > s.fullAt {
		return 0, errFull
	}
	if n := int(end) - len(s.data); n > 0 {
		s.data = append(s.data, make([]byte, n)...)
		s.written = append(s.written, make([]bool, len(s.data)/kib+1-len(s.written))...)
	}
	for k := (at + kib - 1) / kib; k < end/kib; k++ {
		if s.written[k] {
			s.t.Errorf("KiB %d is written twice", k)
		}
		s.written[k] = true
	}
	return copy(s.data[at:], p), nil
}

func (s *scattered) Settled(offset int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if offset < s.settled {
		s.t.Errorf("settled up to %d after %d", offset, s.settled)
	}
	for k := s.settled / kib; k < offset/kib; k++ {
		// What is written by parts of it is not marked; no KiB is of zeros.
		if !s.written[k] && (k+1)*kib <= offset && bytes.Equal(s.data[k*kib:(k+1)*kib], make([]byte, kib)) {
			s.t.Errorf("KiB %d is settled, and has not been written", k)
		}
	}
	s.settled = offset
}

func (s *scattered) Reset() error {
	s.resets++
	s.data, s.written, s.settled = nil, nil, 0
	return nil
}

// isWhole tells the first request, and one that begins again, from those for
// ranges.
func isWhole(r *http.Request) bool { return r.Header.Get("Range") == "" }

// TestSeveral: a large object comes whole, whatever a server does with ranges
// of it, and without beginning again where that can be.
func TestSeveral(t *testing.T) {
	data, other := noise(1, 1500*kib), noise(2, 1200*kib)
	ranges := func(s step) func(int, *http.Request) step {
		return func(_ int, r *http.Request) step {
			if isWhole(r) {
				return step{}
			}
			return s
		}
	}
	once := func(at int, s step) func(int, *http.Request) step {
		return func(n int, _ *http.Request) step {
			if n == at {
				return s
			}
			return step{}
		}
	}
	for _, c := range []struct {
		name     string
		pick     func(n int, r *http.Request) step
		want     []byte // nil = data
		resets   int
		alone    bool   // the object comes on one connection from the start on
		refused  bool   // the others are refused: no more requests than connections
		log      string // has this
		requests int    // at least
	}{
		{name: "as it should", pick: once(-1, step{}), requests: 4},
		{name: "Range ignored", pick: ranges(step{noRange: true}), refused: true, log: "sends the whole object"},
		{name: "wrong Content-Range", pick: ranges(step{shift: 1}), refused: true, log: "got them from"},
		{name: "another version", pick: ranges(step{etag: `"v2"`, data: other}), refused: true, log: "changed"},
		{name: "precondition failed", pick: ranges(step{status: 412}), refused: true, log: "412"},
		{name: "too many requests", pick: ranges(step{status: 429}), refused: true, log: "429"},
		{name: "unavailable", pick: ranges(step{status: 503}), refused: true, log: "goes on by 1 of the connections"},
		{name: "forbidden", pick: ranges(step{status: 403}), refused: true, log: "403"},
		{name: "no such range", pick: ranges(step{status: 416}), refused: true, log: "416"},
		{name: "hung up", pick: ranges(step{mute: true}), refused: true, log: "goes on by"},
		{name: "encoded ranges", pick: ranges(step{encoding: "gzip"}), refused: true, log: "unlike its beginning"},
		{name: "grown", pick: ranges(step{data: noise(1, 1500*kib+1)}), refused: true, log: "changed"},
		{name: "shrunk", pick: ranges(step{data: data[:1200*kib]}), refused: true, log: "changed"},
		{name: "one is told to wait", pick: once(2, step{status: 503, after: "1"}), requests: 4},
		{name: "weak ETag", pick: once(0, step{etag: `W/"v1"`}), alone: true},
		{name: "no ETag", pick: once(0, step{noETag: true}), alone: true},
		{name: "size unknown", pick: once(0, step{chunked: true}), alone: true},
		{name: "encoded", pick: once(0, step{encoding: "gzip"}), alone: true},
		{name: "the first is cut", pick: once(0, step{cut: 100 * kib}), requests: 5, log: "broke off at byte 102400, "},
		{name: "a piece is cut", pick: once(2, step{cut: 100 * kib}), requests: 5, log: "broke off at byte "},
		{name: "a piece is short", pick: once(3, step{cut: 100 * kib, chunked: true}), requests: 5, log: "unexpected EOF"},
		{name: "all are cut", requests: 9, log: "broke off at byte ", pick: func(n int, _ *http.Request) step {
			if n < 8 {
				return step{cut: 60 * kib}
			}
			return step{}
		}},
		{name: "ranges are cut", pick: ranges(step{cut: kib}), requests: 9, resets: 1, log: "does not send the ranges"},
		{name: "ranges are empty", pick: ranges(step{cut: 1}), requests: 9, resets: 1, log: "does not send the ranges"},
		{name: "replaced meanwhile", want: other, resets: 1, log: "changed", pick: func(n int, _ *http.Request) step {
			if n == 0 {
				return step{cut: 100 * kib}
			}
			return step{etag: `"v2"`, data: other}
		}},
		{name: "Range ignored after a break", resets: 1, log: "sends the whole object",
			pick: func(n int, _ *http.Request) step {
				if n == 0 {
					return step{cut: 100 * kib}
				}
				return step{noRange: true}
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := serve(t, data)
			if srv.pick = c.pick; !c.alone {
				srv.gate = 4
			}
			var log lockedBuffer
			dst := &scattered{t: t}
			n, err := Copy(t.Context(), stores(t), srv.URL, dst, Options{
				Connections: 4, Wait: time.Millisecond, large: 256 * kib, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			})
			want := c.want
			if want == nil {
				want = data
			}
			if err != nil || n != int64(len(want)) || !bytes.Equal(dst.data, want) || dst.resets != c.resets {
				t.Errorf("%d bytes, right: %v; %d resets; error %v", n, bytes.Equal(dst.data, want), dst.resets, err)
			}
			asked := srv.asked()
			if c.alone != (len(asked) == 1) || dst.scatter == c.alone || len(asked) < c.requests || c.refused && len(asked) > 4 {
				t.Errorf("requests %q", asked)
			}
			if !strings.Contains(log.String(), c.log) {
				t.Errorf("%q is not in the log:\n%s", c.log, log.String())
			}
		})
	}
}

// lockedBuffer is a log that several goroutines write to.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

// TestSeveralGivesUp: the copy ends with this error, after no more requests
// than this.
func TestSeveralGivesUp(t *testing.T) {
	data := noise(1, 1500*kib)
	never := errors.New("no room")
	for _, c := range []struct {
		name     string
		opts     Options
		pick     func(n int, r *http.Request) step
		fullAt   int64
		requests int
		want     string
		is       error
	}{
		{name: "disk full", fullAt: 300 * kib, requests: 4, want: `write what "BASE" holds: no space left on device`,
			is: errFull},
		{name: "disk full far away", fullAt: 1400 * kib, requests: 12, want: "no space left on device", is: errFull},
		{name: "too large", opts: Options{MaxBytes: 1200 * kib}, requests: 1,
			want: "too large: 1536000 bytes announced, 1228800 allowed", is: ErrTooLarge},
		{name: "refused size", opts: Options{OnSize: func(int64) error { return never }}, requests: 1, want: "no room",
			is: never},
		{name: "gone meanwhile", requests: 8, want: "404 Not Found", is: store.ErrNotFound,
			pick: func(n int, _ *http.Request) step {
				if n < 4 {
					return step{cut: 100 * kib}
				}
				return step{status: 404}
			}},
		{name: "down for good", requests: 16, want: "503 Service Unavailable (after ",
			pick: func(n int, _ *http.Request) step {
				if n < 4 {
					return step{cut: 100 * kib}
				}
				return step{status: 503}
			}},
		{name: "dribbling", requests: 24, want: "unexpected EOF (after ", pick: func(int, *http.Request) step {
			return step{cut: kib}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := serve(t, data)
			if srv.pick = c.pick; c.pick == nil {
				srv.pick = func(int, *http.Request) step { return step{} }
			}
			c.opts.Connections, c.opts.large, c.opts.Wait = 4, 256*kib, time.Millisecond
			dst := &scattered{t: t, fullAt: c.fullAt}
			_, err := Copy(t.Context(), stores(t), srv.URL, dst, c.opts)
			if !errors.Is(err, c.is) && c.is != nil || err == nil || !strings.Contains(hide(err, srv.URL), c.want) {
				t.Errorf("error %v, want %s", err, c.want)
			}
			if got := srv.asked(); len(got) > c.requests {
				t.Errorf("%d requests, at most %d wanted: %q", len(got), c.requests, got)
			}
		})
	}
}

// TestSeveralEnds: the end of the context ends all connections.
func TestSeveralEnds(t *testing.T) {
	why := errors.New("the deploy was stopped")
	srv := serve(t, noise(1, 1500*kib))
	srv.pick = func(int, *http.Request) step { return step{stall: true, cut: 10 * kib} }
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
	_, err := Copy(ctx, stores(t), srv.URL, &scattered{t: t}, Options{Connections: 4, large: 256 * kib, Stall: time.Hour})
	if !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
		t.Errorf("error %v, want the cancellation and its cause", err)
	}
}

// TestSeveralProgress: it does not go back, and ends at the end.
func TestSeveralProgress(t *testing.T) {
	srv := serve(t, noise(1, 1500*kib))
	srv.gate = 4
	srv.pick = func(n int, _ *http.Request) step {
		if n%3 == 2 {
			return step{cut: 64 * kib}
		}
		return step{}
	}
	var done, sizes []int64
	_, err := Copy(t.Context(), stores(t), srv.URL, &scattered{t: t}, Options{
		Connections: 4, large: 256 * kib, Wait: time.Millisecond,
		Progress: func(n, _ int64) { done = append(done, n) },
		OnSize:   func(n int64) error { sizes = append(sizes, n); return nil },
	})
	if err != nil || !slices.IsSorted(done) || done[len(done)-1] != 1500*kib || !slices.Equal(sizes, []int64{1500 * kib}) {
		t.Errorf("error %v, sizes %v, progress in order: %v", err, sizes, slices.IsSorted(done))
	}
}

// TestSeveralOnlyLarge: what is small, and a destination that can't take it,
// comes on one connection.
func TestSeveralOnlyLarge(t *testing.T) {
	for _, c := range []struct {
		size int
		dst  Destination
		opts Options
		want bool
	}{
		{33 * mib, &scattered{t: t}, Options{Connections: 4}, true},
		{32 * mib, &scattered{t: t}, Options{Connections: 4}, false},
		{33 * mib, &memory{}, Options{Connections: 1}, false},
		{33 * mib, &memory{}, Options{Connections: 4}, false},
	} {
		srv := serve(t, bytes.Repeat([]byte{1}, c.size))
		n, err := Copy(t.Context(), stores(t), srv.URL, c.dst, c.opts)
		if err != nil || n != int64(c.size) || (len(srv.asked()) > 1) != c.want {
			t.Errorf("%d bytes on %d: %d requests, error %v", c.size, c.opts.Connections, len(srv.asked()), err)
		}
	}
}
