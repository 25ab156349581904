package trace

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
)

// send hands spans over to the collector, within the time that ctx leaves. What comes
// of it is told in no more words than people read, and without the query of the URL.
func (s settings) send(ctx context.Context, spans []sdk.ReadOnlySpan, version string) error {
	way := newRoute(s)
	defer way.CloseIdleConnections()
	exporter, err := way.exporter(ctx, s, version)
	if err != nil {
		return err
	}
	err = exporter.ExportSpans(ctx, spans)
	_ = exporter.Shutdown(ctx)
	switch of := (*url.Error)(nil); {
	case way.said != nil:
		err = way.said
	case err == nil, errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &of):
		err = of.Err
	default:
		err = cmp.Or(errors.Unwrap(err), err) // without "traces export"
	}
	return fmt.Errorf("%s: %s", s.place(), cut(err.Error(), maxError))
}

// place is where spans go, as far as it can be told: a query may hold a password.
func (s settings) place() string {
	return (&url.URL{Scheme: s.to.Scheme, Host: s.to.Host, Path: s.to.Path}).String()
}

// firstWait and maxWait are how long a collector is left alone that has no time just
// now. What it says itself is heeded.
const (
	firstWait = time.Second
	maxWait   = 5 * time.Second
)

// exporter is that of the SDK. All that the environment says has been judged, and it
// gets that by options.
func (r *route) exporter(ctx context.Context, s settings, version string) (*otlptrace.Exporter, error) {
	headers := map[string]string{
		"User-Agent": "stretcher/" + version + " OTel OTLP Exporter Go/" + otlptrace.Version(),
	}
	for name := range s.headers {
		headers[name] = s.headers.Get(name)
	}
	delete(headers, "Content-Encoding")
	retry := otlptracehttp.RetryConfig{Enabled: true, InitialInterval: firstWait, MaxInterval: maxWait}
	if end, ok := ctx.Deadline(); ok {
		retry.MaxElapsedTime = max(time.Until(end), 1) // 0 = without end
	}
	zipped := otlptracehttp.NoCompression
	if s.zipped {
		zipped = otlptracehttp.GzipCompression
	}
	defer hide("OTEL_EXPORTER_OTLP_")()
	return otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(s.place()), otlptracehttp.WithHeaders(headers),
		otlptracehttp.WithCompression(zipped), otlptracehttp.WithRetry(retry), otlptracehttp.WithHTTPClient(&http.Client{
			Transport:     r,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}))
}

// hide takes variables out of the environment until they are to be shown again. The
// exporter reads them whatever options it has: it would open the files of certificates
// once more, which may be others by now, and complain of what does not count. All that
// a run starts has ended when its trace is sent.
func hide(prefix string) (show func()) {
	hidden := map[string]string{}
	for _, variable := range os.Environ() {
		if name, value, _ := strings.Cut(variable, "="); strings.HasPrefix(name, prefix) {
			hidden[name] = value
			_ = os.Unsetenv(name)
		}
	}
	return func() {
		for name, value := range hidden {
			_ = os.Setenv(name, value)
		}
	}
}

// route is the way of the exporter to the collector. It leads where the environment
// says, and nowhere else: who sent spans elsewhere would have the headers that let
// somebody in. The exporter does not know the query of the URL, nor what was answered:
// it would repeat up to 4 MiB of that.
type route struct {
	*http.Transport
	to   *url.URL
	said error // what is wrong by the last answer
}

var _ http.RoundTripper = (*route)(nil)

// maxAnswer is how much of an answer is read, maxTold how much of it is told, and
// maxError how much of an error, in bytes.
const (
	maxAnswer = 64 << 10
	maxTold   = 300
	maxError  = 1 << 10
)

func newRoute(s settings) *route {
	return &route{to: s.to, Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: s.tls, ForceAttemptHTTP2: true,
		MaxResponseHeaderBytes: maxAnswer,
	}}
}

// RoundTrip asks the collector, and keeps what it says.
func (r *route) RoundTrip(asked *http.Request) (*http.Response, error) {
	r.said = nil
	asked = asked.Clone(asked.Context())
	asked.URL, asked.Host = r.to, asked.Header.Get("Host")
	answer, err := r.Transport.RoundTrip(asked)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusSwitchingProtocols { // what follows is no answer, and no deadline ends it
		return nil, errors.New(answer.Status)
	}
	raw, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil && answer.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s: %w", answer.Status, err)
	}
	r.said = judge(answer, raw)
	answer.Body = http.NoBody
	if after := answer.Header.Get("Retry-After"); isLong(after) {
		answer.Header.Set("Retry-After", strconv.Itoa(int(long/time.Second)))
	}
	return answer, nil
}

// long is a time that no run has.
const long = 2 * maxLimit

// isLong tells whether a collector wants to be left alone for that long. The exporter
// adds to such times, and waits where the sum is more than a number can hold.
func isLong(after string) bool {
	n, err := strconv.ParseInt(after, 10, 64)
	at, wrong := http.ParseTime(after)
	return err == nil && n > int64(long/time.Second) || wrong == nil && time.Until(at) > long
}

const protobuf = "application/x-protobuf"

// judge tells what is wrong by an answer.
func judge(answer *http.Response, raw []byte) error {
	rejected, text := told(answer, raw)
	switch answer.StatusCode / 100 {
	case 2:
		if rejected == 0 {
			return nil
		}
		return fmt.Errorf("%d spans were rejected%s", rejected, text)
	case 3:
		return fmt.Errorf("%s: another place, where headers are not sent to", answer.Status)
	}
	return fmt.Errorf("%s%s", answer.Status, text)
}

// told is what a collector says of spans that it has taken (rejected is how many of them
// it has not), or of its error. Of a message that is damaged it is what comes before that.
func told(answer *http.Response, raw []byte) (rejected int64, text string) {
	switch kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")); {
	case kind == protobuf && answer.StatusCode/100 == 2:
		var taken collector.ExportTraceServiceResponse
		_ = proto.Unmarshal(raw, &taken)
		rejected, text = taken.GetPartialSuccess().GetRejectedSpans(), taken.GetPartialSuccess().GetErrorMessage()
	case kind == protobuf:
		var failed status.Status
		_ = proto.Unmarshal(raw, &failed)
		text = failed.GetMessage()
	case kind == "text/plain", kind == "application/json":
		text = string(raw)
	}
	if text = strings.TrimSpace(cut(text, maxTold)); text != "" {
		text = fmt.Sprintf(": %q", text)
	}
	return rejected, text
}
