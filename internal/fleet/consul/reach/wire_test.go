package reach_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"stretcher/internal/fleet/consul"
)

// TestErrorsOfServers: whatever a server or a proxy answers, an error is a short line,
// and holds nothing of the token.
func TestErrorsOfServers(t *testing.T) {
	const token = "7d1c5a3e-secret"
	for name, say := range map[string]string{
		"what it was asked": "no: ", "a page": "<html>\n\x1b[2J" + strings.Repeat("x", 1<<20), "nothing": "",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, say+fmt.Sprint(r.Header))
		}))
		defer server.Close()
		c, err := consul.Open(consul.Config{Address: server.URL, Token: token})
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = c.Self(t.Context())
		if err == nil || len(err.Error()) > 1024 || strings.ContainsAny(err.Error(), "\n\x1b") ||
			strings.Contains(err.Error(), token) || !strings.Contains(err.Error(), "500") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNoRedirects: a token goes to Consul alone.
func TestNoRedirects(t *testing.T) {
	var asked atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer other.Close()
	for _, status := range []int{http.StatusMovedPermanently, http.StatusTemporaryRedirect} {
		server := httptest.NewServer(http.RedirectHandler(other.URL, status))
		defer server.Close()
		c, err := consul.Open(consul.Config{Address: server.URL, Token: "t"})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Self(t.Context()); err == nil || asked.Load() > 0 {
			t.Errorf("%d: %v, the other is asked %d times", status, err, asked.Load())
		}
	}
}
