package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// writeImage makes a layout with one image, FROM scratch, for several platforms.
func writeImage(dir, version string, programs []string, when time.Time) error {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arg := range programs {
		name, file, ok := strings.Cut(arg, "=")
		platform, err := v1.ParsePlatform(name)
		if !ok || err != nil {
			return fmt.Errorf("%q is not PLATFORM=FILE", arg)
		}
		img, err := image(file, version, *platform, when)
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img,
			Descriptor: v1.Descriptor{Platform: platform}})
	}
	// What reads a layout takes what its index lists as images of several names:
	// the platforms of one are a level below.
	l, err := layout.Write(dir, mutate.IndexMediaType(empty.Index, types.OCIImageIndex))
	if err != nil {
		return err
	}
	// The tag, and the name under which podman and docker load it.
	tag := strings.ReplaceAll(version, "+", "_")
	return l.AppendIndex(index, layout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": tag,
		"io.containerd.image.name":          "localhost/stretcher:" + tag,
	}))
}

func image(file, version string, platform v1.Platform, when time.Time) (v1.Image, error) {
	files, err := tree(file, when)
	if err != nil {
		return nil, err
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files)), nil }
	layer, err := tarball.LayerFromOpener(opener, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.Append(base, mutate.Addendum{Layer: layer,
		History: v1.History{Created: v1.Time{Time: when}, CreatedBy: "make dist"}})
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.Created = v1.Time{Time: when}
	config.OS, config.Architecture, config.Variant = platform.OS, platform.Architecture, platform.Variant
	config.Config = v1.Config{
		Entrypoint: []string{"/usr/bin/stretcher"},
		Env:        []string{"PATH=/usr/bin", "HOME=/root"},
		WorkingDir: "/",
		Labels: map[string]string{
			"org.opencontainers.image.title":    "stretcher",
			"org.opencontainers.image.version":  version,
			"org.opencontainers.image.licenses": "MIT",
		},
	}
	return mutate.ConfigFile(img, config)
}

// tree is all that is in the image: the program and what it asks a system for.
func tree(program string, when time.Time) ([]byte, error) {
	data, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	dirs := []struct {
		name string
		mode int64
	}{
		{"etc", 0o755}, {"etc/ssl", 0o755}, {"etc/ssl/certs", 0o755}, {"etc/stretcher", 0o755}, {"root", 0o700},
		{"tmp", 0o1777}, {"usr", 0o755}, {"usr/bin", 0o755}, {"var", 0o755}, {"var/lib", 0o755},
		{"var/lib/stretcher", 0o700},
	}
	files := []struct {
		name string
		mode int64
		data []byte
	}{
		{"etc/group", 0o644, []byte("root:x:0:\nnobody:x:65534:\n")},
		{"etc/passwd", 0o644, []byte("root:x:0:0:root:/root:\nnobody:x:65534:65534:nobody:/:\n")},
		{"etc/ssl/certs/ca-certificates.crt", 0o644, authorities()},
		{"usr/bin/stretcher", 0o755, data},
	}
	var b bytes.Buffer
	t := tar.NewWriter(&b)
	for _, d := range dirs {
		if err := t.WriteHeader(directory(d.name, d.mode, when)); err != nil {
			return nil, err
		}
	}
	for _, f := range files {
		if err := put(t, f.name, f.mode, f.data, when); err != nil {
			return nil, err
		}
	}
	err = t.Close()
	return b.Bytes(), err
}

// authorities are the certificate authorities that Mozilla trusts, in the version
// that go.mod names. Those that it trusts for a part only are left out: a file
// can't say which part.
func authorities() []byte {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return b.Bytes()
}
