package web

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
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
	t.Run("http", func(t *testing.T) { storetest.Run(t, httpWorld(t)) })
	t.Run("https", func(t *testing.T) { storetest.Run(t, httpsWorld(t)) })
}

func httpWorld(t *testing.T) storetest.World {
	dir := t.TempDir()
	base := testparts.Nginx(t, dir, "")
	return storetest.World{Set: newSet(store.Options{}), Put: func(t *testing.T, name string, data []byte) string {
		storetest.Replace(t, filepath.Join(dir, name), data)
		return base + "/" + url.PathEscape(name)
	}}
}

func httpsWorld(t *testing.T) storetest.World {
	dir := t.TempDir()
	files := http.FileServer(http.Dir(dir))
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if info, err := os.Stat(filepath.Join(dir, r.URL.Path)); err == nil {
			w.Header().Set("ETag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
		}
		files.ServeHTTP(w, r)
	}))
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
