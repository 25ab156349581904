package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"

	"stretcher/internal/text/redact"
)

const (
	gsScope = "https://www.googleapis.com/auth/devstorage.read_only"
	gsHint  = "set GOOGLE_APPLICATION_CREDENTIALS to a key file, run gcloud auth application-default login, or give the instance a service account"
)

// bucketGS serves gs://bucket/name, with ?generation= for one version of it.
// Credentials are Google's application default credentials;
// STORAGE_EMULATOR_HOST names a server that wants none.
//
// One GET of https://cloud.google.com/storage/docs/xml-api/get-object-download
// is all there is to it. Google's library for it brings a gRPC with it, of which
// each start of the program would pay the initialization.
type bucketGS struct {
	opts   Options
	client func() *http.Client
	mu     sync.Mutex
	creds  *auth.Credentials // found by the first Open that needs them
}

func newGS(opts Options) Store {
	return &bucketGS{opts: opts, client: sync.OnceValue(func() *http.Client {
		return &http.Client{Transport: transport(opts), CheckRedirect: stay}
	})}
}

// Open sends one request, pinned to a generation to resume.
func (g *bucketGS) Open(ctx context.Context, u *url.URL, from Position) (*Object, error) {
	resume := from.Offset > 0 && from.Version != ""
	resp, err := g.get(ctx, u, from, resume)
	if err != nil {
		return nil, gsError(ctx, u, err)
	}
	obj, err := gsAnswer(u, resp, from, resume)
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	return obj, nil
}

// get sends the request.
func (g *bucketGS) get(ctx context.Context, u *url.URL, from Position, resume bool) (*http.Response, error) {
	target, creds, err := g.endpoint(ctx)
	if err != nil {
		return nil, err
	}
	target.Path = "/" + u.Host + "/" + key(u)
	target.RawPath = "/" + u.Host + "/" + url.PathEscape(key(u))
	version := u.Query().Get("generation")
	if resume {
		version = from.Version
	}
	if version != "" {
		if _, err := strconv.ParseInt(version, 10, 64); err != nil {
			return nil, fmt.Errorf("generation %q is no number", version)
		}
		target.RawQuery = "generation=" + version
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, err
	}
	if g.opts.UserAgent != "" {
		req.Header.Set("User-Agent", g.opts.UserAgent)
	}
	req.Header.Set("Accept-Encoding", "gzip") // as it is stored
	if resume {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from.Offset))
	}
	if err := authorize(ctx, req, creds); err != nil {
		return nil, err
	}
	return g.client().Do(req)
}

// endpoint is the server, and what it wants to see; creds are nil for an
// emulator.
func (g *bucketGS) endpoint(ctx context.Context) (*url.URL, *auth.Credentials, error) {
	if host := os.Getenv("STORAGE_EMULATOR_HOST"); host != "" {
		if !strings.Contains(host, "://") {
			host = "http://" + host
		}
		u, err := url.Parse(host)
		if err != nil {
			return nil, nil, fmt.Errorf("STORAGE_EMULATOR_HOST: %w", err)
		}
		return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil, nil
	}
	creds, err := g.credentials(ctx)
	if err != nil {
		return nil, nil, errNoCredentials{err}
	}
	domain, err := creds.UniverseDomain(ctx)
	return &url.URL{Scheme: "https", Host: "storage." + cmp.Or(domain, "googleapis.com")}, creds, err
}

// authorize adds a token to a request.
func authorize(ctx context.Context, req *http.Request, creds *auth.Credentials) error {
	if creds == nil {
		return nil
	}
	token, err := creds.Token(ctx)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", cmp.Or(token.Type, "Bearer")+" "+token.Value)
	project, err := creds.QuotaProjectID(ctx)
	if project != "" {
		req.Header.Set("X-Goog-User-Project", project)
	}
	return err
}

// gsAnswer makes an object of an answer, or an error.
func gsAnswer(u *url.URL, resp *http.Response, from Position, resume bool) (*Object, error) {
	version := resp.Header.Get("X-Goog-Generation")
	switch {
	case resp.StatusCode == http.StatusOK && resume:
		return nil, changed(&Error{Op: "get", URL: redact.URL(u.String()), Err: errNoRange})
	case resp.StatusCode == http.StatusOK:
		return &Object{Body: resp.Body, Size: resp.ContentLength, Version: version}, nil
	case resp.StatusCode == http.StatusPartialContent && resume:
		return partial(u, resp, from, version)
	}
	e := status("get", u, resp.StatusCode, "")
	if errors.Is(e, ErrDenied) {
		e.Hint = gsHint
	}
	if resume && errors.Is(e, ErrNotFound) {
		return nil, changed(e)
	}
	return nil, e
}

// credentials finds the credentials once.
func (g *bucketGS) credentials(ctx context.Context) (*auth.Credentials, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.creds != nil {
		return g.creds, nil
	}
	creds, err := detect(ctx)
	if err == nil {
		g.creds = creds
	}
	return creds, err
}

// detect looks for default credentials. Off Google's cloud it waits some
// seconds for a metadata server and takes no context; the goroutine ends then.
func detect(ctx context.Context) (*auth.Credentials, error) {
	type found struct {
		creds *auth.Credentials
		err   error
	}
	done := make(chan found, 1)
	go func() {
		creds, err := credentials.DetectDefault(&credentials.DetectOptions{Scopes: []string{gsScope}})
		done <- found{creds, err}
	}()
	select {
	case f := <-done:
		return f.creds, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (g *bucketGS) closeIdle() { g.client().CloseIdleConnections() }

type errNoCredentials struct{ error }

// Unwrap gives errors.Is the cause.
func (e errNoCredentials) Unwrap() error { return e.error }

// gsError is the error of a request that got no answer.
func gsError(ctx context.Context, u *url.URL, err error) error {
	fail := failure(ctx, "get", u, err)
	var e *Error
	if ctx.Err() != nil || !errors.As(fail, &e) {
		return fail
	}
	var (
		none  errNoCredentials
		token *auth.Error
	)
	switch {
	case errors.As(err, &none):
		e.Retryable, e.Hint = false, gsHint
		e.Err = mark(ErrDenied, fmt.Errorf("no Google Cloud credentials: %s", oneLine(none.Error())))
	case errors.As(err, &token):
		e.Retryable, e.Hint = token.Temporary(), gsHint
		e.Err = mark(ErrDenied, fmt.Errorf("no Google Cloud access token: %s", tokenStatus(token)))
	case strings.Contains(err.Error(), "cannot fetch token"): // the metadata server is out of reach
		e.Hint = gsHint
		e.Err = mark(ErrDenied, fmt.Errorf("no Google Cloud access token: %w", e.Err))
	}
	return e
}

// tokenStatus leaves out the body of the answer: it may hold what was sent.
func tokenStatus(e *auth.Error) string {
	if e.Response == nil {
		return "no answer"
	}
	return e.Response.Status
}

func changed(err error) error {
	var e *Error
	if errors.As(err, &e) {
		e.Err, e.Retryable = mark(ErrChanged, e.Err), false
	}
	return err
}

var errNoRange = errors.New("the server ignores the range")
