package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestStatusClasses(t *testing.T) {
	u := &url.URL{Scheme: "http", Host: "h", Path: "/x"}
	for code := 300; code < 600; code++ {
		e := status("GET", u, code, "")
		want := code == 408 || code == 425 || code == 429 || code >= 500 && code != 501 && code != 505
		if e.Retryable != want || Retryable(e) != want {
			t.Errorf("%d: retryable %v, want %v", code, e.Retryable, want)
		}
		kinds := map[int]error{401: ErrDenied, 403: ErrDenied, 407: ErrDenied, 404: ErrNotFound, 410: ErrNotFound,
			412: ErrChanged, 416: ErrChanged}
		for _, kind := range []error{ErrDenied, ErrNotFound, ErrChanged} {
			if got := errors.Is(e, kind); got != (kinds[code] == kind) {
				t.Errorf("%d is %q: %v", code, kind, got)
			}
		}
	}
	if got, want := status("GET", u, 404, "").Error(), `GET "http://h/x": 404 Not Found`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestRetryAfter: seconds or a date, of the statuses that it is meant for.
func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 26, 4, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		code  int
		value string
		want  time.Duration
	}{
		{503, "7", 7 * time.Second},
		{429, " 120 ", 2 * time.Minute},
		{503, "Thu, 26 Nov 2026 04:00:30 GMT", 30 * time.Second},
		{503, "Thu, 26 Nov 2026 03:00:30 GMT", 0},
		{503, "999999999999999999", 24 * time.Hour},
		{503, "99999999999999999999", 0},
		{503, "-1", 0},
		{503, "soon", 0},
		{503, "", 0},
		{500, "7", 0},
		{301, "7", 0},
	} {
		head := http.Header{"Retry-After": {c.value}}
		if got := retryAfter(c.code, head, now); got != c.want {
			t.Errorf("%d %q: %s, not %s", c.code, c.value, got, c.want)
		}
	}
}

// TestStoresRetryAfter: every server may ask for a pause.
func TestStoresRetryAfter(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer srv.Close()
	noAWS(t, "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=y", "AWS_ENDPOINT_URL="+srv.URL)
	t.Setenv("STORAGE_EMULATOR_HOST", srv.URL)
	set := NewSet(Options{})
	defer set.Close()
	for _, url := range []string{srv.URL + "/x", "s3://bucket/key", "gs://bucket/key"} {
		if _, err := set.Open(t.Context(), url, Position{}); RetryAfter(err) != 7*time.Second || !Retryable(err) {
			t.Errorf("%s: %v asks for %s", url, err, RetryAfter(err))
		}
	}
}

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
		_, err := NewSet(Options{TLS: c.tls}).Open(t.Context(), c.url, Position{})
		if err == nil || Retryable(err) || !strings.Contains(Hint(err), c.hint) {
			t.Errorf("%v, hint %q, not %q", err, Hint(err), c.hint)
		}
	}
}

func TestNetworkClasses(t *testing.T) {
	dial := func(err error) error {
		return &url.Error{Op: "Get", URL: "http://h/", Err: &net.OpError{Op: "dial", Net: "tcp", Err: err}}
	}
	for _, c := range []struct {
		name string
		err  error
		want bool
	}{
		{"refused", dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), true},
		{"reset", os.NewSyscallError("read", syscall.ECONNRESET), true},
		{"unreachable", dial(os.NewSyscallError("connect", syscall.ENETUNREACH)), true},
		{"timeout", dial(os.ErrDeadlineExceeded), true},
		{"EOF", io.EOF, true},
		{"short body", fmt.Errorf("read: %w", io.ErrUnexpectedEOF), true},
		{"resolver down", dial(&net.DNSError{Err: "server misbehaving", IsTemporary: true}), true},
		{"stream reset", errors.New("stream error: stream ID 3; INTERNAL_ERROR"), true},
		{"no such host", dial(&net.DNSError{Err: "no such host", IsNotFound: true}), false},
		{"no address", dial(&net.AddrError{Err: "missing port"}), false},
		{"certificate", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, false},
		{"alert", &net.OpError{Op: "remote error", Err: tls.AlertError(42)}, false},
		{"no TLS", tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, false},
		{"cancelled", dial(context.Canceled), false},
		{"stranger", errors.New("x"), false},
	} {
		if got := Retryable(c.err); got != c.want {
			t.Errorf("%s: %v", c.name, got)
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

	set := NewSet(Options{})
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
		_, err := set.Open(t.Context(), u, Position{})
		if err == nil || Retryable(err) != c.retry || !strings.Contains(err.Error(), c.want) ||
			strings.Contains(err.Error(), "SEKRIT") {
			t.Errorf("%s: %v, retryable %v; want %q, %v, no secret", c.name, err, Retryable(err), c.want, c.retry)
		}
	}
}

func TestOneLine(t *testing.T) {
	if got := oneLine("a\n\tb\r\n  c"); got != "a b c" {
		t.Errorf("got %q", got)
	}
	if got := oneLine(strings.Repeat("é", 300)); len(got) > 210 || !strings.HasSuffix(got, "...") {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}
