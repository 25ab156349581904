// Package gs serves the objects of Google Cloud Storage, by gs://bucket/key. It
// alone imports the storage library.
//
// Its words are those of package store and of Cloud Storage.
package gs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/auth/httptransport"
	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/wire"
)

const (
	scopeRead  = "https://www.googleapis.com/auth/devstorage.read_only"
	scopeWrite = "https://www.googleapis.com/auth/devstorage.read_write"
	gsHint     = "set GOOGLE_APPLICATION_CREDENTIALS to a key file, run gcloud auth application-default login, " +
		"or give the instance a service account"
)

// bucketGS serves gs://bucket/name, with ?generation= for one version of it.
// Credentials are Google's application default credentials;
// STORAGE_EMULATOR_HOST names a server that wants none.
type bucketGS struct {
	opts    store.Options
	mu      sync.Mutex
	clients map[string]*storage.Client // by scope, made by the first call that succeeds in it
	base    *http.Transport            // of all clients
}

// Definition is that of gs.
func Definition() store.Definition {
	return store.Definition{Schemes: []string{"gs"}, Check: store.CheckBucket, New: open}
}

func open(opts store.Options) store.Store {
	return &bucketGS{opts: opts, clients: map[string]*storage.Client{}}
}

// Open sends one request, pinned to a generation to resume.
func (g *bucketGS) Open(ctx context.Context, u *url.URL, from store.Position) (*store.Object, error) {
	client, err := g.connect(ctx, scopeRead)
	if err != nil {
		return nil, gsError(ctx, "get", u, err)
	}
	object := client.Bucket(u.Host).Object(store.Key(u)).ReadCompressed(true).
		Retryer(storage.WithPolicy(storage.RetryNever)) // package transfer retries
	version := u.Query().Get("generation")
	if from.Version != "" && !from.IsWhole() {
		version = from.Version
	}
	if version != "" {
		gen, err := strconv.ParseInt(version, 10, 64)
		if err != nil {
			return nil, store.Failure(ctx, "get", u, fmt.Errorf("generation %q is no number", version))
		}
		object = object.Generation(gen)
	}
	r, err := gsRead(ctx, object, from)
	if errors.Is(err, errNoRange) && from.Length > 0 {
		from = store.Position{}
		r, err = gsRead(ctx, object, from)
	}
	if err != nil {
		err = gsError(ctx, "get", u, err)
		if from.Version != "" && !from.IsWhole() && (errors.Is(err, store.ErrNotFound) || errors.Is(err, errNoRange)) {
			err = changed(err)
		}
		return nil, err
	}
	obj := &store.Object{
		Body: r, Offset: r.Attrs.StartOffset, Size: r.Attrs.Size, Part: from.Length > 0,
		Encoding: wire.EncodingOf(r.Attrs.ContentEncoding),
	}
	if r.Attrs.Generation > 0 {
		obj.Version = strconv.FormatInt(r.Attrs.Generation, 10)
	}
	if err := from.Holds(obj.Offset, min(from.End(), obj.Size)-1); err != nil && !from.IsWhole() {
		r.Close()
		return nil, store.Failure(ctx, "get", u, err)
	}
	return obj, nil
}

// gsRead sends the request for an object or a part of it.
func gsRead(ctx context.Context, object *storage.ObjectHandle, from store.Position) (*storage.Reader, error) {
	ctx = withOneAnswer(ctx)
	switch {
	case from.IsWhole():
		return object.NewRangeReader(ctx, 0, -1)
	case from.Length > 0:
		return object.NewRangeReader(ctx, from.Offset, from.Length)
	}
	return object.NewRangeReader(ctx, from.Offset, -1)
}

// connect makes the client of a scope once: what only reads has no token that
// can do more.
func (g *bucketGS) connect(ctx context.Context, scope string) (*storage.Client, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if client, ok := g.clients[scope]; ok {
		return client, nil
	}
	if g.base == nil {
		g.base = wire.Transport(g.opts)
	}
	opts, err := g.access(ctx, scope, onlyOne{g.base})
	if err != nil {
		return nil, err
	}
	// Not ctx: the client outlives this call.
	client, err := storage.NewClient(context.WithoutCancel(ctx), opts...)
	if err != nil {
		return nil, err
	}
	g.clients[scope] = client
	return client, nil
}

// access gives the options for a client on top of base.
func (g *bucketGS) access(ctx context.Context, scope string, base http.RoundTripper) ([]option.ClientOption, error) {
	head := http.Header{}
	if g.opts.UserAgent != "" {
		head.Set("User-Agent", g.opts.UserAgent)
	}
	topts := &httptransport.Options{BaseRoundTripper: base, Headers: head, DisableTelemetry: true}
	var opts []option.ClientOption
	if os.Getenv("STORAGE_EMULATOR_HOST") != "" {
		topts.DisableAuthentication = true
	} else {
		creds, err := detect(ctx, scope)
		if err != nil {
			return nil, errNoCredentials{err}
		}
		topts.Credentials = creds
		opts = append(opts, option.WithAuthCredentials(creds))
	}
	hc, err := httptransport.NewClient(topts)
	if err != nil {
		return nil, err
	}
	hc.CheckRedirect = wire.Stay
	return append(opts, option.WithHTTPClient(hc)), nil
}

// detect looks for default credentials. Off Google's cloud it waits some
// seconds for a metadata server and takes no context; the goroutine ends then.
func detect(ctx context.Context, scope string) (*auth.Credentials, error) {
	type found struct {
		creds *auth.Credentials
		err   error
	}
	done := make(chan found, 1)
	go func() {
		creds, err := credentials.DetectDefault(&credentials.DetectOptions{Scopes: []string{scope}})
		done <- found{creds, err}
	}()
	select {
	case f := <-done:
		return f.creds, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// CloseIdle lets go of idle connections.
func (g *bucketGS) CloseIdle() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.base != nil {
		g.base.CloseIdleConnections()
	}
}

type errNoCredentials struct{ error }

// Unwrap gives errors.Is the cause.
func (e errNoCredentials) Unwrap() error { return e.error }

// gsError reads what
// https://cloud.google.com/storage/docs/json_api/v1/status-codes says.
func gsError(ctx context.Context, op string, u *url.URL, err error) error {
	fail := store.Failure(ctx, op, u, err)
	var e *store.Error
	if ctx.Err() != nil || !errors.As(fail, &e) {
		return fail
	}
	var (
		none  errNoCredentials
		token *auth.Error
		api   *googleapi.Error
	)
	switch {
	case errors.As(err, &none):
		e.Retryable, e.Hint = false, gsHint
		e.Err = store.Mark(store.ErrDenied, fmt.Errorf("no Google Cloud credentials: %s", store.OneLine(none.Error())))
	case errors.As(err, &token):
		e.Retryable, e.Hint = token.Temporary(), gsHint
		e.Err = store.Mark(store.ErrDenied, fmt.Errorf("no Google Cloud access token: %s", tokenStatus(token)))
	case strings.Contains(err.Error(), "cannot fetch token"): // the metadata server is out of reach
		e.Hint = gsHint
		e.Err = store.Mark(store.ErrDenied, fmt.Errorf("no Google Cloud access token: %w", e.Err))
	case errors.Is(err, storage.ErrObjectNotExist), errors.Is(err, storage.ErrBucketNotExist):
		return wire.Status(op, u, http.StatusNotFound, "")
	case errors.As(err, &api):
		e = wire.Status(op, u, api.Code, "")
		e.After = wire.RetryAfter(api.Code, api.Header, time.Now())
		if errors.Is(e, store.ErrDenied) {
			e.Hint = gsHint
		}
		return e
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
	var e *store.Error
	if errors.As(err, &e) {
		e.Err, e.Retryable = store.Mark(store.ErrChanged, e.Err), false
	}
	return err
}

var errNoRange = errors.New("the server ignores the range")

// onlyOne lets each Open have one answer with a body. The storage library goes
// on by itself when a body breaks off, at once and without end, where package
// transfer is to count, wait and log.
type onlyOne struct{ base http.RoundTripper }

type answerKey struct{}

// withOneAnswer marks the requests of one Open.
func withOneAnswer(ctx context.Context) context.Context {
	return context.WithValue(ctx, answerKey{}, new(atomic.Bool))
}

// RoundTrip sends a request, but no second one for the same body.
func (o onlyOne) RoundTrip(req *http.Request) (*http.Response, error) {
	used, ok := req.Context().Value(answerKey{}).(*atomic.Bool)
	if !ok {
		return o.base.RoundTrip(req)
	}
	if used.Load() {
		return nil, io.ErrUnexpectedEOF
	}
	resp, err := o.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	used.Store(resp.StatusCode/100 == 2)
	if resp.StatusCode == http.StatusOK && req.Header.Get("Range") != "" {
		resp.Body.Close()
		return nil, errNoRange
	}
	return resp, nil
}
