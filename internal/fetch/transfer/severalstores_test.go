package transfer

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/all"
	"stretcher/internal/testparts"
)

// counting counts what is asked of stores. The body of a whole object comes when
// there have been so many requests for ranges.
type counting struct {
	Opener
	gate           int32
	wholes, ranges atomic.Int32
}

func (c *counting) Open(ctx context.Context, u string, from store.Position) (*store.Object, error) {
	obj, err := c.Opener.Open(ctx, u, from)
	if !from.IsWhole() {
		c.ranges.Add(1)
		return obj, err
	}
	c.wholes.Add(1)
	if err == nil {
		obj.Body = &gated{obj.Body, c}
	}
	return obj, err
}

type gated struct {
	io.ReadCloser
	by *counting
}

func (g *gated) Read(p []byte) (int, error) {
	for g.by.ranges.Load() < g.by.gate {
		time.Sleep(time.Millisecond)
	}
	return g.ReadCloser.Read(p)
}

// TestSeveralStores: stores of every kind serve an object on several
// connections, but for files.
func TestSeveralStores(t *testing.T) {
	data := noise(1, 3*mib)
	for name, c := range map[string]struct {
		url    func(t *testing.T) string
		ranges int32 // at least
	}{
		"nginx": {func(t *testing.T) string {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "app.tar"), data, 0o644); err != nil {
				t.Fatal(err)
			}
			return testparts.Nginx(t, dir, "") + "/app.tar"
		}, 3},
		"s3": {func(t *testing.T) string {
			s3 := testparts.S3(t)
			s3.Put(t, "deploys", "app.tar", data)
			setenv(t, s3.Env())
			return "s3://deploys/app.tar"
		}, 3},
		"gs": {func(t *testing.T) string {
			gcs := testparts.GCS(t)
			gcs.Put(t, "deploys", "app.tar", data)
			setenv(t, gcs.Env())
			return "gs://deploys/app.tar"
		}, 3},
		"file": {func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "app.tar")
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
			return "file://" + path
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			url := c.url(t)
			opener, dst := &counting{Opener: stores(t), gate: c.ranges}, &scattered{t: t}
			n, err := Copy(t.Context(), opener, url, dst, Options{Connections: 4, large: mib})
			if err != nil || n != int64(len(data)) || !bytes.Equal(dst.data, data) {
				t.Fatalf("%d bytes, error %v", n, err)
			}
			if w, r := opener.wholes.Load(), opener.ranges.Load(); w != 1 || r < c.ranges || c.ranges == 0 && r > 0 {
				t.Errorf("%d requests for the whole, %d for ranges", w, r)
			}
		})
	}
}

func setenv(t *testing.T, env []string) {
	t.Helper()
	for _, pair := range env {
		name, value, _ := strings.Cut(pair, "=")
		t.Setenv(name, value)
	}
}

// TestSeveralHTTP2 asks a server that speaks HTTP/2.
func TestSeveralHTTP2(t *testing.T) {
	data := noise(1, 3*mib)
	var ranges atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isWhole(r) {
			ranges.Add(1)
		}
		w.Header().Set("ETag", `"v1"`)
		http.ServeContent(w, r, "app.tar", time.Time{}, bytes.NewReader(data))
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	set := store.NewSet(store.Options{TLS: srv.Client().Transport.(*http.Transport).TLSClientConfig}, all.List())
	t.Cleanup(set.Close)
	dst := &scattered{t: t}
	n, err := Copy(t.Context(), &counting{Opener: set, gate: 3}, srv.URL, dst, Options{Connections: 4, large: mib})
	if err != nil || n != int64(len(data)) || !bytes.Equal(dst.data, data) || ranges.Load() < 3 {
		t.Errorf("%d bytes, %d requests for ranges, error %v", n, ranges.Load(), err)
	}
}
