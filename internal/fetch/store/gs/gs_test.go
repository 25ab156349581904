package gs

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/storetest"
)

func TestGSWithoutCredentials(t *testing.T) {
	t.Setenv("STORAGE_EMULATOR_HOST", "")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", filepath.Join(t.TempDir(), "none.json"))
	_, err := newSet(store.Options{}).Open(t.Context(), "gs://bucket/key", store.Position{})
	if !errors.Is(err, store.ErrDenied) || store.Retryable(err) || store.Hint(err) != gsHint ||
		!strings.Contains(err.Error(), "none.json") {
		t.Errorf("error %v, hint %q; want ErrDenied that names the file", err, store.Hint(err))
	}
}

// TestGSTokenRefused has a token server refuse a service account's key.
func TestGSTokenRefused(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"error":"invalid_grant SEKRIT"}`, http.StatusBadRequest)
	}))
	defer srv.Close()
	t.Setenv("STORAGE_EMULATOR_HOST", "")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", serviceAccount(t, srv.URL))
	set := newSet(store.Options{})
	defer set.Close()
	_, err := set.Open(t.Context(), "gs://bucket/key", store.Position{})
	if !errors.Is(err, store.ErrDenied) || store.Retryable(err) || store.Hint(err) != gsHint ||
		strings.Contains(err.Error(), "SEKRIT") {
		t.Errorf("error %v, hint %q; want ErrDenied without the answer", err, store.Hint(err))
	}
}

// serviceAccount writes a key file that sends for its tokens to url.
func serviceAccount(t *testing.T, url string) string {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "x@example.com", "private_key_id": "1", "token_uri": url,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestGSAnswers has a server say what fake-gcs-server can't be made to say.
func TestGSAnswers(t *testing.T) {
	for _, c := range []struct {
		http  int
		from  store.Position
		retry bool
		kind  error
	}{
		{503, store.Position{}, true, nil},
		{429, store.Position{}, true, nil},
		{401, store.Position{}, false, store.ErrDenied},
		{404, store.Position{}, false, store.ErrNotFound},
		{404, store.Position{Offset: 1, Version: "7"}, false, store.ErrChanged},
		{412, store.Position{Offset: 1, Version: "7"}, false, store.ErrChanged},
		{200, store.Position{Offset: 1, Version: "7"}, false, store.ErrChanged},
	} {
		requests, agent, generation := 0, "", ""
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests++
			agent, generation = r.UserAgent(), r.URL.Query().Get("generation")
			w.WriteHeader(c.http)
		}))
		t.Setenv("STORAGE_EMULATOR_HOST", srv.Listener.Addr().String())
		set := newSet(store.Options{UserAgent: "Stretcher/9.9"})
		_, err := set.Open(t.Context(), "gs://bucket/key", c.from)
		if err == nil || store.Retryable(err) != c.retry || c.kind != nil && !errors.Is(err, c.kind) {
			t.Errorf("%d from %v: error %v, retryable %v; want %v, %v", c.http, c.from, err,
				store.Retryable(err), c.kind, c.retry)
		}
		if requests != 1 || agent != "Stretcher/9.9" || generation != c.from.Version {
			t.Errorf("%d: %d requests by %q for generation %q", c.http, requests, agent, generation)
		}
		set.Close()
		srv.Close()
	}
}

// TestGSBreakOff holds the storage library to one request per Open.
func TestGSBreakOff(t *testing.T) {
	requests := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests++
		w.Header().Set("Content-Length", "1000")
		w.Header().Set("X-Goog-Generation", "7")
		w.Write(make([]byte, 100))
	}))
	defer srv.Close()
	t.Setenv("STORAGE_EMULATOR_HOST", srv.Listener.Addr().String())
	set := newSet(store.Options{})
	defer set.Close()
	obj := storetest.Open(t, set, "gs://bucket/key", store.Position{})
	n := 0
	for {
		m, err := obj.Body.Read(make([]byte, 50))
		n += m
		if err != nil {
			if !store.Retryable(err) {
				t.Errorf("error %v is permanent", err)
			}
			break
		}
	}
	if n != 100 || requests != 1 || obj.Size != 1000 || obj.Version != "7" {
		t.Errorf("%d bytes in %d requests, size %d, version %q", n, requests, obj.Size, obj.Version)
	}
}
