package oci

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/wire"
)

const hint = "docker login, or oras login, keeps credentials in config.json in $DOCKER_CONFIG or ~/.docker: " +
	"of the user who runs this, for this registry"

// connect makes the client, which keeps tokens and knows the credentials that
// docker login has left. It asks nobody yet.
func (r *registries) connect() (*auth.Client, error) {
	head := http.Header{"Accept-Encoding": {"identity"}}
	if r.opts.UserAgent != "" {
		head.Set("User-Agent", r.opts.UserAgent)
	}
	t := wire.Transport(r.opts)
	t.ForceAttemptHTTP2 = true // a dialer of our own turns it off
	client := &auth.Client{
		Client: &http.Client{Transport: t, CheckRedirect: checkRedirect}, // package transfer retries
		Header: head,
		Cache:  auth.NewCache(),
	}
	if os.Getenv("DOCKER_CONFIG") == "" && os.Getenv("HOME") == "" {
		return client, nil
	}
	logins, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	if err != nil {
		return nil, err
	}
	find := credentials.Credential(logins)
	client.Credential = func(ctx context.Context, host string) (auth.Credential, error) {
		cred, err := find(ctx, host)
		if err != nil {
			return cred, noHelp{err}
		}
		return cred, nil
	}
	return client, nil
}

// noHelp is the error of a helper that is to give credentials.
type noHelp struct{ error }

// Unwrap gives errors.Is the cause.
func (n noHelp) Unwrap() error { return n.error }

// checkRedirect asks about where a server redirects to. The library takes the
// token away where that is not the registry itself.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > wire.MaxRedirects { // via has the first request, too
		return wire.ErrTooManyRedirects
	}
	req.Header.Del("Referer")
	if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return errors.New("redirected from https to " + req.URL.Scheme)
	}
	return store.Ask(req.Context(), req.URL.String())
}

// refused is an answer with a status that is no success.
type refused struct {
	code  int
	text  string
	after time.Duration
}

// Error is the status.
func (r *refused) Error() string { return fmt.Sprintf("%d %s", r.code, r.text) }

// answered makes an error of an answer.
func answered(resp *http.Response) error {
	return &refused{resp.StatusCode, http.StatusText(resp.StatusCode),
		wire.RetryAfter(resp.StatusCode, resp.Header, time.Now())}
}

// failure makes the error of an attempt.
func failure(ctx context.Context, u *url.URL, err error) error {
	if ctx.Err() != nil {
		return store.Failure(ctx, "get", u, err)
	}
	var (
		help noHelp
		said *errcode.ErrorResponse
		bare *refused
	)
	switch {
	case errors.Is(err, errdef.ErrNotFound):
		return wire.Status("get", u, http.StatusNotFound, "")
	case errors.Is(err, auth.ErrBasicCredentialNotFound), errors.As(err, &help):
		return noLogin(ctx, u, err)
	case errors.As(err, &bare):
		return statusOf(u, bare.code, "", bare.after)
	case errors.As(err, &said):
		text := http.StatusText(said.StatusCode)
		if len(said.Errors) > 0 {
			text = said.Errors[0].Code + ": " + said.Errors[0].Message
		}
		return statusOf(u, said.StatusCode, text, 0)
	}
	return store.Failure(ctx, "get", u, err)
}

func statusOf(u *url.URL, code int, text string, after time.Duration) error {
	e := wire.Status("get", u, code, text)
	e.After = after
	if errors.Is(e, store.ErrDenied) {
		e.Hint = hint
	}
	return e
}

// noLogin is the error of a registry that wants to know who asks.
func noLogin(ctx context.Context, u *url.URL, err error) error {
	fail := store.Failure(ctx, "get", u, err)
	var e *store.Error
	if ctx.Err() != nil || !errors.As(fail, &e) {
		return fail
	}
	why := "docker's config.json can't be read"
	var help noHelp
	switch {
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		why = "no credentials for the registry"
	case errors.As(err, &help):
		why = "no credentials for the registry: " + store.OneLine(help.Error())
	}
	e.Retryable, e.Hint = false, hint
	e.Err = store.Mark(store.ErrDenied, errors.New(why))
	return e
}
