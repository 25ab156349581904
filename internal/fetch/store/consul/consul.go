// Package consul serves values of Consul's KV, by consul://PATH: manifests and their
// signatures, which hosts find where their rollouts are.
//
// Its words are those of package store and of Consul: a key is the path of a value,
// and its version is the index of its last change. It imports store, wire, and how
// Consul is reached.
package consul

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/wire"
	"stretcher/internal/fleet/consul/reach"
)

// Bounds, as Consul has them unless it is told otherwise.
const (
	maxValue  = 512 << 10
	maxAnswer = 2 * maxValue // with the value in base64
)

const hint = "CONSUL_HTTP_ADDR and CONSUL_HTTP_TOKEN say where Consul is and who asks"

// values serves consul://PATH. A value is small, and read at once.
type values struct {
	opts   store.Options
	client func() (*api.Client, error)
}

// Definition is that of consul.
func Definition() store.Definition {
	return store.Definition{Schemes: []string{"consul"}, Check: check, New: open, Small: true}
}

func open(opts store.Options) store.Store {
	v := &values{opts: opts}
	v.client = sync.OnceValues(v.connect)
	return v
}

func (v *values) connect() (*api.Client, error) {
	wrap := func(next http.RoundTripper) http.RoundTripper { return bounded{next} }
	client, err := reach.Client(reach.Config{Wrap: wrap})
	if err == nil && v.opts.UserAgent != "" {
		client.AddHeader("User-Agent", v.opts.UserAgent)
	}
	return client, err
}

// bounded is a transport whose answers are no longer than one value can be.
type bounded struct{ next http.RoundTripper }

// RoundTrip sends a request.
func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(req)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxAnswer)
	}
	return resp, err
}

// check tells what is wrong with the shape of a URL.
func check(u *url.URL) error {
	key := keyOf(u)
	switch {
	case u.User != nil:
		return errors.New("credentials do not belong into the URL: CONSUL_HTTP_TOKEN names them")
	case strings.Contains(u.Host, ":"):
		return errors.New("a port: CONSUL_HTTP_ADDR says where Consul is, and the URL a key alone")
	case u.Host == "" || u.Opaque != "" || store.Key(u) == "":
		return errors.New("no key: consul://DIRECTORY/NAME is expected")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return errors.New("a key has no query and no fragment")
	case path.Join("/", key) != "/"+key:
		return errors.New("a key with . or .. or an empty name in it")
	}
	return nil
}

// keyOf is the key that a URL names.
func keyOf(u *url.URL) string { return u.Host + "/" + store.Key(u) }

// Open reads a value.
func (v *values) Open(ctx context.Context, u *url.URL, from store.Position) (*store.Object, error) {
	pair, err := v.get(ctx, u)
	if err != nil {
		return nil, err
	}
	size := int64(len(pair.Value))
	obj := &store.Object{Size: size, Version: versionOf(pair), Body: bodyOf(pair.Value)}
	switch same := from.Version == "" || from.Version == obj.Version; {
	case from.IsWhole():
	case from.Length > 0 && !same:
		return nil, store.Failure(ctx, "get", u, store.ErrChanged)
	case from.Length > 0:
		if err := from.Holds(from.Offset, min(from.End(), size)-1); err != nil {
			return nil, store.Failure(ctx, "get", u, err)
		}
		obj.Part, obj.Offset, obj.Body = true, from.Offset, bodyOf(pair.Value[from.Offset:from.End()])
	case same && from.Offset <= size:
		obj.Offset, obj.Body = from.Offset, bodyOf(pair.Value[from.Offset:])
	}
	return obj, nil
}

func bodyOf(value []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(value)) }

func versionOf(pair *api.KVPair) string { return strconv.FormatUint(pair.ModifyIndex, 10) }

// get asks for a value.
func (v *values) get(ctx context.Context, u *url.URL) (*api.KVPair, error) {
	client, err := v.client()
	if err != nil {
		return nil, store.Failure(ctx, "get", u, err)
	}
	within, cancel := context.WithTimeout(ctx, v.opts.ConnectTimeout+v.opts.HeaderTimeout)
	defer cancel()
	pair, _, err := client.KV().Get(keyOf(u), (&api.QueryOptions{}).WithContext(within))
	switch {
	case err != nil:
		return nil, failed(ctx, "get", u, err)
	case pair == nil:
		return nil, wire.Status("get", u, http.StatusNotFound, "")
	}
	return pair, nil
}

// Stat reads a value, which tells all of it.
func (v *values) Stat(ctx context.Context, u *url.URL) (store.Info, error) {
	pair, err := v.get(ctx, u)
	if err != nil {
		return store.Info{}, err
	}
	sum := sha256.Sum256(pair.Value)
	return store.Info{Size: int64(len(pair.Value)), SHA256: &sum, Version: versionOf(pair)}, nil
}

// Put writes a value.
func (v *values) Put(ctx context.Context, u *url.URL, body io.ReaderAt, size int64, opts store.PutOptions) error {
	if size > maxValue {
		return store.Failure(ctx, "put", u, fmt.Errorf("%d bytes: a value of Consul's has %d at most", size, maxValue))
	}
	value := make([]byte, size)
	if _, err := io.ReadFull(io.NewSectionReader(body, 0, size), value); err != nil {
		return store.Failure(ctx, "put", u, err)
	}
	client, err := v.client()
	if err != nil {
		return store.Failure(ctx, "put", u, err)
	}
	within, cancel := context.WithTimeout(ctx, v.opts.ConnectTimeout+v.opts.HeaderTimeout)
	defer cancel()
	how, pair, is := (&api.WriteOptions{}).WithContext(within), &api.KVPair{Key: keyOf(u), Value: value}, true
	if opts.New {
		is, _, err = client.KV().CAS(pair, how)
	} else {
		_, err = client.KV().Put(pair, how)
	}
	switch {
	case err != nil:
		return failed(ctx, "put", u, err)
	case !is:
		return store.Failure(ctx, "put", u, store.ErrExists)
	}
	opts.Report(size)
	return nil
}

// failed makes the error of a request.
func failed(ctx context.Context, op string, u *url.URL, err error) error {
	var status api.StatusError
	if ctx.Err() == nil && errors.As(err, &status) {
		e := wire.Status(op, u, status.Code, "")
		if errors.Is(e, store.ErrDenied) {
			e.Hint = hint
		}
		return e
	}
	return store.Failure(ctx, op, u, err)
}
