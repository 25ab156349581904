// Package web serves http and https.
//
// Its words are those of package store. It imports that and wire.
package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/wire"
)

// web serves http and https.
type web struct {
	opts   store.Options
	doors  *doors
	client *http.Client
}

// Definition is that of http and https.
func Definition() store.Definition {
	return store.Definition{Schemes: []string{"http", "https"}, Check: check, New: open}
}

func open(opts store.Options) store.Store {
	d := newDoors(opts)
	return &web{opts: opts, doors: d, client: &http.Client{Transport: d, CheckRedirect: checkRedirect}}
}

func check(u *url.URL) error {
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
	if len(via) > wire.MaxRedirects { // via has the first request, too
		return wire.ErrTooManyRedirects
	}
	req.Header.Del("Referer")
	first := via[0].URL
	if req.URL.Host != first.Host || first.Scheme == "https" && req.URL.Scheme != "https" {
		req.Header.Del("Authorization")
	}
	return store.Ask(req.Context(), req.URL.String())
}

// CloseIdle lets go of idle connections.
func (w *web) CloseIdle() { w.doors.closeIdle() }

// Connect is what store.Connector promises.
func (w *web) Connect(ctx context.Context, u *url.URL, n int) { w.doors.connect(ctx, u, n) }

// Open sends one GET, with Range and If-Range (RFC 9110 sections 13 and 14) to
// resume.
func (w *web) Open(ctx context.Context, u *url.URL, from store.Position) (*store.Object, error) {
	req, err := w.request(ctx, u, from)
	if err != nil {
		return nil, store.Failure(ctx, "GET", u, err)
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return nil, store.Failure(ctx, "GET", u, err)
	}
	obj, err := answer(u, resp, from)
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	return obj, nil
}

func (w *web) request(ctx context.Context, u *url.URL, from store.Position) (*http.Request, error) {
	if from.Length >= largePart {
		ctx = context.WithValue(ctx, ownKey{}, true)
	}
	req, err := w.ask(ctx, http.MethodGet, u)
	if err != nil {
		return nil, err
	}
	if !from.IsWhole() {
		req.Header.Set("Range", from.Header())
		if from.Version != "" {
			req.Header.Set("If-Range", from.Version)
		}
	}
	return req, nil
}

// ask makes a request without a body.
func (w *web) ask(ctx context.Context, method string, u *url.URL) (*http.Request, error) {
	target := *u
	target.User, target.Fragment, target.RawFragment = nil, "", ""
	req, err := http.NewRequestWithContext(ctx, method, target.String(), nil)
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
	return req, nil
}

// answer makes an object of resp, or an error.
func answer(u *url.URL, resp *http.Response, from store.Position) (*store.Object, error) {
	version := wire.StrongETag(resp.Header.Get("ETag"))
	switch {
	case resp.StatusCode == http.StatusOK && from.Length > 0 && from.Version != "" &&
		version != "" && version != from.Version:
		return nil, partError(u, resp.StatusCode, store.ErrChanged)
	case resp.StatusCode == http.StatusOK:
		return &store.Object{
			Body: resp.Body, Size: resp.ContentLength, Version: version,
			Encoding: wire.EncodingOf(resp.Header.Get("Content-Encoding")),
		}, nil
	case resp.StatusCode == http.StatusPartialContent && !from.IsWhole():
		return partial(u, resp, from, version)
	}
	return nil, refusal("GET", u, resp)
}

// refusal makes the error of an answer that is no success.
func refusal(op string, u *url.URL, resp *http.Response) error {
	e := wire.Status(op, u, resp.StatusCode, "")
	e.After = wire.RetryAfter(resp.StatusCode, resp.Header, time.Now())
	if resp.StatusCode < 400 {
		e.Err = fmt.Errorf("unexpected status %w", e.Err)
	}
	if resp.StatusCode == http.StatusUnauthorized {
		e.Hint = "name a password or token for it by http in the host policy or in ~/.netrc, " +
			"or write USER:PASSWORD@ before the host of the URL" // a whole URL would be masked
	}
	return e
}

// partial checks that a 206 is the continuation that was asked for.
func partial(u *url.URL, resp *http.Response, from store.Position, version string) (*store.Object, error) {
	start, last, size, err := wire.ContentRange(resp.Header.Get("Content-Range"))
	if err == nil && from.Version != "" && version != "" && version != from.Version {
		err = store.ErrChanged
	}
	if err == nil {
		err = from.Holds(start, last)
	}
	if err != nil {
		return nil, partError(u, resp.StatusCode, err)
	}
	if from.Version != "" {
		version = from.Version
	}
	return &store.Object{
		Body: resp.Body, Offset: start, Size: size, Version: version, Part: from.Length > 0,
		Encoding: wire.EncodingOf(resp.Header.Get("Content-Encoding")),
	}, nil
}

// partError is about an answer that is a success, but not to what was asked.
func partError(u *url.URL, code int, err error) error {
	e := wire.Status("GET", u, code, "")
	e.Err = fmt.Errorf("%w: %w", e.Err, err)
	return e
}
