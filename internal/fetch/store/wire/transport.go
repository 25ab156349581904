package wire

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"stretcher/internal/fetch/store"
)

// maxIdle is how many connections to a server are kept for the next request:
// ranges are asked for several at a time, and net/http keeps two.
const maxIdle = 64

// Transport is common to all stores that speak HTTP.
func Transport(opts store.Options) *http.Transport {
	t := &http.Transport{}
	Tune(t, opts)
	t.DialContext = (&net.Dialer{Timeout: opts.ConnectTimeout}).DialContext
	return t
}

// Tune sets what the options say, and no decompression: a .tar.gz that is
// served as Content-Encoding: gzip must arrive as it is stored.
func Tune(t *http.Transport, opts store.Options) {
	t.Proxy = http.ProxyFromEnvironment
	t.DisableCompression = true
	t.TLSHandshakeTimeout = opts.ConnectTimeout
	t.ResponseHeaderTimeout = opts.HeaderTimeout
	t.IdleConnTimeout = 90 * time.Second
	t.MaxIdleConnsPerHost = maxIdle
	if opts.TLS != nil {
		t.TLSClientConfig = opts.TLS.Clone()
	}
}

// OnlyHTTP1 keeps a transport from HTTP/2, which has all requests to a server
// share one connection.
func OnlyHTTP1(t *http.Transport) {
	t.ForceAttemptHTTP2 = false
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	if t.TLSClientConfig != nil {
		t.TLSClientConfig.NextProtos = []string{"http/1.1"}
	}
}

// MaxRedirects is what net/http allows.
const MaxRedirects = 10

// ErrTooManyRedirects: servers lead from one to the next.
var ErrTooManyRedirects = fmt.Errorf("stopped after %d redirects", MaxRedirects)

// Stay lets a client follow no redirect by itself: signatures and tokens are
// for one server.
func Stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
