package store

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"stretcher/internal/testparts"
)

// world is one server that the suite puts objects on.
type world struct {
	set *Set
	put func(t *testing.T, name string, data []byte) (rawURL string) // also replaces
}

func TestConformance(t *testing.T) {
	for name, start := range map[string]func(*testing.T) world{
		"file": fileWorld, "http": httpWorld, "https": httpsWorld, "s3": s3World, "gs": gsWorld,
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t)
			t.Cleanup(w.set.Close)
			conform(t, w)
		})
	}
	if n := len(Schemes()); n != 5 {
		t.Errorf("%d schemes, the suite runs over 5", n)
	}
}

func fileWorld(t *testing.T) world {
	dir := t.TempDir()
	return world{NewSet(Options{}), func(t *testing.T, name string, data []byte) string {
		replace(t, filepath.Join(dir, name), data)
		return "file://" + (&url.URL{Path: filepath.Join(dir, name)}).EscapedPath()
	}}
}

func httpWorld(t *testing.T) world {
	dir := t.TempDir()
	base := testparts.Nginx(t, dir, "")
	return world{NewSet(Options{}), func(t *testing.T, name string, data []byte) string {
		replace(t, filepath.Join(dir, name), data)
		return base + "/" + url.PathEscape(name)
	}}
}

func httpsWorld(t *testing.T) world {
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
	set := NewSet(Options{TLS: &tls.Config{RootCAs: roots}})
	return world{set, func(t *testing.T, name string, data []byte) string {
		replace(t, filepath.Join(dir, name), data)
		return srv.URL + "/" + url.PathEscape(name)
	}}
}

func s3World(t *testing.T) world {
	srv := testparts.S3(t)
	setenv(t, srv.Env())
	return world{NewSet(Options{UserAgent: "Stretcher/test"}), func(t *testing.T, name string, data []byte) string {
		srv.Put(t, "bucket", name, data)
		return "s3://bucket/" + url.PathEscape(name)
	}}
}

func gsWorld(t *testing.T) world {
	srv := testparts.GCS(t)
	setenv(t, srv.Env())
	return world{NewSet(Options{UserAgent: "Stretcher/test"}), func(t *testing.T, name string, data []byte) string {
		srv.Put(t, "bucket", name, data)
		return "gs://bucket/" + url.PathEscape(name)
	}}
}

// replace puts a new file in the place of an old one, as a deploy would.
func replace(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func setenv(t *testing.T, env []string) {
	t.Helper()
	for _, kv := range env {
		k, v, _ := strings.Cut(kv, "=")
		t.Setenv(k, v)
	}
}

// noise is the same n bytes for the same seed.
func noise(seed byte, n int) []byte {
	data := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(data)
	return data
}

// conform is the contract of Store, for one scheme.
func conform(t *testing.T, w world) {
	small, large := noise(1, 10_000), noise(2, 8<<20)
	for name, data := range map[string][]byte{
		"whole": small, "empty": nil, "large": large, "sp ace+plus%41é": small,
	} {
		t.Run("read "+name, func(t *testing.T) {
			obj, got := readAll(t, w.set, w.put(t, name, data), Position{})
			if !bytes.Equal(got, data) || obj.Offset != 0 || obj.Size != int64(len(data)) {
				t.Errorf("%d bytes from %d of %d, want %d from 0", len(got), obj.Offset, obj.Size, len(data))
			}
			if obj.Version == "" {
				t.Error("no version")
			}
		})
	}
	t.Run("resume", func(t *testing.T) { conformResume(t, w, large) })
	t.Run("ranges", func(t *testing.T) { conformRanges(t, w) })
	t.Run("changed", func(t *testing.T) { conformChanged(t, w) })
	t.Run("not found", func(t *testing.T) { conformNotFound(t, w) })
	t.Run("cancel", func(t *testing.T) { conformCancel(t, w, large) })
	t.Run("concurrent", func(t *testing.T) { conformConcurrent(t, w, large) })
}

func conformResume(t *testing.T, w world, data []byte) {
	u := w.put(t, "resume", data)
	obj := open(t, w.set, u, Position{})
	const at = 100_001
	if _, err := io.CopyN(io.Discard, obj.Body, at); err != nil {
		t.Fatal(err)
	}
	obj.Body.Close()
	rest, got := readAll(t, w.set, u, Position{Offset: at, Version: obj.Version})
	if !bytes.Equal(got, data[at:]) {
		t.Errorf("the rest differs: %d bytes, want %d", len(got), len(data)-at)
	}
	if rest.Offset != at || rest.Size != int64(len(data)) || rest.Version != obj.Version {
		t.Errorf("offset %d size %d version %q, want %d, %d, %q", rest.Offset, rest.Size, rest.Version, at,
			len(data), obj.Version)
	}
}

func conformChanged(t *testing.T, w world) {
	before, after := noise(3, 5000), noise(4, 6000)
	u := w.put(t, "changed", before)
	obj, _ := readAll(t, w.set, u, Position{})
	w.put(t, "changed", after)
	again, err := w.set.Open(t.Context(), u, Position{Offset: 1000, Version: obj.Version})
	if err != nil {
		if !errors.Is(err, ErrChanged) || Retryable(err) {
			t.Errorf("error %v, retryable %v; want ErrChanged, permanent", err, Retryable(err))
		}
		return
	}
	defer again.Body.Close()
	got, err := io.ReadAll(again.Body)
	if err != nil || again.Offset != 0 || !bytes.Equal(got, after) || again.Version == obj.Version {
		t.Errorf("offset %d, %d bytes, version %q, error %v; want the new object whole", again.Offset, len(got),
			again.Version, err)
	}
}

func conformNotFound(t *testing.T, w world) {
	u := w.put(t, "found", []byte("x"))
	u = strings.Replace(u, "found", "no-such-object", 1)
	_, err := w.set.Open(t.Context(), u, Position{})
	var e *Error
	if !errors.Is(err, ErrNotFound) || !errors.As(err, &e) || e.Retryable {
		t.Errorf("error %v, want ErrNotFound, permanent, as *Error", err)
	}
	if err == nil || !strings.Contains(err.Error(), "no-such-object") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, want one line with the URL", err)
	}
}

func conformCancel(t *testing.T, w world, data []byte) {
	u := w.put(t, "cancel", data)
	ctx, cancel := context.WithCancelCause(t.Context())
	obj, err := w.set.Open(ctx, u, Position{})
	if err != nil {
		t.Fatal(err)
	}
	defer obj.Body.Close()
	if _, err := obj.Body.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	why := errors.New("the deploy was stopped")
	cancel(why)
	if _, err := io.Copy(io.Discard, obj.Body); err == nil {
		t.Error("the body was read to its end after the cancellation")
	}
	_, err = w.set.Open(ctx, u, Position{})
	if !errors.Is(err, context.Canceled) || !errors.Is(err, why) || Retryable(err) {
		t.Errorf("opened with a cancelled context: %v, want it and its cause", err)
	}
}

func conformConcurrent(t *testing.T, w world, data []byte) {
	u := w.put(t, "concurrent", data)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			obj, err := w.set.Open(t.Context(), u, Position{})
			if err != nil {
				t.Error(err)
				return
			}
			defer obj.Body.Close()
			if got, err := io.ReadAll(obj.Body); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, error %v", len(got), err)
			}
		})
	}
	wg.Wait()
}

func open(t *testing.T, s *Set, u string, from Position) *Object {
	t.Helper()
	obj, err := s.Open(t.Context(), u, from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { obj.Body.Close() })
	return obj
}

func readAll(t *testing.T, s *Set, u string, from Position) (*Object, []byte) {
	t.Helper()
	obj := open(t, s, u, from)
	data, err := io.ReadAll(obj.Body)
	if err != nil {
		t.Fatal(err)
	}
	return obj, data
}
