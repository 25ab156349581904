package delta

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"stretcher/internal/archive/pack"
)

// odd serves a file, and instead of its first answers to ranges what it is told to.
type odd struct {
	path    string
	instead func(w http.ResponseWriter, r *http.Request)
	times   int

	mu    sync.Mutex
	asked []string // ranges
}

// ServeHTTP answers.
func (o *odd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	o.asked = append(o.asked, r.Header.Get("Range"))
	n := len(o.asked)
	o.mu.Unlock()
	if n <= o.times {
		o.instead(w, r)
		return
	}
	w.Header().Set("ETag", `"1"`)
	http.ServeFile(w, r, o.path)
}

// brought is what a host with the release before makes of one by a server.
func brought(t *testing.T, s *Server, o *odd, before, after *release) {
	t.Helper()
	o.path = after.archive
	srv := httptest.NewServer(o)
	t.Cleanup(srv.Close)
	w := after.wish(t, srv.URL+"/a")
	w.Live = rootOf(t, before.dir)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	b, whole, err := Bring(ctx, s, w)
	whole.Close()
	ok(t, err)
	defer b.Close()
	if after.stream(t, b) != plain(t, after) {
		t.Error("another stream")
	}
}

// TestAskedAgain: an answer that fails is asked for again, the first as any other,
// and no more of the archive than what is missing.
func TestAskedAgain(t *testing.T) {
	before, after := newRelease(t, files(-1), pack.Gzip), newRelease(t, files(7), pack.Gzip)
	for name, instead := range map[string]func(w http.ResponseWriter, r *http.Request){
		"unavailable": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"too many":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"broken off":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"too long":    tooLong(after.archive),
	} {
		t.Run(name, func(t *testing.T) {
			o := &odd{instead: instead, times: 1}
			brought(t, newServer(), o, before, after)
			if len(o.asked) > 4 || o.asked[0] == "" {
				t.Errorf("asked for %q", o.asked)
			}
			for _, r := range o.asked {
				if r == "" {
					t.Errorf("all of the archive was asked for: %q", o.asked)
				}
			}
		})
	}
}

// tooLong answers with the range and something behind it.
func tooLong(path string) func(w http.ResponseWriter, r *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		var from, to int
		_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to)
		data, _ := os.ReadFile(path)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(data)))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(append(data[from:to+1:to+1], "and more"...))
	}
}

// TestSharedBandwidth: one range has all of the bandwidth, however many there may
// be at a time. With its share of that it would take longer than the test.
func TestSharedBandwidth(t *testing.T) {
	before, after := newRelease(t, files(-1), pack.Gzip), newRelease(t, files(7), pack.Gzip)
	for _, lines := range []int{1, 100_000} {
		s := newServer()
		s.Bandwidth, s.Lines = 1<<20, lines
		brought(t, s, &odd{}, before, after)
	}
}
