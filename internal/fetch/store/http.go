package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxRedirects is what net/http allows.
const maxRedirects = 10

var errTooManyRedirects = fmt.Errorf("stopped after %d redirects", maxRedirects)

// web serves http and https.
type web struct {
	opts   Options
	client func() *http.Client
}

func newHTTP(opts Options) Store {
	return &web{opts: opts, client: sync.OnceValue(func() *http.Client {
		t := transport(opts)
		t.ForceAttemptHTTP2 = true // a dialer of our own turns it off
		return &http.Client{Transport: t, CheckRedirect: checkRedirect}
	})}
}

// transport is common to all stores that speak HTTP.
func transport(opts Options) *http.Transport {
	t := &http.Transport{}
	tune(t, opts)
	t.DialContext = (&net.Dialer{Timeout: opts.ConnectTimeout}).DialContext
	return t
}

// tune sets what the options say, and no decompression: a .tar.gz that is
// served as Content-Encoding: gzip must arrive as it is stored.
func tune(t *http.Transport, opts Options) {
	t.Proxy = http.ProxyFromEnvironment
	t.DisableCompression = true
	t.TLSHandshakeTimeout = opts.ConnectTimeout
	t.ResponseHeaderTimeout = opts.HeaderTimeout
	t.IdleConnTimeout = 90 * time.Second
	if opts.TLS != nil {
		t.TLSClientConfig = opts.TLS.Clone()
	}
}

func checkHTTP(u *url.URL) error {
	if u.Hostname() == "" {
		return errors.New("no host")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("port %q", p)
		}
	}
	return nil
}

// checkRedirect keeps from the next server what was meant for the first.
// net/http would hand the password to other ports, to subdomains and to http
// after https, and name the URL it comes from, query and all.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects { // via has the first request, too
		return errTooManyRedirects
	}
	req.Header.Del("Referer")
	first := via[0].URL
	if req.URL.Host != first.Host || first.Scheme == "https" && req.URL.Scheme != "https" {
		req.Header.Del("Authorization")
	}
	return ask(req.Context(), req.URL.String())
}

func (w *web) closeIdle() { w.client().CloseIdleConnections() }

// Open sends one GET, with Range and If-Range (RFC 9110 sections 13 and 14) to
// resume.
func (w *web) Open(ctx context.Context, u *url.URL, from Position) (*Object, error) {
	req, err := w.request(ctx, u, from)
	if err != nil {
		return nil, failure(ctx, "GET", u, err)
	}
	resp, err := w.client().Do(req)
	if err != nil {
		return nil, failure(ctx, "GET", u, err)
	}
	obj, err := answer(u, resp, from)
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	return obj, nil
}

func (w *web) request(ctx context.Context, u *url.URL, from Position) (*http.Request, error) {
	target := *u
	target.User, target.Fragment, target.RawFragment = nil, "", ""
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, err
	}
	if u.User != nil {
		pass, _ := u.User.Password()
		req.SetBasicAuth(u.User.Username(), pass)
	}
	if w.opts.UserAgent != "" {
		req.Header.Set("User-Agent", w.opts.UserAgent)
	}
	req.Header.Set("Accept-Encoding", "identity")
	if !from.isWhole() {
		req.Header.Set("Range", from.header())
		if from.Version != "" {
			req.Header.Set("If-Range", from.Version)
		}
	}
	return req, nil
}

// answer makes an object of resp, or an error.
func answer(u *url.URL, resp *http.Response, from Position) (*Object, error) {
	version := strongETag(resp.Header.Get("ETag"))
	switch {
	case resp.StatusCode == http.StatusOK && from.Length > 0 && from.Version != "" &&
		version != "" && version != from.Version:
		return nil, partError(u, resp.StatusCode, ErrChanged)
	case resp.StatusCode == http.StatusOK:
		return &Object{
			Body: resp.Body, Size: resp.ContentLength, Version: version,
			Encoding: encodingOf(resp.Header.Get("Content-Encoding")),
		}, nil
	case resp.StatusCode == http.StatusPartialContent && !from.isWhole():
		return partial(u, resp, from, version)
	}
	e := status("GET", u, resp.StatusCode, "")
	e.After = retryAfter(resp.StatusCode, resp.Header, time.Now())
	if resp.StatusCode < 400 {
		e.Err = fmt.Errorf("unexpected status %w", e.Err)
	}
	if resp.StatusCode == http.StatusUnauthorized {
		e.Hint = "write USER:PASSWORD@ before the host of the URL" // a whole URL would be masked
	}
	return nil, e
}

// partial checks that a 206 is the continuation that was asked for.
func partial(u *url.URL, resp *http.Response, from Position, version string) (*Object, error) {
	start, last, size, err := contentRange(resp.Header.Get("Content-Range"))
	if err == nil && from.Version != "" && version != "" && version != from.Version {
		err = ErrChanged
	}
	if err == nil {
		err = from.holds(start, last)
	}
	if err != nil {
		return nil, partError(u, resp.StatusCode, err)
	}
	if from.Version != "" {
		version = from.Version
	}
	return &Object{
		Body: resp.Body, Offset: start, Size: size, Version: version, Part: from.Length > 0,
		Encoding: encodingOf(resp.Header.Get("Content-Encoding")),
	}, nil
}

// partError is about an answer that is a success, but not to what was asked.
func partError(u *url.URL, code int, err error) error {
	e := status("GET", u, code, "")
	e.Err = fmt.Errorf("%w: %w", e.Err, err)
	return e
}

// contentRange reads "bytes FIRST-LAST/SIZE" (RFC 9110 section 14.4). A SIZE of
// * gives -1.
func contentRange(h string) (first, last, size int64, err error) {
	bad := fmt.Errorf("malformed Content-Range %q", h)
	unit, rest, _ := strings.Cut(h, " ")
	span, total, ok := strings.Cut(rest, "/")
	from, to, ok2 := strings.Cut(span, "-")
	if !ok || !ok2 || !strings.EqualFold(unit, "bytes") {
		return 0, 0, 0, bad
	}
	first, err1 := digits(from)
	last, err2 := digits(to)
	size, err3 := int64(-1), error(nil)
	if total != "*" {
		size, err3 = digits(total)
	}
	if errors.Join(err1, err2, err3) != nil || last < first || size >= 0 && last >= size {
		return 0, 0, 0, bad
	}
	return first, last, size, nil
}

// digits is strconv.ParseInt without signs.
func digits(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err
}

// strongETag gives tag, or "" when it is weak: equal weak tags do not promise
// equal bytes.
func strongETag(tag string) string {
	if len(tag) < 2 || tag[0] != '"' || tag[len(tag)-1] != '"' {
		return ""
	}
	return tag
}
