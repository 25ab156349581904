package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"stretcher/internal/testparts"
)

// breaker is a proxy in front of a real server. It cuts connections in the
// middle of a body and writes down what was asked and answered.
type breaker struct {
	*httptest.Server
	mu     sync.Mutex
	path   string // what the paths of answers to cut contain
	after  int    // bytes of body that such an answer gets
	cuts   int    // how many of them are still to be cut
	before func() // runs before the next request is passed on, then no more
	seen   []string
}

// newBreaker passes requests on to the server at target, a base URL. The
// server sees its own name as the host, or with keepHost the proxy's, which is
// what clients that sign requests have signed.
func newBreaker(t testing.TB, target string, keepHost bool) *breaker {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	b := &breaker{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = to.Scheme, to.Host
		if !keepHost {
			r.Out.Host = to.Host
		}
	}}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxy.ServeHTTP(b.note(w, r), r)
	}))
	b.Config.ErrorLog = nil
	t.Cleanup(b.Close)
	return b
}

// cut makes the next n answers for such paths break after so many bytes.
func (b *breaker) cut(path string, after, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.path, b.after, b.cuts, b.seen = path, after, n, nil
}

// note writes the request down and gives what its answer goes to.
func (b *breaker) note(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.before != nil && r.Header.Get("Range") != "" {
		b.before()
		b.before = nil
	}
	if !strings.Contains(r.URL.Path, b.path) {
		return w
	}
	n := len(b.seen)
	b.seen = append(b.seen, "")
	w = &watched{ResponseWriter: w, status: func(code int) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if n < len(b.seen) {
			b.seen[n] = strings.TrimSpace(fmt.Sprintf("%d %s", code, r.Header.Get("Range")))
		}
	}}
	if b.cuts > 0 {
		b.cuts--
		w = testparts.Cut(w, b.after)
	}
	return w
}

// answers are the statuses and asked-for ranges of the cut paths' requests.
func (b *breaker) answers() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.seen, ", ")
}

// watched tells the status of an answer.
type watched struct {
	http.ResponseWriter
	status func(int)
}

func (w *watched) WriteHeader(code int) {
	w.status(code)
	w.ResponseWriter.WriteHeader(code)
}

func (w *watched) Flush() { w.ResponseWriter.(http.Flusher).Flush() }
