package web

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"stretcher/internal/fetch/store"
)

// TestTLSHints: what can be done about a certificate that is refused.
func TestTLSHints(t *testing.T) {
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	secure, plain := httptest.NewUnstartedServer(ok), httptest.NewServer(ok)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	defer plain.Close()
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	other := func() time.Time { return secure.Certificate().NotAfter.Add(time.Hour) }
	for _, c := range []struct {
		url  string
		tls  *tls.Config
		hint string
	}{
		{secure.URL, nil, "SSL_CERT_FILE"},
		{strings.Replace(secure.URL, "127.0.0.1", "localhost", 1), &tls.Config{RootCAs: roots}, "another name"},
		{secure.URL, &tls.Config{RootCAs: roots, Time: other}, "clock"},
		{strings.Replace(plain.URL, "http:", "https:", 1), nil, "speaks http"},
	} {
		_, err := newSet(store.Options{TLS: c.tls}).Open(t.Context(), c.url, store.Position{})
		if err == nil || store.Retryable(err) || !strings.Contains(store.Hint(err), c.hint) {
			t.Errorf("%v, hint %q, not %q", err, store.Hint(err), c.hint)
		}
	}
}

// TestRealFailures meets the network errors that a local server can cause.
func TestRealFailures(t *testing.T) {
	cut := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-")
			conn.Close()
		}
	}))
	defer cut.Close()
	mute := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer mute.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	closed := httptest.NewServer(nil)
	closed.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()

	set := newSet(store.Options{})
	defer set.Close()
	for _, c := range []struct {
		name, url, want string
		retry           bool
	}{
		{"cut before the header", mute.URL, "EOF", true},
		{"cut in the header", cut.URL, "connection broken", true},
		{"refused", closed.URL, "connection refused", true},
		{"unknown authority", secure.URL, "certificate", false},
		{"http behind https", strings.Replace(plain.URL, "http:", "https:", 1), "HTTP response to HTTPS", false},
	} {
		u := strings.Replace(c.url, "://", "://user:SEKRIT@", 1) + "/x?token=SEKRIT"
		_, err := set.Open(t.Context(), u, store.Position{})
		if err == nil || store.Retryable(err) != c.retry || !strings.Contains(err.Error(), c.want) ||
			strings.Contains(err.Error(), "SEKRIT") {
			t.Errorf("%s: %v, retryable %v; want %q, %v, no secret", c.name, err, store.Retryable(err), c.want, c.retry)
		}
	}
}
