package trace

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const runID = "01a20418-63d3-7c5e-8d2f-6b7a3f0c9e1d"

// server is a collector of this test.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	spans    []*otlp.Span
	resource map[string]string
}

func serve(t *testing.T) *server {
	t.Helper()
	s := &server{resource: map[string]string{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.take))
	t.Cleanup(s.Close)
	return s
}

func (s *server) take(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r)
	body, _ := io.ReadAll(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err == nil {
			body, err = io.ReadAll(z)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	var got collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &got); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, of := range got.ResourceSpans {
		for _, a := range of.Resource.Attributes {
			s.resource[a.Key] = a.Value.GetStringValue()
		}
		for _, scope := range of.ScopeSpans {
			s.spans = append(s.spans, scope.Spans...)
		}
	}
}

// environment sets the variables of a test, and no other of OpenTelemetry's.
func environment(t *testing.T, env ...string) {
	t.Helper()
	for _, kv := range append(os.Environ(), env...) {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "OTEL_") || strings.HasPrefix(name, "TRACE") {
			t.Setenv(name, "")
			_ = os.Unsetenv(name)
		}
	}
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
}

var began = time.Date(2026, 11, 22, 16, 0, 54, 123456789, time.UTC)

// export exports a run with a step, of whose span a child has been told.
func export(ctx context.Context, t *testing.T) (told string, err error) {
	t.Helper()
	tr, err := Begin(Run{ID: runID, Version: "2.0.0", Began: began}, os.Getenv)
	if err != nil {
		return "", err
	}
	step := Span{ID: tr.NewID(), Name: "post", Began: began.Add(time.Second), Ended: began.Add(2 * time.Second),
		Failed: true, Why: "exit status 3",
		Below: []Span{{Name: "true", Began: began.Add(time.Second), Ended: began.Add(time.Second)}}}
	told = tr.Context(step.ID)
	return told, tr.Export(ctx, Span{
		Name: "stretcher deploy", Began: began, Ended: began.Add(3 * time.Second), Below: []Span{step},
		Attributes: []Attribute{{"s", "text"}, {"n", 3}, {"b", true}, {"none", ""}, {"long", strings.Repeat("é", maxText)}},
	})
}

// TestExport: what was measured arrives as it was, below one another, by the id of
// the run and under the name of the program.
func TestExport(t *testing.T) {
	s := serve(t)
	environment(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+s.URL)
	told, err := export(t.Context(), t)
	if err != nil || len(s.spans) != 3 {
		t.Fatalf("%d spans, %v", len(s.spans), err)
	}
	child, step, root := s.spans[0], s.spans[1], s.spans[2]
	trace := strings.ReplaceAll(runID, "-", "")
	for _, span := range s.spans {
		if fmt.Sprintf("%x", span.TraceId) != trace {
			t.Errorf("%s is of trace %x", span.Name, span.TraceId)
		}
	}
	if !bytes.Equal(child.ParentSpanId, step.SpanId) || !bytes.Equal(step.ParentSpanId, root.SpanId) ||
		len(root.ParentSpanId) > 0 {
		t.Errorf("not below one another: %v", s.spans)
	}
	if want := fmt.Sprintf("TRACEPARENT=00-%s-%x-01", trace, step.SpanId); told != want {
		t.Errorf("the child was told %s, not %s", told, want)
	}
	if step.StartTimeUnixNano != uint64(began.Add(time.Second).UnixNano()) ||
		root.EndTimeUnixNano != uint64(began.Add(3*time.Second).UnixNano()) {
		t.Errorf("other times: %v, %v", step, root)
	}
	if step.Status.Code != otlp.Status_STATUS_CODE_ERROR || step.Status.Message != "exit status 3" ||
		root.Status.Code != otlp.Status_STATUS_CODE_UNSET || root.Name != "stretcher deploy" {
		t.Errorf("step %v, root %v", step.Status, root)
	}
	if len(root.Attributes) != 4 || len(root.Attributes[3].Value.GetStringValue()) > maxText {
		t.Errorf("attributes %v", root.Attributes)
	}
	if s.resource["service.name"] != "stretcher" || s.resource["service.version"] != "2.0.0" ||
		s.resource["host.name"] == "" {
		t.Errorf("resource %v", s.resource)
	}
}

// TestVariables: the variables that OpenTelemetry has for all programs say where a
// trace goes, and how.
func TestVariables(t *testing.T) {
	s := serve(t)
	environment(t, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+s.URL+"/at/own",
		"OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20sesame,x-team=web", "OTEL_EXPORTER_OTLP_COMPRESSION=gzip",
		"OTEL_SERVICE_NAME=deploys", "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=prod,service.version=9",
		"TRACEPARENT=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "TRACESTATE=ci=7")
	told, err := export(t.Context(), t)
	if err != nil || len(s.requests) != 1 || len(s.spans) != 3 {
		t.Fatalf("%d spans, %v", len(s.spans), err)
	}
	r, root := s.requests[0], s.spans[2]
	if r.URL.Path != "/at/own" || r.Header.Get("Authorization") != "Bearer sesame" || r.Header.Get("X-Team") != "web" ||
		r.Header.Get("Content-Type") != "application/x-protobuf" {
		t.Errorf("%s with %v", r.URL, r.Header)
	}
	if s.resource["service.name"] != "deploys" || s.resource["deployment.environment.name"] != "prod" ||
		s.resource["service.version"] != "9" {
		t.Errorf("resource %v", s.resource)
	}
	if fmt.Sprintf("%x", root.TraceId) != "0af7651916cd43dd8448eb211c80319c" || root.TraceState != "ci=7" ||
		fmt.Sprintf("%x", root.ParentSpanId) != "b7ad6b7169203331" ||
		!strings.HasPrefix(told, "TRACEPARENT=00-0af7651916cd43dd8448eb211c80319c-") {
		t.Errorf("the root is %v; told %s", root, told)
	}
}

// TestSampled: who has begun the trace and does not keep it gets none of it, and
// neither do children.
func TestSampled(t *testing.T) {
	s := serve(t)
	for _, env := range [][]string{
		{"TRACEPARENT=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}, {"OTEL_TRACES_SAMPLER=always_off"},
	} {
		environment(t, append(env, "OTEL_EXPORTER_OTLP_ENDPOINT="+s.URL)...)
		told, err := export(t.Context(), t)
		if err != nil || len(s.requests) != 0 || !strings.HasSuffix(told, "-00") {
			t.Errorf("%v: %d requests, told %s, %v", env, len(s.requests), told, err)
		}
	}
}

// TestOff: without the variables, or told so, there is no trace.
func TestOff(t *testing.T) {
	on := "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1"
	for _, env := range [][]string{
		{}, {"OTEL_SERVICE_NAME=x"}, {"OTEL_EXPORTER_OTLP_ENDPOINT= "}, {on, "OTEL_SDK_DISABLED=true"},
		{on, "OTEL_SDK_DISABLED=TRUE"}, {on, "OTEL_TRACES_EXPORTER=none"},
		{"TRACEPARENT=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	} {
		environment(t, env...)
		tr, err := Begin(Run{ID: runID, Began: began}, os.Getenv)
		if tr != nil || err != nil || tr.Context(tr.NewID()) != "" || tr.Export(t.Context(), Span{}) != nil {
			t.Errorf("%v: %v, %v", env, tr, err)
		}
	}
	environment(t, on, "OTEL_SDK_DISABLED=1") // only true is true
	if !IsOn(os.Getenv) {
		t.Error("off by a value that says nothing")
	}
}

// TestWrong: what can't be followed is an error, which repeats no URL and no header.
func TestWrong(t *testing.T) {
	on := "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1"
	none := filepath.Join(t.TempDir(), "none.pem")
	text := filepath.Join(t.TempDir(), "text.pem")
	if err := os.WriteFile(text, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		env  []string
		want string
	}{
		{[]string{"OTEL_TRACES_EXPORTER=zipkin"}, `OTEL_TRACES_EXPORTER is "zipkin": only otlp is known here, and none`},
		{[]string{on, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"},
			`OTEL_EXPORTER_OTLP_PROTOCOL is "grpc": only http/protobuf is known here`},
		{[]string{on, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json"},
			`OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is "http/json": only`},
		{[]string{"OTEL_TRACES_EXPORTER=otlp,None"}, `OTEL_TRACES_EXPORTER is "otlp,None": only otlp is known`},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=s3cret:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT is no http:// or https:// URL"},
		{[]string{on, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=/s3cret"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is no http"},
		{[]string{on, "OTEL_EXPORTER_OTLP_CERTIFICATE=" + none}, "OTEL_EXPORTER_OTLP_CERTIFICATE: open "},
		{[]string{on, "OTEL_EXPORTER_OTLP_CERTIFICATE=" + text}, "certificate"},
		{[]string{on, "OTEL_EXPORTER_OTLP_HEADERS=s3cret"}, "OTEL_EXPORTER_OTLP_HEADERS is no list of NAME=VALUE"},
		{[]string{on, "OTEL_EXPORTER_OTLP_TRACES_HEADERS=a=b,c=%zzs3cret"}, "OTEL_EXPORTER_OTLP_TRACES_HEADERS is no list"},
		{[]string{on, "OTEL_TRACES_SAMPLER=s3cret"}, `OTEL_TRACES_SAMPLER is "s3cret", a sampler`},
		{[]string{on, "OTEL_TRACES_SAMPLER=traceidratio", share + "=NaN"}, share + ` is "NaN": it must be a number`},
		{[]string{on, "OTEL_TRACES_SAMPLER=TraceIDRatio", share + "=1.1"}, share + ` is "1.1"`},
		{[]string{on, "OTEL_TRACES_SAMPLER=parentbased_traceidratio", share + "=-Inf"}, share + ` is "-Inf"`},
		{[]string{on, "OTEL_TRACES_SAMPLER=traceidratio", share + "=half"}, share + ` is "half"`},
		{[]string{on, "OTEL_SERVICE_NAME=a\xff"}, "OTEL_SERVICE_NAME is no UTF-8"},
		{[]string{on, "OTEL_RESOURCE_ATTRIBUTES=a=%ff"}, "OTEL_RESOURCE_ATTRIBUTES is no UTF-8"},
		{[]string{on, "OTEL_RESOURCE_ATTRIBUTES=a\xff=b"}, "OTEL_RESOURCE_ATTRIBUTES is no UTF-8"},
		{[]string{on, "OTEL_RESOURCE_ATTRIBUTES=a"}, "OTEL_RESOURCE_ATTRIBUTES: "},
	} {
		environment(t, tc.env...)
		tr, err := Begin(Run{ID: runID, Began: began}, os.Getenv)
		if tr != nil || err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v: %v, %v", tc.env, tr, err)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") && !strings.Contains(tc.env[len(tc.env)-1], "SAMPLER") {
			t.Errorf("%v: repeats the value: %v", tc.env, err)
		}
	}
}

// TestSilent: a collector that takes the connection and never answers costs the
// time that it may, and who is told to end waits no longer.
func TestSilent(t *testing.T) {
	stop := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	}))
	defer s.Close()
	defer close(stop)
	environment(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+s.URL, "OTEL_EXPORTER_OTLP_TIMEOUT=50")
	if _, err := export(t.Context(), t); err == nil || !strings.Contains(err.Error(), "no answer in 50ms") {
		t.Errorf("got %v", err)
	}
	environment(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+s.URL)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := export(ctx, t); err == nil {
		t.Error("it was taken")
	}
}

// TestRefused: what a collector says is an error, and one that can't be reached.
func TestRefused(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	environment(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+s.URL)
	if _, err := export(t.Context(), t); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("got %v", err)
	}
	environment(t, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1")
	if _, err := export(t.Context(), t); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
}

// TestTLS: a collector that speaks https is who the certificate says, or nobody.
func TestTLS(t *testing.T) {
	s := &server{resource: map[string]string{}}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.take))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	environment(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+s.URL)
	if _, err := export(t.Context(), t); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v", err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	environment(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+s.URL, "OTEL_EXPORTER_OTLP_CERTIFICATE="+ca,
		"OTEL_TRACES_EXPORTER=console, otlp")
	if _, err := export(t.Context(), t); err != nil || len(s.spans) != 3 {
		t.Errorf("%d spans, %v", len(s.spans), err)
	}
}

// TestTriedAgain: a collector that has no time just now is asked again.
func TestTriedAgain(t *testing.T) {
	s := &server{resource: map[string]string{}}
	busy := true
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if busy {
			busy = false
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		s.take(w, r)
	}))
	defer s.Close()
	environment(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+s.URL, "OTEL_EXPORTER_OTLP_TIMEOUT=60000")
	if _, err := export(t.Context(), t); err != nil || len(s.spans) != 3 {
		t.Errorf("%d spans, %v", len(s.spans), err)
	}
}

// TestFiles: what is no file of a certificate is a warning, and neither waited for nor
// read without end.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	fifo, large, empty := filepath.Join(dir, "fifo"), filepath.Join(dir, "large"), filepath.Join(dir, "empty")
	if err := errors.Join(syscall.Mkfifo(fifo, 0o600), os.WriteFile(large, nil, 0o600), os.WriteFile(empty, nil, 0o600),
		os.Truncate(large, 1<<40)); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"/dev/zero": "not a regular file", fifo: "not a regular file", dir: "not a regular file",
		large: "more than 1048576 bytes", filepath.Join(dir, "none"): "no such file", empty: "is empty",
	} {
		for _, name := range []string{"CERTIFICATE", "TRACES_CLIENT_CERTIFICATE", "CLIENT_KEY"} {
			env := map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_" + name: file}
			_, err := Begin(Run{}, func(key string) string { return env[key] })
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s=%s: %v, want %q", name, file, err, want)
			}
		}
	}
}
