package oci

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"

	"stretcher/internal/fetch/store"
)

const form = "write oci://REGISTRY/REPOSITORY@sha256:DIGEST, or :TAG"

// referenceOf reads a URL. It has one form for each thing that it can name.
func referenceOf(u *url.URL) (ref registry.Reference, part part, err error) {
	switch {
	case u.User != nil:
		return ref, nil, errors.New("credentials do not belong into the URL: docker login keeps them")
	case u.Host == "" || u.Opaque != "":
		return ref, nil, errors.New("no registry: " + form)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return ref, nil, errors.New("nothing follows the digest or the tag: " + form)
	case u.RawPath != "" || u.EscapedPath() != u.Path:
		return ref, nil, errors.New("no repository has such a name: " + form)
	}
	path, ofIndex := strings.CutSuffix(strings.TrimPrefix(u.Path, "/"), indexSuffix)
	ref, err = parse(u.Host, path)
	if ofIndex {
		return ref, index, err
	}
	return ref, archive, err
}

// parse reads what a registry holds by its name.
func parse(host, path string) (ref registry.Reference, err error) {
	name, tag, tagged := strings.Cut(path, ":")
	if repo, sum, ok := strings.Cut(path, "@"); ok {
		name, tag, tagged = repo, sum, false
	}
	ref = registry.Reference{Registry: host, Repository: name, Reference: tag}
	switch {
	case tag == "":
		return ref, errors.New("neither digest nor tag: " + form)
	case strings.Contains(name, ":"):
		return ref, errors.New("a tag and a digest: write the digest alone")
	case ref.ValidateRegistry() != nil:
		return ref, fmt.Errorf("%q is no registry: %s", host, form)
	case ref.ValidateRepository() != nil:
		return ref, fmt.Errorf("%q is no repository: %s", name, form)
	case tagged && ref.ValidateReferenceAsTag() != nil:
		return ref, fmt.Errorf("%q is no tag: %s", tag, form)
	case !tagged && !isDigest(ref):
		return ref, fmt.Errorf("%q is no sha256 digest: %s", tag, form)
	}
	return ref, nil
}

// isDigest tells whether a digest names the manifest: it is the same for ever.
func isDigest(ref registry.Reference) bool {
	sum, err := ref.Digest()
	return err == nil && sum.Algorithm() == digest.SHA256
}

// versioned is the layer that a version names.
func versioned(version string) (ocispec.Descriptor, error) {
	sum, err := digest.Parse(version)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("version %q is no digest: %w", version, store.ErrChanged)
	}
	return ocispec.Descriptor{Digest: sum, Size: -1}, nil
}

// plainHTTP lists the registries, beside those of this machine, that are asked by
// http: HOST or HOST:PORT, with commas between them.
const plainHTTP = "STRETCHER_OCI_PLAIN_HTTP"

// schemeOf is by what a registry is asked.
func schemeOf(host string) string {
	if isLocal(host) || slices.Contains(strings.Split(os.Getenv(plainHTTP), ","), host) {
		return "http"
	}
	return "https"
}

// isLocal tells whether a host is this machine by its name alone.
func isLocal(host string) bool {
	name := (&url.URL{Host: host}).Hostname()
	addr, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && addr.IsLoopback()
}
