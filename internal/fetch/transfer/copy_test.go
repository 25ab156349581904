package transfer

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stretcher/internal/fetch/store"
	"stretcher/internal/testparts"
)

const kib = 1 << 10

// TestCopyRecovers: the copy ends well, after exactly these requests.
func TestCopyRecovers(t *testing.T) {
	data, other := noise(1, 300*kib), noise(2, 200*kib)
	for _, c := range []struct {
		name    string
		retries int
		steps   []step
		ranges  []string
		resets  int
		want    []byte // data if nil
	}{
		{"at once", 0, nil, []string{""}, 0, nil},
		{"size unknown", 0, []step{{chunked: true}}, []string{""}, 0, nil},
		{"broken connection, no retries", 0, []step{{cut: 100 * kib}, {}}, []string{"", "bytes=102400-"}, 0, nil},
		{"broken thrice", 0, []step{{cut: 1000}, {cut: 1000}, {cut: 1000}, {}},
			[]string{"", "bytes=1000-", "bytes=2000-", "bytes=3000-"}, 0, nil},
		{"broken often, but getting on", 0, []step{{cut: 66 * kib}},
			[]string{"", "bytes=67584-", "bytes=135168-", "bytes=202752-", "bytes=270336-"}, 0, nil},
		{"short chunked body", 0, []step{{cut: 1000, chunked: true}, {}}, []string{"", "bytes=1000-"}, 0, nil},
		{"errors while resuming", 0, []step{{cut: 1000}, {status: 503}, {mute: true}, {}},
			[]string{"", "bytes=1000-", "bytes=1000-", "bytes=1000-"}, 0, nil},
		{"Range ignored", 0, []step{{cut: 1000}, {noRange: true}}, []string{"", "bytes=1000-"}, 1, nil},
		{"no validator", 0, []step{{cut: 1000, noETag: true}, {noETag: true}}, []string{"", ""}, 1, nil},
		{"weak validator", 0, []step{{cut: 1000, etag: `W/"v1"`}, {}}, []string{"", ""}, 1, nil},
		{"changed meanwhile", 0, []step{{cut: 1000}, {etag: `"v2"`, data: other}}, []string{"", "bytes=1000-"}, 1, other},
		{"precondition failed", 0, []step{{cut: 1000}, {status: 412}, {}}, []string{"", "bytes=1000-", ""}, 1, nil},
		{"grown under the same tag", 0, []step{{cut: 1000}, {data: noise(1, 301*kib)}, {data: other}},
			[]string{"", "bytes=1000-", ""}, 1, other},
		{"unavailable", 2, []step{{status: 503}, {mute: true}, {}}, []string{"", "", ""}, 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := serve(t, data, c.steps...)
			dst, opener := &memory{}, &checked{Opener: stores(t), t: t}
			n, err := Copy(t.Context(), opener, srv.URL, dst, Options{Retries: c.retries, Wait: time.Millisecond})
			if err != nil || opener.open != 0 {
				t.Fatalf("error %v, %d bodies left open", err, opener.open)
			}
			if c.want == nil {
				c.want = data
			}
			if n != int64(len(c.want)) || !bytes.Equal(dst.Bytes(), c.want) {
				t.Errorf("%d bytes told, %d written, want %d and these", n, dst.Len(), len(c.want))
			}
			if got := srv.asked(); !slices.Equal(got, c.ranges) || dst.resets != c.resets {
				t.Errorf("ranges %q and %d resets, want %q and %d", got, dst.resets, c.ranges, c.resets)
			}
		})
	}
}

// TestCopyGivesUp: the copy ends with this error, after so many requests.
func TestCopyGivesUp(t *testing.T) {
	full := errors.New("no space left on device")
	data := noise(1, 100*kib)
	for _, c := range []struct {
		name     string
		opts     Options
		steps    []step
		dst      memory
		requests int
		want     string
		is       error
	}{
		{name: "not found", opts: Options{Retries: 5}, steps: []step{{status: 404}}, requests: 1,
			want: `GET "BASE": 404 Not Found`, is: store.ErrNotFound},
		{name: "unavailable", steps: []step{{status: 503}}, requests: 1, want: `GET "BASE": 503 Service Unavailable`},
		{name: "unavailable for long", opts: Options{Retries: 2}, steps: []step{{status: 503}}, requests: 3,
			want: `GET "BASE": 503 Service Unavailable (after 3 attempts)`},
		{name: "gone meanwhile", opts: Options{Retries: 5}, steps: []step{{cut: 1000}, {status: 404}}, requests: 2,
			want: `GET "BASE": 404 Not Found (after 2 attempts)`, is: store.ErrNotFound},
		{name: "dribbling", steps: []step{{cut: 1}}, requests: 4,
			want: `read "BASE" at byte 4: unexpected EOF (after 4 attempts)`},
		{name: "dribbling with retries", opts: Options{Retries: 5}, steps: []step{{cut: 1}}, requests: 6,
			want: `read "BASE" at byte 6: unexpected EOF (after 6 attempts)`},
		{name: "restarting for ever", steps: []step{{cut: 80 * kib, noETag: true}}, requests: 4,
			want: `read "BASE" at byte 81920: unexpected EOF (after 4 attempts)`},
		{name: "new version each time",
			steps: []step{{cut: 1000}, {cut: 1000, etag: `"v2"`}, {cut: 1000}, {cut: 1000, etag: `"v2"`}}, requests: 4,
			want: `read "BASE" at byte 1000: unexpected EOF (after 4 attempts)`},
		{name: "destination full", opts: Options{Retries: 5}, dst: memory{fail: full}, requests: 1,
			want: `write what "BASE" holds: no space left on device`, is: full},
		{name: "announced too large", opts: Options{Retries: 5, MaxBytes: 1000}, requests: 1,
			want: `"BASE": too large: 102400 bytes announced, 1000 allowed`, is: ErrTooLarge},
		{name: "too large", opts: Options{Retries: 5, MaxBytes: 1000}, steps: []step{{chunked: true}}, requests: 1,
			want: `"BASE": too large: more bytes came, 1000 allowed`, is: ErrTooLarge},
		{name: "refused size", opts: Options{Retries: 5, OnSize: func(int64) error { return full }}, requests: 1,
			want: `"BASE" of 102400 bytes: no space left on device`, is: full},
		{name: "stalled", opts: Options{Retries: 1, Stall: 2 * time.Second},
			steps: []step{{stall: true, cut: 10}}, requests: 4,
			want: `read "BASE" at byte 40: no data for 2s (after 4 attempts)`, is: ErrStalled},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := serve(t, data, c.steps...)
			set := stores(t)
			c.opts.Wait = time.Millisecond
			_, err := Copy(t.Context(), set, srv.URL, &c.dst, c.opts)
			if got := hide(err, srv.URL); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v is not %v", err, c.is)
			}
			if got := srv.asked(); len(got) != c.requests {
				t.Errorf("requests %q, want %d", got, c.requests)
			}
		})
	}
}

func TestCopyHidesSecrets(t *testing.T) {
	var log bytes.Buffer
	srv := serve(t, noise(1, 100*kib), step{cut: 1})
	u := strings.Replace(srv.URL, "://", "://user:SEKRIT@", 1) + "/a?token=SEKRIT"
	opts := Options{Wait: time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	_, err := Copy(t.Context(), stores(t), u, &memory{}, opts)
	if err == nil || strings.Contains(err.Error()+log.String(), "SEKRIT") {
		t.Errorf("error %v\nlog %s", err, log.String())
	}
	if n := strings.Count(log.String(), "\n"); n != 3 || !strings.Contains(log.String(), "from=2 attempt=3") {
		t.Errorf("%d log lines, want one for each of 3 resumptions:\n%s", n, log.String())
	}
}

func TestStallCountsOnlyTheServer(t *testing.T) {
	const stall = 900 * time.Millisecond // below the second that the bandwidth makes it pause
	for _, c := range []struct {
		name string
		size int
		step step
		dst  memory
		opts Options
	}{
		{name: "slow destination", size: 64 * kib, dst: memory{delay: 2 * stall}},
		{name: "slow bandwidth", size: 3000, opts: Options{Bandwidth: 1000}},
		{name: "slow server", size: 60 * kib, step: step{delay: stall / 40}},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := noise(1, c.size)
			srv := serve(t, data, c.step)
			c.opts.Stall = stall
			if _, err := Copy(t.Context(), stores(t), srv.URL, &c.dst, c.opts); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(c.dst.Bytes(), data) || len(srv.asked()) != 1 {
				t.Errorf("%d bytes in %d requests, want %d in one", c.dst.Len(), len(srv.asked()), c.size)
			}
		})
	}
}

// TestCopyEnds: whatever the copy waits for, the end of its context ends it.
// Each wait lasts far longer than a test may.
func TestCopyEnds(t *testing.T) {
	why := errors.New("the deploy was stopped")
	for _, c := range []struct {
		name string
		step step
		opts Options
	}{
		{"reading", step{stall: true, cut: 10}, Options{}},
		{"watching for a stall", step{stall: true, cut: 10}, Options{Stall: time.Hour}},
		{"between attempts", step{cut: 10}, Options{Wait: time.Hour}},
		{"holding back", step{}, Options{Bandwidth: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := serve(t, noise(1, 100*kib), c.step)
			set := stores(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			c.opts.Progress = func(int64, int64) { time.AfterFunc(50*time.Millisecond, func() { cancel(why) }) }
			dst := &memory{}
			_, err := Copy(ctx, set, srv.URL, dst, c.opts)
			if c.opts.Bandwidth > 0 && dst.Len() > kib {
				t.Errorf("%d bytes at 1 byte/s", dst.Len())
			}
			if !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
				t.Errorf("error %v, want the cancellation and its cause", err)
			}
			ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer stop()
			c.opts.Progress = nil
			_, err = Copy(ctx, set, srv.URL, &memory{}, c.opts)
			if want := `"BASE": context deadline exceeded`; !errors.Is(err, context.DeadlineExceeded) ||
				hide(err, srv.URL) != want {
				t.Errorf("error %v, want %s", err, want)
			}
		})
	}
}

func TestSizeAndProgress(t *testing.T) {
	data := noise(1, 100*kib)
	srv := serve(t, data, step{cut: 50 * kib}, step{noRange: true})
	var sizes, done []int64
	opts := Options{
		Wait:   time.Millisecond,
		OnSize: func(n int64) error { sizes = append(sizes, n); return nil },
		Progress: func(n, total int64) {
			if total != int64(len(data)) {
				t.Errorf("total %d", total)
			}
			done = append(done, n)
		},
	}
	if _, err := Copy(t.Context(), stores(t), srv.URL, &memory{}, opts); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(sizes, []int64{int64(len(data))}) {
		t.Errorf("sizes %v, want one", sizes)
	}
	if slices.Max(done) != int64(len(data)) || done[len(done)-1] != int64(len(data)) || slices.IsSorted(done) {
		t.Errorf("progress %v, want to the end, with a step back", done)
	}
	srv = serve(t, data, step{chunked: true})
	opts = Options{Progress: func(_, total int64) {
		if total != -1 {
			t.Errorf("total %d, want unknown", total)
		}
	}}
	if _, err := Copy(t.Context(), stores(t), srv.URL, &memory{}, opts); err != nil {
		t.Fatal(err)
	}
}

// TestMaxBytes: the largest size is taken and one byte more is not, told
// beforehand or not, in one go or after a break. No byte beyond it is written.
func TestMaxBytes(t *testing.T) {
	const limit = 100 * kib
	for name, steps := range map[string][]step{
		"announced": nil, "unknown": {{chunked: true}}, "broken": {{chunked: true, cut: 60 * kib}, {chunked: true}},
	} {
		for _, size := range []int{limit - 1, limit, limit + 1, 2*limit - 1} {
			srv := serve(t, noise(1, size), steps...)
			dst := &memory{}
			_, err := Copy(t.Context(), stores(t), srv.URL, dst, Options{MaxBytes: limit, Wait: time.Millisecond})
			if size <= limit && (err != nil || dst.Len() != size) {
				t.Errorf("%s, %d bytes: %d written, %v", name, size, dst.Len(), err)
			}
			if size > limit && (!errors.Is(err, ErrTooLarge) || dst.Len() > limit) {
				t.Errorf("%s, %d bytes: %d written, %v", name, size, dst.Len(), err)
			}
		}
	}
}

func TestWrongSize(t *testing.T) {
	for _, c := range []struct {
		lie      int64
		requests int
		want     string
	}{
		{-1, 1, `read "BASE" at byte 0: more than the 999 bytes announced`},
		{1, 4, `read "BASE" at byte 1000: unexpected EOF: 1001 bytes announced (after 4 attempts)`},
	} {
		srv := serve(t, noise(1, 1000), step{noETag: true})
		opener := &checked{Opener: stores(t), t: t, lie: c.lie}
		_, err := Copy(t.Context(), opener, srv.URL, &memory{}, Options{Wait: time.Millisecond})
		if hide(err, srv.URL) != c.want || len(srv.asked()) != c.requests {
			t.Errorf("lie %d: error %v in %d requests, want %s in %d", c.lie, err, len(srv.asked()), c.want, c.requests)
		}
	}
}

// TestNginx resumes at a server that knows all of Range: directly, and through
// a proxy that lets only so much pass.
func TestNginx(t *testing.T) {
	dir, data := t.TempDir(), noise(1, 1<<20)
	if err := os.WriteFile(filepath.Join(dir, "app.tar"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	base := testparts.Nginx(t, dir, "")
	cut := cutter(t, strings.TrimPrefix(base, "http://"), 300*kib)
	for _, c := range []struct {
		base  string
		conns int
	}{{base, 0}, {"http://" + cut.addr, 4}} {
		dst := &memory{}
		n, err := Copy(t.Context(), stores(t), c.base+"/app.tar", dst, Options{Wait: time.Millisecond})
		if err != nil || n != int64(len(data)) || !bytes.Equal(dst.Bytes(), data) || dst.resets != 0 {
			t.Errorf("%d bytes, %d resets, error %v", n, dst.resets, err)
		}
		if got := int(cut.conns.Load()); got != c.conns {
			t.Errorf("%d connections through the proxy, want %d", got, c.conns)
		}
	}
}

func TestFileGrows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, noise(1, 100*kib), 0o644); err != nil {
		t.Fatal(err)
	}
	once := false
	opts := Options{Wait: time.Millisecond, Progress: func(int64, int64) {
		if !once {
			once = true
			if err := os.Chtimes(path, time.Time{}, time.Unix(1, 0)); err != nil {
				t.Error(err)
			}
		}
	}}
	dst := &memory{}
	n, err := Copy(t.Context(), stores(t), "file://"+path, dst, opts)
	if err != nil || n != 100*kib || dst.resets != 1 {
		t.Errorf("%d bytes, %d resets, error %v; want the file read again", n, dst.resets, err)
	}
}

func TestPause(t *testing.T) {
	for _, c := range []struct{ first, last time.Duration }{
		{time.Second, time.Minute}, {0, 0}, {time.Hour, time.Hour},
	} {
		p := newPause(c.first)
		for i := range 20 {
			base := min(c.first<<i, c.last)
			if got := p.next(); got < base/2 || got > base+base/2+1 {
				t.Errorf("from %v: pause %d is %v, want %v by half", c.first, i, got, base)
			}
		}
		p.reset()
		if got := p.next(); got > c.first+c.first/2+1 {
			t.Errorf("from %v: %v after the reset", c.first, got)
		}
	}
}

func TestPaceCountsEveryByte(t *testing.T) {
	for _, c := range []struct {
		bandwidth int64
		chunk     int
	}{{0, chunk}, {1, 1}, {1000, 1000}, {10 << 20, chunk}} {
		p := NewPace(c.bandwidth)
		if p.chunk() != c.chunk {
			t.Errorf("%d bytes/s: chunk %d, want %d", c.bandwidth, p.chunk(), c.chunk)
		}
		if p == nil {
			continue
		}
		// What is asked beyond the first burst has to wait for its share.
		now := time.Now()
		p.limiter.ReserveN(now, p.burst)
		got := p.limiter.ReserveN(now, p.burst).DelayFrom(now)
		want := time.Duration(float64(p.burst) / float64(c.bandwidth) * float64(time.Second))
		if d := got - want; d < -time.Millisecond || d > time.Millisecond {
			t.Errorf("%d bytes/s: %v for %d bytes, want %v", c.bandwidth, got, p.burst, want)
		}
	}
}
