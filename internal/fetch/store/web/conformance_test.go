package web

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/storetest"
	"stretcher/internal/testparts"
)

func newSet(opts store.Options) *store.Set { return store.NewSet(opts, store.Schemes{Definition()}) }

func TestConformance(t *testing.T) {
	t.Run("http", func(t *testing.T) {
		w := httpWorld(t)
		storetest.Run(t, w)
		storetest.RunSink(t, w, false)
	})
	t.Run("https", func(t *testing.T) {
		w := httpsWorld(t)
		storetest.Run(t, w)
		storetest.RunSink(t, w, true)
	})
}

func httpWorld(t *testing.T) storetest.World {
	dir := t.TempDir()
	base := testparts.Nginx(t, dir, "dav_methods PUT; client_max_body_size 0;")
	return storetest.World{Set: newSet(store.Options{}), Put: func(t *testing.T, name string, data []byte) string {
		storetest.Replace(t, filepath.Join(dir, name), data)
		return base + "/" + url.PathEscape(name)
	}}
}

func httpsWorld(t *testing.T) storetest.World {
	dir := t.TempDir()
	srv := httptest.NewUnstartedServer(files(dir))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	set := newSet(store.Options{TLS: &tls.Config{RootCAs: roots}})
	return storetest.World{Set: set, Put: func(t *testing.T, name string, data []byte) string {
		storetest.Replace(t, filepath.Join(dir, name), data)
		return srv.URL + "/" + url.PathEscape(name)
	}}
}

// files serves a directory as a server does that has digests and conditions.
func files(dir string) http.HandlerFunc {
	read := http.FileServer(http.Dir(dir))
	return func(w http.ResponseWriter, r *http.Request) {
		path := filepath.Join(dir, r.URL.Path)
		info, err := os.Stat(path)
		if r.Method == http.MethodPut {
			if err == nil && r.Header.Get("If-None-Match") == "*" {
				w.WriteHeader(http.StatusPreconditionFailed)
				return
			}
			w.WriteHeader(receive(path, r))
			return
		}
		if err == nil {
			w.Header().Set("ETag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
		}
		if data, err := os.ReadFile(path); err == nil && r.Header.Get("Want-Repr-Digest") != "" {
			w.Header().Set("Repr-Digest", digestOf(sha256.Sum256(data)))
		}
		read.ServeHTTP(w, r)
	}
}

// receive puts a whole body in its place, if it has the digest that it should.
func receive(path string, r *http.Request) (status int) {
	data, err := io.ReadAll(r.Body)
	if err != nil || r.Header.Get("Repr-Digest") != digestOf(sha256.Sum256(data)) {
		return http.StatusBadRequest
	}
	if os.WriteFile(path+".part", data, 0o644) != nil || os.Rename(path+".part", path) != nil {
		return http.StatusInternalServerError
	}
	return http.StatusCreated
}
