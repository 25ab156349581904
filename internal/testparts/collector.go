package testparts

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Collector is a running OpenTelemetry collector that takes traces by OTLP over
// HTTP.
type Collector struct {
	URL  string // for OTEL_EXPORTER_OTLP_ENDPOINT
	file string // what has come
}

// Span is one that a collector has got.
type Span struct {
	TraceID, SpanID, ParentSpanID string
	Name                          string
	Start                         string `json:"startTimeUnixNano"`
	End                           string `json:"endTimeUnixNano"`
	Status                        struct {
		Code    int
		Message string
	}
	Attributes []struct {
		Key   string
		Value struct {
			StringValue, IntValue string
			BoolValue             bool
		}
	}
}

// Attribute is the text or number of an attribute; "" where there is none.
func (s Span) Attribute(key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.StringValue + a.Value.IntValue
		}
	}
	return ""
}

// StartCollector starts a collector that stops with the test.
func StartCollector(t testing.TB) Collector {
	t.Helper()
	bin, dir, addr := Need(t, "otelcol"), t.TempDir(), hostPort(FreePort(t))
	c := Collector{URL: "http://" + addr, file: filepath.Join(dir, "spans")}
	config := fmt.Sprintf(`
receivers: {otlp: {protocols: {http: {endpoint: %q}}}}
exporters: {file: {path: %q}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [otlp], exporters: [file]}}
`, addr, c.file)
	name := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(name, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, nil, bin, "--config", name)
	p.ready(t, func() bool { return answers(addr) })
	return c
}

// Raw is all that has come, as JSON.
func (c Collector) Raw(t testing.TB) string {
	t.Helper()
	raw, err := os.ReadFile(c.file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(raw)
}

// Spans are those that have come of a trace, in that order.
func (c Collector) Spans(t testing.TB, trace string) (all []Span) {
	t.Helper()
	for line := range strings.Lines(c.Raw(t)) {
		var got struct {
			ResourceSpans []struct{ ScopeSpans []struct{ Spans []Span } }
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			continue // it is being written
		}
		for _, of := range got.ResourceSpans {
			for _, scope := range of.ScopeSpans {
				all = append(all, scope.Spans...)
			}
		}
	}
	return slices.DeleteFunc(all, func(s Span) bool { return s.TraceID != trace })
}
