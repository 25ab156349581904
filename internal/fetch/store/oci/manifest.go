package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"stretcher/internal/fetch/store"
)

// maxManifest is what registries must accept at least (distribution-spec 1.1),
// and most do not go beyond it.
const maxManifest = 4 << 20

// The media types of manifests and indexes of docker, which image-spec does not
// name.
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// part chooses one of the layers of a manifest.
type part func(layers []ocispec.Descriptor) (ocispec.Descriptor, error)

// resolve asks for a manifest, and gives the layer that is a part of it.
func resolve(ctx context.Context, client *auth.Client, ref registry.Reference, part part) (ocispec.Descriptor, error) {
	data, mediaType, err := fetch(ctx, client, ref)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return ocispec.Descriptor{}, errors.New("the manifest is not JSON as it should be")
	}
	if m.MediaType != "" && m.MediaType != mediaType { // one may read it otherwise than another
		return ocispec.Descriptor{}, fmt.Errorf("the registry says that the manifest is %q, the manifest itself %q",
			mediaType, m.MediaType)
	}
	switch mediaType {
	case ocispec.MediaTypeImageManifest, dockerManifest:
		return part(m.Layers)
	case ocispec.MediaTypeImageIndex, dockerIndex:
		return ocispec.Descriptor{}, errors.New("an index of manifests, one for each platform: " +
			"name one of these by its digest")
	}
	return ocispec.Descriptor{}, fmt.Errorf("what is there is %q, and no image manifest", mediaType)
}

// fetch gets a manifest. Its digest is that of the reference, where this is one.
func fetch(ctx context.Context, client *auth.Client, ref registry.Reference) (data []byte, kind string, err error) {
	repo := &remote.Repository{
		Client: client, Reference: ref, PlainHTTP: schemeOf(ref.Registry) == "http", MaxMetadataBytes: maxManifest,
		ManifestMediaTypes: []string{
			ocispec.MediaTypeImageManifest, dockerManifest, ocispec.MediaTypeImageIndex, dockerIndex,
		},
	}
	desc, body, err := repo.FetchReference(ctx, ref.Reference)
	if err != nil {
		return nil, "", err
	}
	defer body.Close()
	data, err = io.ReadAll(io.LimitReader(body, maxManifest+1))
	switch {
	case err != nil:
		return nil, "", err
	case len(data) > maxManifest:
		return nil, "", fmt.Errorf("the manifest is larger than %d bytes", maxManifest)
	case isDigest(ref) && digest.FromBytes(data).String() != ref.Reference:
		return nil, "", errors.New("the registry sends another manifest than the digest names")
	}
	return data, desc.MediaType, nil
}

// archive is the one of the layers that is a tar archive.
func archive(layers []ocispec.Descriptor) (ocispec.Descriptor, error) {
	archives := only(layers, isArchive)
	if len(archives) > 1 {
		archives = only(archives, func(l ocispec.Descriptor) bool { return !isAnyFile(l) })
	}
	switch {
	case len(archives) == 0 && len(layers) == 1:
		return ocispec.Descriptor{}, fmt.Errorf("the layer of the manifest is %q, and no tar archive", layers[0].MediaType)
	case len(archives) != 1:
		return ocispec.Descriptor{}, fmt.Errorf("of the %d layers of the manifest, %d are tar archives, and not one",
			len(layers), len(archives))
	case archives[0].Digest.Validate() != nil || archives[0].Size < 0:
		return ocispec.Descriptor{}, errors.New("the manifest names the layer by what is no digest, or no size")
	}
	return archives[0], nil
}

// indexSuffix is what the names of indexes end in, behind those of the archives.
const indexSuffix = ".idx"

// index is the one of the layers that is the index of the archive.
func index(layers []ocispec.Descriptor) (ocispec.Descriptor, error) {
	of, err := archive(layers)
	if err != nil {
		return of, err
	}
	title := of.Annotations[ocispec.AnnotationTitle] + indexSuffix
	indexes := only(layers, func(l ocispec.Descriptor) bool { return l.Annotations[ocispec.AnnotationTitle] == title })
	if len(indexes) != 1 || indexes[0].Digest.Validate() != nil || indexes[0].Size < 0 {
		return of, store.Mark(store.ErrNotFound, fmt.Errorf("none of the %d layers is the index of the archive", len(layers)))
	}
	return indexes[0], nil
}

func only(layers []ocispec.Descriptor, is func(ocispec.Descriptor) bool) (those []ocispec.Descriptor) {
	for _, l := range layers {
		if is(l) {
			those = append(those, l)
		}
	}
	return those
}

// isArchive tells whether a layer is a tar archive: by its media type, or where
// that says nothing, by the name of the file that it was.
func isArchive(l ocispec.Descriptor) bool {
	kind, _, _ := strings.Cut(l.MediaType, ";")
	base, _, _ := strings.Cut(kind, "+")
	switch base {
	case "", "application/octet-stream":
	case "application/gzip", "application/x-gzip", "application/zstd", "application/x-xz", "application/x-bzip2":
	default:
		return isTarType(kind)
	}
	return hasArchiveName(l)
}

// isAnyFile tells whether a layer is what oras push makes of a file, whatever that
// is, and the file's name is not one of an archive.
func isAnyFile(l ocispec.Descriptor) bool {
	return l.MediaType == ocispec.MediaTypeImageLayer && l.Annotations[ocispec.AnnotationTitle] != "" && !hasArchiveName(l)
}

// hasArchiveName tells whether the file that a layer was had the name of a tar
// archive.
func hasArchiveName(l ocispec.Descriptor) bool {
	name := strings.ToLower(l.Annotations[ocispec.AnnotationTitle])
	return slices.ContainsFunc(suffixes(), func(s string) bool { return strings.HasSuffix(name, s) })
}

// isTarType knows application/vnd.oci.image.layer.v1.tar+gzip, docker's
// diff.tar.gzip, application/x-tar, and what others name after these.
func isTarType(kind string) bool {
	for _, coding := range []string{"+gzip", ".gzip", "+zstd", "+xz", "+bzip2"} {
		kind = strings.TrimSuffix(kind, coding)
	}
	switch kind {
	case "application/tar", "application/x-tar", "application/x-gtar":
		return true
	}
	return strings.HasPrefix(kind, "application/vnd.") && strings.HasSuffix(kind, ".tar") &&
		!strings.Contains(kind, ".nondistributable.") && !strings.Contains(kind, ".foreign.")
}

// suffixes are those of the names of tar archives.
func suffixes() []string {
	return []string{".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst", ".tar.xz", ".txz", ".tar.bz2", ".tbz2"}
}
