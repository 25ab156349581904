// Package az serves the blobs of Azure Storage, by az://account/container/key.
// It alone imports the storage library.
//
// Its words are those of package store and of Azure: a container is a bucket of
// an account, a blob is an object.
package az

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/wire"
)

// blobs serves az://account/container/key, with ?versionid= for one version of
// it.
type blobs struct {
	opts     store.Options
	http     func() *http.Client
	mu       sync.Mutex
	accounts map[string]*access // those that something was asked of
}

// Definition is that of az.
func Definition() store.Definition {
	return store.Definition{Schemes: []string{"az"}, Check: check, New: open}
}

func open(opts store.Options) store.Store {
	return &blobs{opts: opts, accounts: map[string]*access{}, http: sync.OnceValue(func() *http.Client {
		return &http.Client{Transport: wire.Transport(opts), CheckRedirect: wire.Stay}
	})}
}

// The names that there can be, by
// https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules#microsoftstorage
var (
	accountName   = regexp.MustCompile(`^[a-z0-9]{3,24}$`)
	containerName = regexp.MustCompile(`^(\$root|\$web|[a-z0-9](-?[a-z0-9])+)$`)
)

func check(u *url.URL) error {
	container, key := split(u)
	switch {
	case u.User != nil:
		return errors.New("credentials do not belong into the URL")
	case u.Port() != "" || u.Opaque != "" || !accountName.MatchString(u.Host):
		return fmt.Errorf("%q is no storage account: write az://ACCOUNT/CONTAINER/KEY", u.Host)
	case !containerName.MatchString(container) || len(container) > 63:
		return fmt.Errorf("%q is no container: write az://ACCOUNT/CONTAINER/KEY", container)
	case u.Fragment != "":
		return errors.New("write # in a key as %23")
	case key == "":
		return errors.New("no key after the container")
	}
	for name := range strings.SplitSeq(key, "/") {
		if name == "." || name == ".." {
			return errors.New("a key with dot segments")
		}
	}
	return nil
}

// split gives the container and the key of a URL, percent-encoding undone.
// Slashes before either do not count, as in other buckets.
func split(u *url.URL) (container, key string) {
	container, key, _ = strings.Cut(store.Key(u), "/")
	return container, strings.TrimLeft(key, "/")
}

// Open sends one request, with Range and If-Match where they are asked for.
func (b *blobs) Open(ctx context.Context, u *url.URL, from store.Position) (*store.Object, error) {
	client, err := b.client(ctx, "get", u)
	if err != nil {
		return nil, err
	}
	opts := &blob.DownloadStreamOptions{}
	if !from.IsWhole() {
		opts.Range = blob.HTTPRange{Offset: from.Offset, Count: from.Length}
		if from.Version != "" {
			tag := azcore.ETag(from.Version)
			opts.AccessConditions = &blob.AccessConditions{
				ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfMatch: &tag},
			}
		}
	}
	resp, err := client.DownloadStream(ctx, opts)
	if err != nil {
		return nil, failure(ctx, "get", u, err)
	}
	obj, err := object(resp, from)
	if err != nil {
		resp.Body.Close()
		return nil, store.Failure(ctx, "get", u, err)
	}
	return obj, nil
}

// object is what an answer has brought.
func object(resp blob.DownloadStreamResponse, from store.Position) (*store.Object, error) {
	obj := &store.Object{
		Body: resp.Body, Size: value(resp.ContentLength, -1), Encoding: wire.EncodingOf(value(resp.ContentEncoding, "")),
		Version: wire.StrongETag(string(value(resp.ETag, ""))),
	}
	if resp.ContentRange == nil {
		return obj, nil
	}
	if from.Length > 0 && obj.Size == 0 { // some answer so what begins behind the end, others by a status
		return obj, store.Mark(store.ErrChanged, fmt.Errorf("asked for bytes from %d, there are none", from.Offset))
	}
	first, last, size, err := wire.ContentRange(*resp.ContentRange)
	if err == nil && from.IsWhole() {
		err = fmt.Errorf("asked for all of it, got %q", *resp.ContentRange)
	}
	if err == nil {
		err = from.Holds(first, last)
	}
	obj.Offset, obj.Size, obj.Part = first, size, from.Length > 0
	return obj, err
}

// value is what p leads to, or what it is without it.
func value[T any](p *T, without T) T {
	if p == nil {
		return without
	}
	return *p
}

// client makes the client for the blob of a URL, once it is sure that there are
// credentials. What costs something, connections and tokens, is shared.
func (b *blobs) client(ctx context.Context, op string, u *url.URL) (*blockblob.Client, error) {
	acc, err := b.access(ctx, op, u)
	if err != nil {
		return nil, err
	}
	container, key := split(u)
	at, err := acc.url(container, key)
	if err != nil {
		return nil, store.Failure(ctx, op, u, err)
	}
	opts := &blockblob.ClientOptions{ClientOptions: b.options()}
	var client *blockblob.Client
	switch {
	case acc.key != nil:
		client, err = blockblob.NewClientWithSharedKeyCredential(at, acc.key, opts)
	case acc.sas != "":
		client, err = blockblob.NewClientWithNoCredential(at+"?"+acc.sas, opts)
	default:
		client, err = blockblob.NewClient(at, acc.identity, opts)
	}
	if version := u.Query().Get("versionid"); err == nil && version != "" {
		client, err = client.WithVersionID(version)
	}
	if err != nil {
		return nil, store.Failure(ctx, op, u, err)
	}
	return client, nil
}

// options are those of all clients of Azure's: one attempt, by our connections.
func (b *blobs) options() policy.ClientOptions {
	name, _, _ := strings.Cut(b.opts.UserAgent, " ")
	return policy.ClientOptions{
		Transport: b.http(),
		Retry:     policy.RetryOptions{MaxRetries: -1}, // package transfer retries
		Telemetry: policy.TelemetryOptions{ApplicationID: name},
	}
}

// CloseIdle lets go of idle connections.
func (b *blobs) CloseIdle() { b.http().CloseIdleConnections() }

// failure reads what
// https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes
// says. Of the body only the code is told: the text quotes what was signed.
func failure(ctx context.Context, op string, u *url.URL, err error) error {
	var resp *azcore.ResponseError
	if ctx.Err() != nil || !errors.As(err, &resp) || resp.StatusCode < 300 {
		return store.Failure(ctx, op, u, err)
	}
	e := wire.Status(op, u, resp.StatusCode, resp.ErrorCode)
	if resp.RawResponse != nil {
		e.After = wire.RetryAfter(resp.StatusCode, resp.RawResponse.Header, time.Now())
	}
	switch resp.ErrorCode {
	case "PublicAccessNotPermitted": // with status 409
		e.Err = store.Mark(store.ErrDenied, e.Err)
	case "ContainerNotFound":
		if op == "put" {
			e.Hint = "make the container first: az storage container create"
		}
	case "AuthenticationFailed":
		e.Hint = hint + "; a wrong clock of this machine has the same effect"
		return e
	}
	if errors.Is(e, store.ErrDenied) {
		e.Hint = hint
	}
	return e
}
