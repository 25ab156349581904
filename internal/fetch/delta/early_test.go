package delta

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/archive/index"
	"stretcher/internal/archive/pack"
	"stretcher/internal/fetch/store"
)

// asked serves the directory of a release, and tells of the first request for its
// archive, by range or not.
type asked struct {
	*httptest.Server
	first  chan struct{}
	ranges atomic.Int64
	whole  atomic.Bool // ranges are not heard
}

func ask(t *testing.T, r *release, whole bool) *asked {
	t.Helper()
	a := &asked{first: make(chan struct{}, 1)}
	a.whole.Store(whole)
	files := http.FileServer(http.Dir(filepath.Dir(r.archive)))
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if filepath.Ext(req.URL.Path) != Suffix {
			a.ranges.Add(1)
			select {
			case a.first <- struct{}{}:
			default:
			}
			if a.whole.Load() {
				req.Header.Del("Range")
			}
		}
		files.ServeHTTP(w, req)
	}))
	t.Cleanup(a.Close)
	return a
}

// keeping is a host that has the release before as an archive, too. It looks at the
// live tree when it is asked for a part, and not before.
func keeping(t *testing.T, before, after *release, a *asked, stop func()) *Host {
	t.Helper()
	h, _ := hostWith(t, before, after, a.URL+"/a.tar.x")
	h.Archive = func(string) (Source, bool) {
		f, err := os.Open(before.archive)
		return f, err == nil
	}
	h.Wants = nil
	h.Record = func(*os.Root) Left {
		select {
		case <-a.first:
			stop()
		case <-time.After(time.Minute):
			t.Error("no part was asked for")
		}
		return func(*unix.Stat_t) bool { return true }
	}
	return h
}

// TestEarly: parts come while the live tree is looked at, where the archive before is
// here. What ends that ends the fetching, and what the server says of ranges is not
// lost.
func TestEarly(t *testing.T) {
	enough := errors.New("enough")
	before, after := newRelease(t, files(-1), pack.Gzip), newRelease(t, changedFiles(3, 17, 31), pack.Gzip)
	for name, c := range map[string]struct {
		whole, stop bool
		want        error
	}{
		"parts":          {},
		"stopped":        {stop: true, want: enough},
		"whole":          {whole: true, want: ErrNoRanges},
		"whole, stopped": {whole: true, stop: true, want: enough},
	} {
		t.Run(name, func(t *testing.T) {
			a := ask(t, after, c.whole)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			stop := func() {}
			if c.stop {
				stop = func() { cancel(enough) }
			}
			b, whole, err := keeping(t, before, after, a, stop).Bring(ctx, newServer())
			if !errors.Is(err, c.want) || (whole != nil) != (c.want == ErrNoRanges) || (b == nil) != (err != nil) {
				t.Errorf("%v, %v, %v", b, whole, err)
			}
			if obj := whole.Take(); obj != nil {
				n, err := io.Copy(io.Discard, obj.Body)
				if n != after.index.Size || err != nil {
					t.Errorf("an answer of %d bytes: %v", n, err)
				}
				ok(t, obj.Body.Close())
			}
			if b != nil && after.stream(t, b) != plain(t, after) {
				t.Error("another stream")
			}
			if b != nil && (b.Requests != int(a.ranges.Load()) || b.Bytes < b.Whole/50 || b.Bytes > b.Whole/5) {
				t.Errorf("%d requests of %d, %d bytes of %d", b.Requests, a.ranges.Load(), b.Bytes, b.Whole)
			}
			ok(t, b.Close())
		})
	}
}

// TestEarlyAsksNobody: where all parts will be here, nobody has to say which contents
// he will read, and may read all of them.
func TestEarlyAsksNobody(t *testing.T) {
	before, after := newRelease(t, files(-1), pack.Gzip), newRelease(t, files(7), pack.Gzip)
	a := ask(t, after, false)
	h := keeping(t, before, after, a, func() {})
	h.Wants = func(context.Context, archive.Input) (func(index.Sum) bool, error) {
		t.Error("asked")
		return nil, nil
	}
	b, _, err := h.Bring(t.Context(), newServer())
	ok(t, err)
	if after.stream(t, b) != plain(t, after) {
		t.Error("another stream")
	}
	ok(t, b.Close())
}

// TestNotEarly: of an archive whose index says something else than that of the one
// before, no part is asked for.
func TestNotEarly(t *testing.T) {
	before, after := newRelease(t, files(-1), pack.Gzip), newRelease(t, files(7), pack.Gzip)
	byPath := map[string]*index.File{}
	for i := range after.index.Files {
		byPath[after.index.Files[i].Path] = &after.index.Files[i]
	}
	one, two := byPath["d1/f1"], byPath["d2/f2"]
	one.Sum, two.Sum = two.Sum, one.Sum
	a := ask(t, after, false)
	a.first <- struct{}{}
	_, whole, err := keeping(t, before, after, a, func() {}).Bring(t.Context(), newServer())
	if !errors.Is(err, ErrIndex) || whole != nil || a.ranges.Load() > 0 {
		t.Errorf("%v, %v, %d requests", whole, err, a.ranges.Load())
	}
}

// TestLines: more requests are made at a time where their round trips take longer
// than their bytes.
func TestLines(t *testing.T) {
	far, near := Link{RTT: 20 * time.Millisecond, Rate: 50_000_000}, Link{RTT: time.Millisecond, Rate: 50_000_000}
	for name, c := range map[string]struct {
		link        Link
		lines, want int
		spans       int
		size        int64
		files       int
	}{
		"far, small":   {far, 32, 64, 150, 13_000, 0},
		"far, large":   {far, 32, 32, 150, 100_000, 0},
		"near":         {near, 32, 32, 150, 13_000, 0},
		"few":          {far, 32, 10, 10, 13_000, 0},
		"one line":     {far, 0, 2, 150, 13_000, 0},
		"many allowed": {far, 128, 128, 1000, 1000, 0},
		"few files":    {far, 32, 16, 150, 13_000, 64},
		"hardly any":   {near, 32, 1, 150, 13_000, 3},
		"enough files": {far, 128, 128, 1000, 1000, 1024},
		"only one":     {far, 1, 1, 150, 13_000, 1024},
	} {
		s := &Server{Link: c.link, Lines: c.lines, Files: c.files}
		spans := make([]span, c.spans)
		for i := range spans {
			spans[i].size = c.size
		}
		if n := s.lines(spans); n != c.want {
			t.Errorf("%s: %d", name, n)
		}
	}
}

// dialling is an opener that tells of connections.
type dialling struct {
	t      *testing.T
	object func() *store.Object
	made   []int
}

func (d *dialling) Connect(_ context.Context, _ string, n int) { d.made = append(d.made, n) }

// Open has two connections, as after a redirect.
func (d *dialling) Open(ctx context.Context, _ string, _ store.Position) (*store.Object, error) {
	if len(d.made) > 0 {
		d.t.Error("connections were made before the first request had its own")
	}
	if trace := httptrace.ContextClientTrace(ctx); trace != nil {
		trace.GotConn(httptrace.GotConnInfo{})
		trace.GotConn(httptrace.GotConnInfo{})
	}
	return d.object(), nil
}

// TestConnectsBehind: further connections are made behind that of the first request,
// once, and none where there is to be one. Round trips take longest here.
func TestConnectsBehind(t *testing.T) {
	for lines, want := range map[int]string{1: "[]", 4: "[7]", 32: "[8]"} {
		d := &dialling{t: t, object: func() *store.Object { return &store.Object{Body: http.NoBody} }}
		r := &ranges{s: &Server{Lines: lines}, open: d}
		if _, err := r.fetch(t.Context(), make([]span, 9)); err != ErrNoRanges || fmt.Sprint(d.made) != want {
			t.Errorf("%d: %v, %v, want %s", lines, err, d.made, want)
		}
	}
}

// TestOneAtATime: a server that serves one connection after the other, and closes each,
// is asked as any other.
func TestOneAtATime(t *testing.T) {
	before, after := newRelease(t, files(-1), pack.Gzip), newRelease(t, changedFiles(3, 17, 31), pack.Gzip)
	for _, lines := range []int{1, 32} {
		a := ask(t, after, false)
		one := httptest.NewUnstartedServer(a.Config.Handler)
		one.Config.SetKeepAlivesEnabled(false)
		one.Listener = &turns{Listener: one.Listener, turn: make(chan struct{}, 1)}
		one.Start()
		h := keeping(t, before, after, a, func() {})
		h.Mirrors = []string{one.URL + "/a.tar.x"}
		s := newServer()
		s.Lines = lines
		b, _, err := h.Bring(t.Context(), s)
		ok(t, err)
		if after.stream(t, b) != plain(t, after) || b.Requests < 2 {
			t.Errorf("%d lines: another stream, or %d requests", lines, b.Requests)
		}
		ok(t, b.Close())
		one.Close()
	}
}

// turns accepts a connection when the one before is closed.
type turns struct {
	net.Listener
	turn chan struct{}
}

// Accept waits for its turn.
func (l *turns) Accept() (net.Conn, error) {
	l.turn <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.turn
		return nil, err
	}
	return &turned{Conn: c, over: sync.OnceFunc(func() { <-l.turn })}, nil
}

// turned is the connection whose turn it is.
type turned struct {
	net.Conn
	over func()
}

// Close gives the next one its turn.
func (c *turned) Close() error {
	defer c.over()
	return c.Conn.Close()
}
