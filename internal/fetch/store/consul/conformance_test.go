package consul

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/storetest"
	"stretcher/internal/testparts"
)

func newSet() *store.Set { return store.NewSet(store.Options{}, store.Schemes{Definition()}) }

func TestConformance(t *testing.T) {
	agent := testparts.Consul(t)
	t.Setenv("CONSUL_HTTP_ADDR", agent.HTTPAddr)
	w := storetest.World{Set: newSet(), Most: maxValue, Put: func(t *testing.T, name string, data []byte) string {
		at := "dir/" + url.PathEscape(name)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+agent.HTTPAddr+"/v1/kv/"+at,
			bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("put %s: %v, %v", at, resp, err)
		}
		_ = resp.Body.Close()
		return "consul://" + at
	}}
	storetest.Run(t, w)
	storetest.RunSink(t, w, true)
}

// TestRights: Consul says who may read and write, and no error holds the token.
func TestRights(t *testing.T) {
	agent := testparts.ConsulWithACL(t)
	t.Setenv("CONSUL_HTTP_ADDR", agent.HTTPAddr)
	t.Setenv("CONSUL_HTTP_TOKEN", agent.NewToken(t, "reader", `key_prefix "open/" { policy = "read" }`))
	s := newSet()
	for u, want := range map[string]error{
		"consul://open/app.yml": store.ErrNotFound, "consul://closed/app.yml": store.ErrDenied,
	} {
		if _, err := s.Open(t.Context(), u, store.Position{}); !isOnly(err, want) {
			t.Errorf("%s: %v, want %v", u, err, want)
		}
	}
	err := s.Put(t.Context(), "consul://open/app.yml", strings.NewReader(""), 0, store.PutOptions{SHA256: sumOf("")})
	if !isOnly(err, store.ErrDenied) || store.Hint(err) != hint {
		t.Errorf("written: %v", err)
	}
}

// TestTooLarge: what Consul does not keep is not sent.
func TestTooLarge(t *testing.T) {
	t.Setenv("CONSUL_HTTP_ADDR", "127.0.0.1:1")
	text := strings.Repeat("x", maxValue+1)
	err := newSet().Put(t.Context(), "consul://a/b", strings.NewReader(text), int64(len(text)),
		store.PutOptions{SHA256: sumOf(text)})
	if err == nil || store.Retryable(err) || !strings.Contains(err.Error(), "at most") {
		t.Error(err)
	}
}

// TestShapes: a URL names a key alone, in one way.
func TestShapes(t *testing.T) {
	for _, u := range []string{
		"consul://key", "consul:///a/b", "consul://h:8500/a", "consul://u:p@a/b", "consul://a/b?raw", "consul://a/b#c",
		"consul://a/../b", "consul://a/./b", "consul://a/b//c", "consul://a/b/", "consul://a/%2e%2e/b", "consul:a/b",
	} {
		if err := newSet().Check(u); err == nil {
			t.Errorf("%s is good", u)
		}
	}
	if err := newSet().Check("consul://stretcher/manifests/web/rollback.yml"); err != nil {
		t.Error(err)
	}
}

func sumOf(text string) [sha256.Size]byte { return sha256.Sum256([]byte(text)) }

// isOnly tells whether an error is of a kind, permanent, and says nothing of a token.
func isOnly(err, kind error) bool {
	return errors.Is(err, kind) && !store.Retryable(err) && !strings.Contains(err.Error(), os.Getenv("CONSUL_HTTP_TOKEN"))
}
