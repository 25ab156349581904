package testparts

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/crypto/bcrypt"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// registryConf is a whole configuration; nothing of the system's is read.
const registryConf = `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %q}, delete: {enabled: true}}
http: {addr: %q}
auth: {htpasswd: {realm: test, path: %q}}
`

// Registry is a running docker-registry with an empty directory behind it, which
// only one user may use.
type Registry struct {
	Host     string // 127.0.0.1:PORT, where it speaks http
	User     string
	Password string
	config   string // the directory of docker's config.json
}

// OCI starts a registry that stops with the test.
func OCI(t testing.TB) Registry {
	t.Helper()
	bin := Need(t, "docker-registry")
	dir := t.TempDir()
	r := Registry{Host: hostPort(FreePort(t)), User: "deploy", Password: "of-the-registry", config: dir}
	hash, err := bcrypt.GenerateFromPassword([]byte(r.Password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	login := base64.StdEncoding.EncodeToString([]byte(r.User + ":" + r.Password))
	users, conf := filepath.Join(dir, "users"), filepath.Join(dir, "registry.yml")
	for name, text := range map[string]string{
		users:                             r.User + ":" + string(hash) + "\n",
		conf:                              fmt.Sprintf(registryConf, filepath.Join(dir, "data"), r.Host, users),
		filepath.Join(dir, "config.json"): fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, r.Host, login),
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := start(t, nil, bin, "serve", conf)
	p.ready(t, func() bool { return answers(r.Host) })
	return r
}

// Env is the environment that gives clients the user's password, as docker login
// leaves it.
func (r Registry) Env() []string { return []string{"DOCKER_CONFIG=" + r.config} }

// Layer is a blob that a manifest is to name.
type Layer struct {
	MediaType string
	Title     string // the name of the file that it was; "" = none is told
	Data      []byte
}

// Push stores layers and a manifest that names them, as oras push does, and
// gives the digest of the manifest.
func (r Registry) Push(t testing.TB, name, tag string, layers ...Layer) (digest string) {
	t.Helper()
	repo, ctx := r.repository(t, name), context.Background()
	created := map[string]string{ocispec.AnnotationCreated: "2026-01-01T00:00:00Z"}
	opts := oras.PackManifestOptions{ManifestAnnotations: created}
	for _, l := range layers {
		desc := content.NewDescriptorFromBytes(l.MediaType, l.Data)
		if l.Title != "" {
			desc.Annotations = map[string]string{ocispec.AnnotationTitle: l.Title}
		}
		if err := repo.Push(ctx, desc, bytes.NewReader(l.Data)); err != nil {
			t.Fatal(err)
		}
		opts.Layers = append(opts.Layers, desc)
	}
	desc, err := oras.PackManifest(ctx, repo, oras.PackManifestVersion1_1, "application/vnd.unknown.artifact.v1", opts)
	if err == nil {
		err = repo.Tag(ctx, desc, tag)
	}
	if err != nil {
		t.Fatal(err)
	}
	return desc.Digest.String()
}

// PushManifest stores a manifest as it is, and gives its digest.
func (r Registry) PushManifest(t testing.TB, name, tag, mediaType string, data []byte) (digest string) {
	t.Helper()
	desc := content.NewDescriptorFromBytes(mediaType, data)
	if err := r.repository(t, name).PushReference(context.Background(), desc, bytes.NewReader(data), tag); err != nil {
		t.Fatal(err)
	}
	return desc.Digest.String()
}

func (r Registry) repository(t testing.TB, name string) *remote.Repository {
	t.Helper()
	repo, err := remote.NewRepository(r.Host + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	repo.PlainHTTP = true
	repo.Client = &auth.Client{
		Client:     httpClient(),
		Credential: auth.StaticCredential(r.Host, auth.Credential{Username: r.User, Password: r.Password}),
	}
	return repo
}
