// Package oci serves the archives of OCI registries, by
// oci://registry/repository@sha256:DIGEST, or :TAG. It alone imports the library
// for registries.
//
// Its words are those of package store and of the OCI: a repository of a registry
// holds blobs, by their digests, and manifests, by their digests and by tags,
// which can be moved; a layer is a blob that a manifest names. The object at a URL
// is the one layer of the manifest that is a tar archive, its version is the
// layer's digest. With .idx behind the URL it is the layer that was a file of the
// archive's name with .idx: the index of the archive.
package oci

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote/auth"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/wire"
)

// registries serves oci://registry/repository@sha256:DIGEST, and :TAG.
type registries struct {
	opts   store.Options
	client func() (*auth.Client, error)
	mu     sync.Mutex
	layers map[string]ocispec.Descriptor // of manifests that a digest names, by their URLs
}

// Definition is that of oci.
func Definition() store.Definition {
	return store.Definition{Schemes: []string{"oci"}, Check: check, New: open}
}

func open(opts store.Options) store.Store {
	r := &registries{opts: opts, layers: map[string]ocispec.Descriptor{}}
	r.client = sync.OnceValues(r.connect)
	return r
}

// check tells what is wrong with the shape of a URL.
func check(u *url.URL) error {
	_, _, err := referenceOf(u)
	return err
}

// Open finds the layer and sends one request for it, with Range where it is asked
// for. What a version names is never changed.
func (r *registries) Open(ctx context.Context, u *url.URL, from store.Position) (*store.Object, error) {
	ref, part, err := referenceOf(u)
	if err != nil {
		return nil, store.Failure(ctx, "get", u, err)
	}
	client, err := r.client()
	if err != nil {
		return nil, noLogin(ctx, u, err)
	}
	var layer ocispec.Descriptor
	if from.Version != "" && !from.IsWhole() {
		layer, err = versioned(from.Version)
	} else {
		layer, err = r.layer(ctx, client, u, ref, part)
	}
	if err != nil {
		return nil, failure(ctx, u, err)
	}
	obj, err := openBlob(ctx, client, ref, layer, from)
	if err != nil {
		return nil, failure(ctx, u, err)
	}
	return obj, nil
}

// layer gives the descriptor of the layer: what was found before, or what the
// manifest says.
func (r *registries) layer(
	ctx context.Context, client *auth.Client, u *url.URL, ref registry.Reference, part part,
) (ocispec.Descriptor, error) {
	r.mu.Lock()
	layer, ok := r.layers[u.String()]
	r.mu.Unlock()
	if ok {
		return layer, nil
	}
	layer, err := resolve(ctx, client, ref, part)
	if err == nil && isDigest(ref) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.layers[u.String()] = layer
	}
	return layer, err
}

// openBlob opens a layer.
func openBlob(
	ctx context.Context, client *auth.Client, ref registry.Reference, layer ocispec.Descriptor, from store.Position,
) (*store.Object, error) {
	req, err := http.NewRequestWithContext(auth.AppendRepositoryScope(ctx, ref, auth.ActionPull), http.MethodGet,
		fmt.Sprintf("%s://%s/v2/%s/blobs/%s", schemeOf(ref.Registry), ref.Host(), ref.Repository, layer.Digest), nil)
	if err != nil {
		return nil, err
	}
	if !from.IsWhole() {
		req.Header.Set("Range", from.Header())
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	obj, err := object(resp, layer, from)
	if err != nil {
		resp.Body.Close()
	}
	return obj, err
}

// object is what an answer has brought.
func object(resp *http.Response, layer ocispec.Descriptor, from store.Position) (*store.Object, error) {
	obj := &store.Object{
		Body: resp.Body, Version: layer.Digest.String(), Size: resp.ContentLength,
		Encoding: wire.EncodingOf(resp.Header.Get("Content-Encoding")),
	}
	switch {
	case resp.StatusCode == http.StatusPartialContent && !from.IsWhole():
		first, last, size, err := wire.ContentRange(resp.Header.Get("Content-Range"))
		if err == nil {
			err = from.Holds(first, last)
		}
		if err != nil {
			return nil, fmt.Errorf("%d %s: %w", resp.StatusCode, http.StatusText(resp.StatusCode), err)
		}
		obj.Offset, obj.Size, obj.Part = first, size, from.Length > 0
	case resp.StatusCode != http.StatusOK:
		return nil, answered(resp)
	}
	switch {
	case obj.Size < 0: // it does not say
		obj.Size = layer.Size
	case layer.Size >= 0 && obj.Size != layer.Size:
		return nil, errors.New("the registry sends a layer of another size than the manifest says")
	}
	return obj, nil
}

// CloseIdle lets go of idle connections.
func (r *registries) CloseIdle() {
	if client, err := r.client(); err == nil {
		client.Client.CloseIdleConnections()
	}
}
