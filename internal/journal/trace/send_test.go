package trace

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
)

// sent is what becomes of a run's spans where a collector answers so.
func sent(ctx context.Context, t *testing.T, answer http.HandlerFunc, env ...string) error {
	t.Helper()
	s := httptest.NewServer(answer)
	defer s.Close()
	environment(t, append(env, "OTEL_EXPORTER_OTLP_ENDPOINT="+s.URL+"/at?key=sesame")...)
	_, err := export(ctx, t)
	return err
}

// TestRedirect: nobody else than the collector gets what lets somebody in, whoever it
// says has moved.
func TestRedirect(t *testing.T) {
	var others atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { others.Add(1) }))
	defer other.Close()
	for _, code := range []int{301, 302, 303, 307, 308} {
		for _, place := range []string{other.URL, "/elsewhere"} {
			asked := 0
			err := sent(t.Context(), t, func(w http.ResponseWriter, r *http.Request) {
				asked++
				http.Redirect(w, r, place, code)
			}, "OTEL_EXPORTER_OTLP_HEADERS=x-key=sesame,authorization=sesame")
			if err == nil || !strings.Contains(err.Error(), strconv.Itoa(code)) || asked != 1 || others.Load() > 0 {
				t.Errorf("%d to %s: %v; asked %d times, the other %d", code, place, err, asked, others.Load())
			}
		}
	}
}

// TestAnswers: what a collector says is told, not more of it than people read, and
// nothing of its URL but where it is.
func TestAnswers(t *testing.T) {
	message := func(m proto.Message) string {
		raw, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	rejected := func(n int64) string {
		return message(&collector.ExportTraceServiceResponse{PartialSuccess: &collector.ExportTracePartialSuccess{
			RejectedSpans: n, ErrorMessage: "too old"}})
	}
	for _, tc := range []struct {
		code       int
		kind, body string
		want       string // "" = no error
	}{
		{200, protobuf, "", ""},
		{202, "", "fine", ""},
		{200, protobuf, message(&collector.ExportTraceServiceResponse{}), ""},
		{200, protobuf, rejected(0), ""}, // a hint of the server's
		{200, protobuf, rejected(2), `2 spans were rejected: "too old"`},
		{200, protobuf, "\xff\xff\xff", ""},
		{200, protobuf, "\x0a\x05\x08\x02", ""},
		{200, protobuf + "; v=1", "\x0a\x05\x08\x02\x12\x01\xff", "2 spans were rejected"},
		{400, protobuf, message(&status.Status{Code: 3, Message: "no such tenant"}), `400 Bad Request: "no such tenant"`},
		{400, protobuf + "; v=1", "\x12\x7fshort", "400 Bad Request"},
		{401, "text/plain; charset=utf-8", " no\nentry \xff", `401 Unauthorized: "no\nentry ` + "\ufffd" + `"`},
		{403, "text/html", "<h1>no</h1>", "403 Forbidden"},
		{500, "application/json", `{"message":"no"}`, `500 Internal Server Error: "{\"message\":\"no\"}"`},
		{413, "text/plain", strings.Repeat("x", maxAnswer),
			`413 Request Entity Too Large: "` + strings.Repeat("x", maxTold) + `"`},
	} {
		err := sent(t.Context(), t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", tc.kind)
			w.WriteHeader(tc.code)
			_, _ = io.WriteString(w, tc.body)
		})
		switch {
		case (err == nil) != (tc.want == ""):
			t.Errorf("%d %q: %v, want %q", tc.code, tc.body, err, tc.want)
		case err != nil && (!strings.HasSuffix(err.Error(), "/at/v1/traces: "+tc.want) ||
			strings.Contains(err.Error(), "sesame")):
			t.Errorf("%d %q: %v, want %q", tc.code, tc.body, err, tc.want)
		}
	}
}

// TestEndless: an answer without end is not waited for.
func TestEndless(t *testing.T) {
	for _, code := range []int{200, 500} {
		err := sent(t.Context(), t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(code)
			for {
				if _, err := w.Write(make([]byte, 1<<12)); err != nil {
					return
				}
			}
		})
		if (err == nil) != (code == 200) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d: %v", code, err)
		}
	}
}

// TestNoTime: a collector that has no time for longer than a run has is not waited for.
func TestNoTime(t *testing.T) {
	for _, after := range []string{"60", "99999999999999", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)} {
		for _, code := range []int{429, 502, 503, 504} {
			asked := 0
			err := sent(t.Context(), t, func(w http.ResponseWriter, _ *http.Request) {
				asked++
				w.Header().Set("Retry-After", after)
				w.WriteHeader(code)
			})
			if err == nil || !strings.Contains(err.Error(), strconv.Itoa(code)) || asked != 1 {
				t.Errorf("%d, after %s: %v, asked %d times", code, after, err, asked)
			}
		}
	}
}

func TestIsLong(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "3": false, "-3": false, "x": false, "99999999999": true, "9223372036854775807": true, "1.5": false,
		"Wed, 21 Oct 2015 07:28:00 GMT": false, "Fri, 31 Dec 9999 23:59:59 GMT": true,
	} {
		if got := isLong(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// TestHidden: the exporter finds nothing in the environment: not the file of a
// certificate that has become a FIFO since it was read, and no header that does not
// count. Afterwards all of it is there again.
func TestHidden(t *testing.T) {
	s := serve(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	environment(t, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+s.URL+"/a%2Fb?key=c", "OTEL_EXPORTER_OTLP_ENDPOINT=::",
		"OTEL_EXPORTER_OTLP_TRACES_HEADERS=host=web.example.com,content-encoding=br,user-agent=me",
		"OTEL_EXPORTER_OTLP_HEADERS=sesame", "OTEL_EXPORTER_OTLP_CERTIFICATE="+file, "OTEL_EXPORTER_OTLP_INSECURE=false",
		"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=HTTP/protobuf", "OTEL_EXPORTER_OTLP_PROTOCOL=http/json")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	before := strings.Join(os.Environ(), "\n")
	tr, err := Begin(Run{ID: runID, Version: "2.0.0", Began: began}, func(name string) string {
		if strings.HasSuffix(name, "CERTIFICATE") { // it was read before
			return ""
		}
		return os.Getenv(name)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Export(t.Context(), Span{Name: "run", Began: began, Ended: began}); err != nil || len(s.spans) != 1 {
		t.Fatalf("%d spans, %v", len(s.spans), err)
	}
	r := s.requests[0]
	if r.RequestURI != "/a%2Fb?key=c" || r.Host != "web.example.com" || r.Header.Get("Content-Encoding") != "" ||
		r.UserAgent() != "me" {
		t.Errorf("%s of %s with %v", r.RequestURI, r.Host, r.Header)
	}
	after, sorted := os.Environ(), strings.Split(before, "\n")
	slices.Sort(after)
	slices.Sort(sorted)
	if !slices.Equal(after, sorted) {
		t.Errorf("the environment has become %q", after)
	}
	if problem := tr.problems.first(); problem != nil {
		t.Errorf("the exporter complains: %v", problem)
	}
}

// TestDripping: who answers byte by byte, and never ends, costs no more than the time
// that there is; less of it is left after a signal.
func TestDripping(t *testing.T) {
	drip := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		for r.Context().Err() == nil {
			_, _ = w.Write([]byte("."))
			_ = http.NewResponseController(w).Flush()
			time.Sleep(time.Millisecond)
		}
	}
	err := sent(t.Context(), t, drip, "OTEL_EXPORTER_OTLP_TIMEOUT=50")
	if err == nil || !strings.Contains(err.Error(), "no answer in 50ms") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := sent(ctx, t, drip); err == nil || !strings.Contains(err.Error(), "no answer in 1") {
		t.Errorf("got %v", err)
	}
}

// TestSwitched: who goes on in another protocol, and says nothing there, is not waited for.
func TestSwitched(t *testing.T) {
	end := make(chan struct{})
	defer close(end)
	err := sent(t.Context(), t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		go func() {
			<-end
			conn.Close()
		}()
	})
	if err == nil || !strings.HasSuffix(err.Error(), "/at/v1/traces: 101 Switching Protocols") {
		t.Errorf("got %v", err)
	}
}

// TestOddSpans: names that are no UTF-8, and times of a clock that has been set back, do
// not cost the trace.
func TestOddSpans(t *testing.T) {
	s := serve(t)
	environment(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+s.URL)
	tr, err := Begin(Run{ID: "none", Version: "2.0.0", Began: began}, os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	err = tr.Export(t.Context(), Span{Name: "r\xff\n", Began: began, Ended: began.Add(-time.Hour), Below: []Span{
		{Name: strings.Repeat("\xff.", maxText), Failed: true, Why: strings.Repeat("\xff.", maxText)}, {},
	}, Attributes: []Attribute{{"a", strings.Repeat("\xff.", maxText)}}})
	if err != nil || len(s.spans) != 3 {
		t.Fatalf("%d spans, %v", len(s.spans), err)
	}
	below, root := s.spans[0], s.spans[2]
	if root.Name != "r\ufffd\n" || root.EndTimeUnixNano != root.StartTimeUnixNano {
		t.Errorf("the root is %v", root)
	}
	for _, text := range []string{below.Name, below.Status.Message, root.Attributes[0].Value.GetStringValue()} {
		if len(text) > maxText || len(text) < maxText-3 {
			t.Errorf("a text of %d bytes", len(text))
		}
	}
}

// TestClientCertificate: a collector that wants to know who asks is shown it.
func TestClientCertificate(t *testing.T) {
	s := &server{resource: map[string]string{}}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.take))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	s.StartTLS()
	defer s.Close()
	dir := t.TempDir()
	file := func(name, kind string, raw []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	raw, err1 := x509.CreateCertificate(rand.Reader, about, about, &private.PublicKey, private)
	hidden, err2 := x509.MarshalPKCS8PrivateKey(private)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	ca := "OTEL_EXPORTER_OTLP_CERTIFICATE=" + file("ca", "CERTIFICATE", s.Certificate().Raw)
	shown := "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE=" + file("cert", "CERTIFICATE", raw)
	key := "OTEL_EXPORTER_OTLP_CLIENT_KEY=" + file("key", "PRIVATE KEY", hidden)
	url := "OTEL_EXPORTER_OTLP_ENDPOINT=" + s.URL
	environment(t, url, ca, shown, key)
	if _, err := export(t.Context(), t); err != nil || len(s.spans) != 3 ||
		!bytes.Equal(s.requests[0].TLS.PeerCertificates[0].Raw, raw) {
		t.Errorf("%d spans, %v", len(s.spans), err)
	}
	for want, env := range map[string][]string{
		"https://127.0.0.1":    {url, ca}, // in words that depend on who is faster
		"there is only one":    {url, ca, shown},
		"only one":             {url, ca, key},
		"tls: ":                {url, ca, shown, strings.Replace(shown, "TRACES_CLIENT_CERTIFICATE", "CLIENT_KEY", 1)},
		"the collector is htt": {strings.Replace(url, "https:", "http:", 1), ca},
		"collector is http://": {strings.Replace(url, "https:", "http:", 1), shown, key},
	} {
		environment(t, env...)
		if _, err := export(t.Context(), t); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", env, err)
		}
	}
}

// FuzzTold: whatever a collector answers, nothing panics, and of what it says no more is
// told than people read.
func FuzzTold(f *testing.F) {
	for _, raw := range []string{
		"", "\x0a\x04\x08\x02\x12\x00", "\x08\x03\x12\x01a", "\xff\xff", "\x0a\xff\xff\xff\xff\x0f", "\x13\x14",
	} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, code := range []int{200, 400} {
			answer := &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {protobuf}}}
			if _, text := told(answer, raw); len(text) > 6*maxTold {
				t.Errorf("%q: %d bytes", raw, len(text))
			}
		}
	})
}
