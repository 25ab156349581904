package oci

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/storetest"
	"stretcher/internal/testparts"
)

const tarType = ocispec.MediaTypeImageLayer

// TestArchive: exactly one of the layers is the archive.
func TestArchive(t *testing.T) {
	for _, c := range []struct {
		name   string
		layers []string // MEDIATYPE or MEDIATYPE NAME
		want   int      // which of them; -1 = none
	}{
		{"oras push of a file", []string{tarType + " app.tar.gz"}, 0},
		{"oras push of a file without a suffix", []string{tarType + " app-1.2.3"}, 0},
		{"oras push of a directory", []string{tarType + "+gzip app"}, 0},
		{"an image", []string{tarType + "+zstd"}, 0},
		{"an image of docker", []string{"application/vnd.docker.image.rootfs.diff.tar.gzip"}, 0},
		{"a type of one's own", []string{"application/vnd.acme.app.v1.tar+gzip"}, 0},
		{"with parameters", []string{"application/x-tar; charset=binary"}, 0},
		{"told by its name", []string{"application/gzip app.TGZ"}, 0},
		{"bytes, told by their name", []string{"application/octet-stream app.tar.zst"}, 0},
		{"beside others", []string{"text/plain README", "application/x-tar", "application/json sbom.json"}, 1},
		{"beside what oras calls tar", []string{tarType + " README.md", tarType + " app.tar.gz"}, 1},
		{"none", nil, -1},
		{"no archive", []string{"application/vnd.cncf.helm.config.v1+json"}, -1},
		{"gzip alone", []string{"application/gzip dump.gz"}, -1},
		{"two of an image", []string{tarType, tarType}, -1},
		{"two files", []string{tarType + " a.tar", tarType + " b.tar"}, -1},
		{"two without suffix", []string{tarType + " a", tarType + " b"}, -1},
		{"what others must not hold", []string{"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"}, -1},
		{"nor these", []string{"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"}, -1},
	} {
		var layers []ocispec.Descriptor
		for i, l := range c.layers {
			kind, name, _ := strings.Cut(l, " ")
			if strings.HasSuffix(kind, ";") {
				kind, name = l, ""
			}
			layers = append(layers, ocispec.Descriptor{MediaType: kind, Digest: digest.FromString(fmt.Sprint(i)), Size: 1,
				Annotations: map[string]string{ocispec.AnnotationTitle: name}})
		}
		got, err := archive(layers)
		at := slices.IndexFunc(layers, func(l ocispec.Descriptor) bool { return err == nil && l.Digest == got.Digest })
		if at != c.want {
			t.Errorf("%s: layer %d, %v, want %d", c.name, at, err, c.want)
		}
	}
	named := func(name string) ocispec.Descriptor {
		return ocispec.Descriptor{MediaType: tarType, Digest: digest.FromString(name), Size: 1,
			Annotations: map[string]string{ocispec.AnnotationTitle: name}}
	}
	all := []ocispec.Descriptor{named("app.tar.gz.idx"), named("app.tar.gz"), named("other.idx")}
	if got, err := archive(all); err != nil || got.Digest != all[1].Digest {
		t.Errorf("the archive beside its index: %+v, %v", got, err)
	}
	if got, err := index(all); err != nil || got.Digest != all[0].Digest {
		t.Errorf("the index: %+v, %v", got, err)
	}
	if _, err := index(all[1:]); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no index: %v", err)
	}
	for _, bad := range []ocispec.Descriptor{
		{MediaType: tarType, Digest: "sha256:../../../x", Size: 1},
		{MediaType: tarType, Digest: digest.FromString(""), Size: -1},
	} {
		if _, err := archive([]ocispec.Descriptor{bad}); err == nil {
			t.Errorf("%+v is a layer", bad)
		}
	}
}

// TestDigest: what a digest names is what is deployed, wherever a tag leads then.
func TestDigest(t *testing.T) {
	srv := testparts.OCI(t)
	testparts.Setenv(t, srv.Env())
	first := srv.Push(t, "app", "v1", testparts.Layer{MediaType: tarType, Data: []byte("first")})
	srv.Push(t, "app", "v1", testparts.Layer{MediaType: tarType, Data: []byte("second")})
	set := newSet()
	defer set.Close()
	for u, want := range map[string]string{"@" + first: "first", ":v1": "second"} {
		obj, got := storetest.ReadAll(t, set, "oci://"+srv.Host+"/app"+u, store.Position{})
		if string(got) != want || obj.Version != digest.FromString(want).String() {
			t.Errorf("%s: %q of version %s", u, got, obj.Version)
		}
	}
	index := srv.PushManifest(t, "app", "all", ocispec.MediaTypeImageIndex, []byte(`{"schemaVersion":2,"mediaType":"`+
		ocispec.MediaTypeImageIndex+`","manifests":[{"mediaType":"`+ocispec.MediaTypeImageManifest+`","digest":"`+first+
		`","size":1,"platform":{"os":"linux","architecture":"amd64"}}]}`))
	for _, u := range []string{":all", "@" + index} {
		_, err := set.Open(t.Context(), "oci://"+srv.Host+"/app"+u, store.Position{})
		if err == nil || !strings.Contains(err.Error(), "an index of manifests") || store.Retryable(err) {
			t.Errorf("%s: %v", u, err)
		}
	}
}

// TestDenied: who has no login is told how to get one.
func TestDenied(t *testing.T) {
	srv := testparts.OCI(t)
	srv.Push(t, "app", "v1", testparts.Layer{MediaType: tarType, Data: []byte("x")})
	for name, env := range map[string][]string{
		"no file":        {"DOCKER_CONFIG=" + t.TempDir()},
		"no home":        {"DOCKER_CONFIG=", "HOME="},
		"no such login":  {"DOCKER_CONFIG=" + storeLogin(t, "other.example", "u:SEKRIT")},
		"wrong password": {"DOCKER_CONFIG=" + storeLogin(t, srv.Host, srv.User+":SEKRIT")},
		"no JSON":        {"DOCKER_CONFIG=" + storeText(t, "SEKRIT")},
		"no helper":      {"DOCKER_CONFIG=" + storeText(t, `{"credsStore": "none-SEKRIT"}`)},
	} {
		testparts.Setenv(t, env)
		set := newSet()
		_, err := set.Open(t.Context(), "oci://"+srv.Host+"/app:v1", store.Position{})
		if !errors.Is(err, store.ErrDenied) || store.Retryable(err) || store.Hint(err) != hint ||
			strings.Contains(err.Error(), ":SEKRIT") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, hint %q", name, err, store.Hint(err))
		}
		set.Close()
	}
}

// fake is a registry with one layer, which lies as it says.
type fake struct {
	manifest, kind string
	blob           http.HandlerFunc
	asked          []string // METHOD PATH AUTHORIZATION
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.asked = append(f.asked, r.URL.Path+" "+r.Header.Get("Authorization"))
	if r.Header.Get("Authorization") == "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if strings.Contains(r.URL.Path, "/blobs/") {
		f.blob(w, r)
		return
	}
	w.Header().Set("Content-Type", f.kind)
	if _, sum, ok := strings.Cut(r.URL.Path, "/manifests/sha256:"); ok {
		w.Header().Set("Docker-Content-Digest", "sha256:"+sum) // as it was asked for, whatever it is
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(f.manifest)))
	io.WriteString(w, f.manifest)
}

// newFake is a registry whose layer is data.
func newFake(data string) *fake {
	return &fake{kind: ocispec.MediaTypeImageManifest, manifest: fmt.Sprintf(
		`{"schemaVersion":2,"layers":[{"mediaType":%q,"digest":%q,"size":%d}]}`, tarType, digest.FromString(data), len(data)),
		blob: func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, data) }}
}

// TestFake: what a registry must not get away with.
func TestFake(t *testing.T) {
	for _, c := range []struct {
		name string
		lie  func(*fake)
		from store.Position
		want string
	}{
		{"the truth", func(*fake) {}, store.Position{}, ""},
		{"no ranges", func(*fake) {}, store.Position{Offset: 1, Length: 2}, ""},
		{"another manifest", func(f *fake) { f.manifest = strings.Replace(f.manifest, "2", "3", 1) }, store.Position{},
			"another manifest than the digest names"},
		{"another type", func(f *fake) { f.kind = "text/html" }, store.Position{}, `"text/html", and no image manifest`},
		{"a layer of another size", func(f *fake) {
			f.blob = func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "more than that") }
		}, store.Position{}, "another size than the manifest says"},
		{"another range", func(f *fake) {
			f.blob = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Range", "bytes 0-1/4")
				w.WriteHeader(http.StatusPartialContent)
				io.WriteString(w, "da")
			}
		}, store.Position{Offset: 1, Length: 2}, "asked for bytes from 1, got them from 0"},
		{"no layer", func(f *fake) {
			f.blob = func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNotFound) }
		}, store.Position{}, "404 Not Found"},
		{"busy", func(f *fake) {
			f.blob = func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
		}, store.Position{}, "503 Service Unavailable"},
	} {
		f := newFake("data")
		name := digest.FromString(f.manifest)
		c.lie(f)
		srv := httptest.NewServer(f)
		host := strings.TrimPrefix(srv.URL, "http://")
		t.Setenv("DOCKER_CONFIG", storeLogin(t, host, "u:p"))
		obj, err := newSet().Open(t.Context(), "oci://"+host+"/app@"+name.String(), c.from)
		if err == nil {
			obj.Body.Close()
			if obj.Part {
				t.Errorf("%s: the whole is taken for a part", c.name)
			}
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if err != nil && store.Retryable(err) != strings.HasPrefix(c.want, "503") {
			t.Errorf("%s: retryable %v", c.name, store.Retryable(err))
		}
		srv.Close()
	}
}

// TestLargeManifest: what is read of a manifest is bounded, whatever is said of
// its length.
func TestLargeManifest(t *testing.T) {
	f := newFake("data")
	f.manifest = strings.Replace(f.manifest, "{", `{"annotations":{"x":"`+strings.Repeat("x", maxManifest)+`"},`, 1)
	srv := httptest.NewServer(f)
	defer srv.Close()
	host := strings.TrimPrefix(srv.URL, "http://")
	t.Setenv("DOCKER_CONFIG", storeLogin(t, host, "u:p"))
	_, err := newSet().Open(t.Context(), "oci://"+host+"/app:v1", store.Position{})
	if err == nil || store.Retryable(err) {
		t.Errorf("a manifest of %d bytes: %v", len(f.manifest), err)
	}
}

// TestRedirect: where a layer is redirected to is asked about, gets no password,
// and does not come by http after https.
func TestRedirect(t *testing.T) {
	var told []string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told = append(told, r.URL.Path+" "+r.Header.Get("Authorization")+" "+r.Header.Get("Range"))
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader("data"))
	}))
	defer other.Close()
	f := newFake("data")
	f.blob = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+"/elsewhere?signature=SEKRIT", http.StatusTemporaryRedirect)
	}
	plain := httptest.NewServer(f)
	defer plain.Close()
	host := strings.TrimPrefix(plain.URL, "http://")
	t.Setenv("DOCKER_CONFIG", storeLogin(t, host, "u:p"))
	for allowed, want := range map[bool][]string{true: {"/elsewhere  bytes=1-2"}, false: nil} {
		told = nil
		obj, err := newSet().Asking(func(u string) error {
			if !allowed && strings.HasPrefix(u, other.URL) {
				return errors.New("not allowed")
			}
			return nil
		}).Open(t.Context(), "oci://"+host+"/app:v1", store.Position{Offset: 1, Length: 2})
		if err == nil {
			obj.Body.Close()
		}
		if (err == nil) != allowed || !slices.Equal(told, want) || err != nil && strings.Contains(err.Error(), "SEKRIT") {
			t.Errorf("allowed %v: %v, the other server was told %q", allowed, err, told)
		}
	}
	from := &http.Request{URL: &url.URL{Scheme: "https", Host: "r"}}
	to := &http.Request{URL: &url.URL{Scheme: "http", Host: "r"}, Header: http.Header{}}
	if err := checkRedirect(to, []*http.Request{from}); err == nil {
		t.Error("from https to http")
	}
}

// TestSchemeOf: only registries of this machine, and those that are named, are
// asked by http.
func TestSchemeOf(t *testing.T) {
	t.Setenv(plainHTTP, "r.example:5000,s.example")
	for host, want := range map[string]string{
		"localhost": "http", "localhost:5000": "http", "127.0.0.1:5000": "http", "[::1]:5000": "http",
		"127.9.9.9":      "http",
		"r.example:5000": "http", "s.example": "http", "r.example": "https", "s.example:80": "https",
		"10.0.0.1:5000":     "https",
		"localhost.example": "https", "127.0.0.1.example": "https", "": "https",
	} {
		if got := schemeOf(host); got != want {
			t.Errorf("%q is asked by %s", host, got)
		}
	}
}

// TestToken: where a registry wants tokens, the server that it names for them gets
// the password, once, and where a layer is redirected to gets neither.
func TestToken(t *testing.T) {
	var told []string
	note := func(who string, r *http.Request) { told = append(told, who+" "+r.Header.Get("Authorization")) }
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		note("other", r)
		io.WriteString(w, "data")
	}))
	defer other.Close()
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		note("tokens", r)
		io.WriteString(w, `{"token":"SEKRIT"}`)
	}))
	defer tokens.Close()
	f := newFake("data")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		note("registry", r)
		switch {
		case r.Header.Get("Authorization") != "Bearer SEKRIT":
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+tokens.URL+`",service="r"`)
			w.WriteHeader(http.StatusUnauthorized)
		case strings.Contains(r.URL.Path, "/blobs/"):
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		default:
			f.ServeHTTP(w, r)
		}
	}))
	defer srv.Close()
	host := strings.TrimPrefix(srv.URL, "http://")
	t.Setenv("DOCKER_CONFIG", storeLogin(t, host, "u:p"))
	set := newSet()
	defer set.Close()
	for range 2 {
		_, got := storetest.ReadAll(t, set, "oci://"+host+"/app@"+digest.FromString(f.manifest).String(), store.Position{})
		if string(got) != "data" {
			t.Errorf("got %q", got)
		}
	}
	if want := []string{"registry ", "tokens Basic dTpw", "registry Bearer SEKRIT", "registry Bearer SEKRIT", "other ",
		"registry Bearer SEKRIT", "other "}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// TestHelper: a program that docker's configuration names gives the password.
func TestHelper(t *testing.T) {
	srv := testparts.OCI(t)
	srv.Push(t, "app", "v1", testparts.Layer{MediaType: tarType, Data: []byte("x")})
	dir := storeText(t, fmt.Sprintf(`{"credHelpers": {%q: "of-test"}}`, srv.Host))
	script := fmt.Sprintf("#!/bin/sh\n[ \"$1 $(cat)\" = 'get %s' ] && echo '{\"Username\":\"%s\",\"Secret\":\"%s\"}'\n",
		srv.Host, srv.User, srv.Password)
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-of-test"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_CONFIG", dir)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	set := newSet()
	defer set.Close()
	if _, got := storetest.ReadAll(t, set, "oci://"+srv.Host+"/app:v1", store.Position{}); string(got) != "x" {
		t.Errorf("got %q", got)
	}
}

// FuzzReference: a URL that is accepted is written in the one way that there is for
// what it names, so that all who read it mean the same.
func FuzzReference(f *testing.F) {
	sum := "sha256:" + strings.Repeat("a1", 32)
	for _, raw := range []string{
		"oci://r.example/app:v1", "oci://r.example:5000/team/app@" + sum, "oci://r.example/app:v1@" + sum,
		"oci://r.example/app:v1.idx", "oci://r.example/app@" + sum + ".idx", "oci://u@r.example/app:v1",
		"oci://r.example//app:v1", "oci://r.example/a/../b:v1", "oci://r.example/%61pp:v1", "oci://[::1]:5000/app:v1",
		"oci://r.example/app:v1?", "oci://r.example/app:v1#", "oci:r/app:v1",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != "oci" {
			return
		}
		ref, _, err := referenceOf(u)
		if err != nil {
			return
		}
		between := ":"
		if isDigest(ref) {
			between = "@"
		}
		text := "oci://" + ref.Registry + "/" + ref.Repository + between + ref.Reference
		if got := "oci" + raw[len("oci"):]; got != text && got != text+indexSuffix && !strings.HasSuffix(raw, "#") {
			t.Errorf("%q is taken for %q", raw, text)
		}
		at, err := url.Parse("https://" + ref.Host() + "/v2/" + ref.Repository + "/manifests/" + ref.Reference)
		if err != nil || at.Host != ref.Host() || strings.Contains(at.Path, "..") && !strings.Contains(ref.Reference, "..") {
			t.Errorf("%q is asked for at %v, %v", raw, at, err)
		}
	})
}
