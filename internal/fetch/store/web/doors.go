package web

import (
	"cmp"
	"context"
	"crypto/tls"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/wire"
)

// doors are the transports that requests go through: one for all, and one for
// each TLS configuration that a server gets of its own, so that no connection is
// made with the certificate that is for another. What a server gets is added
// here, behind the client: what a redirect takes along does not have it.
type doors struct {
	opts  store.Options
	mu    sync.Mutex
	by    map[door]*http.Transport
	ahead *wire.Ahead // makes connections without TLS
}

// door is what tells transports from one another.
type door struct {
	config *tls.Config // nil = that of the options
	own    bool        // each request has a connection of its own
}

func newDoors(opts store.Options) *doors {
	dial := (&net.Dialer{Timeout: opts.ConnectTimeout}).DialContext
	return &doors{opts: opts, by: map[door]*http.Transport{}, ahead: wire.NewAhead(dial)}
}

// RoundTrip sends one request, with what its server gets.
func (d *doors) RoundTrip(req *http.Request) (*http.Response, error) {
	var access store.Access
	if d.opts.Access != nil {
		var err error
		if access, err = d.opts.Access(req.URL, wayOf(req)); err != nil {
			if req.Body != nil {
				_ = req.Body.Close() // as the contract of RoundTripper is
			}
			return nil, err
		}
	}
	if len(access.Header) > 0 {
		req = req.Clone(req.Context())
		maps.Copy(req.Header, access.Header)
	}
	return d.door(door{access.TLS, ownConnection(req)}).RoundTrip(req)
}

// wayOf follows the redirects back that have led to a request.
func wayOf(req *http.Request) store.Way {
	way := store.Way{User: req.Header.Get("Authorization") != ""}
	for before := req.Response; before != nil && before.Request != nil; before = before.Request.Response {
		way.Strange = way.Strange || origin(before.Request.URL) != origin(req.URL)
	}
	return way
}

// origin is what counts as one server (RFC 6454).
func origin(u *url.URL) [3]string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return [3]string{u.Scheme, strings.ToLower(u.Hostname()), port}
}

// largePart is from how many bytes on a range has a connection of its own.
const largePart = 1 << 20

// ownKey marks the requests for such ranges. Several are on their way at a time:
// HTTP/2 would have them share one connection, and its bandwidth.
type ownKey struct{}

// ownConnection tells whether a request is not to share a connection with others
// at the same time. Without TLS none does.
func ownConnection(req *http.Request) bool {
	return req.URL.Scheme == "https" && req.Context().Value(ownKey{}) != nil
}

// door is the transport behind a door.
func (d *doors) door(which door) *http.Transport {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, ok := d.by[which]
	if !ok {
		opts := d.opts
		if which.config != nil {
			opts.TLS = which.config
		}
		t = wire.Transport(opts)
		t.ForceAttemptHTTP2 = true // a dialer of our own turns it off
		t.ExpectContinueTimeout = continueLimit
		if which == (door{}) {
			t.DialContext = d.ahead.DialContext
		}
		if which.own {
			wire.OnlyHTTP1(t)
		}
		d.by[which] = t
	}
	return t
}

// connect begins to make connections to the server of a URL, if requests go there
// straight and without TLS. With it, a server that is asked for many things at a time
// mostly has all of them over one.
func (d *doors) connect(ctx context.Context, u *url.URL, n int) {
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u})
	if u.Scheme == "http" && proxy == nil && err == nil {
		d.ahead.Make(ctx, net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "80")), n)
	}
}

func (d *doors) closeIdle() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range d.by {
		t.CloseIdleConnections()
	}
}
