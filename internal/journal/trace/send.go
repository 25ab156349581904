package trace

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// sender sends spans to a collector.
type sender struct {
	settings
	http  *http.Client
	agent string // who sends
}

var _ otlptrace.Client = (*sender)(nil)

// newSender makes a sender. It goes where the environment says, and nowhere else: who
// sent it elsewhere would have the headers that let somebody in.
func newSender(s settings, version string) *sender {
	return &sender{settings: s, agent: "stretcher/" + version + " OTel OTLP Exporter Go/" + otlptrace.Version(),
		http: &http.Client{
			Transport: &http.Transport{
				Proxy: http.ProxyFromEnvironment, TLSClientConfig: s.tls, ForceAttemptHTTP2: true,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}}
}

// Start does nothing: there is a connection when there is something to send.
func (s *sender) Start(context.Context) error { return nil }

// Stop gives connections back.
func (s *sender) Stop(context.Context) error {
	s.http.CloseIdleConnections()
	return nil
}

// firstWait and maxWait are how long a collector is left alone that has no time just
// now. What it says itself is heeded.
const (
	firstWait = time.Second
	maxWait   = 5 * time.Second
)

// UploadTraces sends spans, again and again while the collector has no time for them
// and ctx leaves some.
func (s *sender) UploadTraces(ctx context.Context, spans []*otlp.ResourceSpans) error {
	body, err := s.pack(spans)
	if err != nil {
		return err
	}
	for wait := firstWait; ; wait = min(2*wait, maxWait) {
		after, err := s.send(ctx, body)
		if err == nil || after < 0 {
			return err
		}
		pause := max(after, wait/2+rand.N(wait))
		if end, ok := ctx.Deadline(); ok && time.Until(end) <= pause {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// pack makes the body of a request.
func (s *sender) pack(spans []*otlp.ResourceSpans) ([]byte, error) {
	// On the wire it is a request of the collector, whose package is all of gRPC.
	body, err := proto.Marshal(&otlp.TracesData{ResourceSpans: spans})
	if err != nil || !s.zipped {
		return body, err
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(body) // into memory
	_ = z.Close()
	return packed.Bytes(), nil
}

// send sends a body once. After an error, after tells when it may be tried again; below
// 0 = never.
func (s *sender) send(ctx context.Context, body []byte) (after time.Duration, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.to.String(), bytes.NewReader(body))
	if err != nil {
		return -1, errors.New("the URL of the collector can't be asked for")
	}
	r.Header = s.headers.Clone()
	r.Host = r.Header.Get("Host")
	if r.Header.Get("User-Agent") == "" {
		r.Header.Set("User-Agent", s.agent)
	}
	r.Header.Set("Content-Type", protobuf)
	r.Header.Del("Content-Encoding")
	if s.zipped {
		r.Header.Set("Content-Encoding", "gzip")
	}
	answer, err := s.http.Do(r)
	if err != nil {
		if of := (*url.Error)(nil); errors.As(err, &of) { // it has the whole URL
			err = of.Err
		}
		return -1, fmt.Errorf("%s: %w", s.place(), err)
	}
	defer answer.Body.Close()
	return s.judge(answer)
}

// place is where spans go, as far as it can be told: a query may hold a password.
func (s *sender) place() string {
	return (&url.URL{Scheme: s.to.Scheme, Host: s.to.Host, Path: s.to.Path}).String()
}

const protobuf = "application/x-protobuf"

// maxAnswer is how much of an answer is read, maxTold how much of it is told, in bytes.
const (
	maxAnswer = 64 << 10
	maxTold   = 300
)

// judge tells what a collector has answered.
func (s *sender) judge(answer *http.Response) (after time.Duration, err error) {
	raw, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	rejected, text := told(answer, raw)
	switch code := answer.StatusCode; {
	case code/100 == 2 && rejected == 0:
		return 0, nil
	case code/100 == 2:
		return -1, fmt.Errorf("%s: %d spans were rejected%s", s.place(), rejected, text)
	case code == http.StatusTooManyRequests, code == http.StatusBadGateway, code == http.StatusServiceUnavailable,
		code == http.StatusGatewayTimeout:
		return retryAfter(answer.Header.Get("Retry-After")), fmt.Errorf("%s: %s%s", s.place(), answer.Status, text)
	case code/100 == 3:
		return -1, fmt.Errorf("%s: %s: another place, where headers are not sent to", s.place(), answer.Status)
	case err != nil:
		return -1, fmt.Errorf("%s: %s: %w", s.place(), answer.Status, err)
	}
	return -1, fmt.Errorf("%s: %s%s", s.place(), answer.Status, text)
}

// told is what a collector says of spans that it has taken (rejected is how many of them
// it has not), or of its error.
func told(answer *http.Response, raw []byte) (rejected int64, text string) {
	switch kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")); {
	case kind == protobuf && answer.StatusCode/100 == 2:
		of, _, _ := fields(raw)
		_, rejected, text = fields(of)
	case kind == protobuf:
		_, _, text = fields(raw)
	case kind == "text/plain", kind == "application/json":
		text = string(raw)
	}
	if text = strings.TrimSpace(cut(text, maxTold)); text != "" {
		text = fmt.Sprintf(": %q", text)
	}
	return rejected, text
}

// fields are the fields 1 and 2 of a message: those of an answer, of what it says of
// spans, and of an error. Their types are in packages that have all of gRPC.
func fields(raw []byte) (first []byte, number int64, second string) {
	for len(raw) > 0 {
		field, kind, size := protowire.ConsumeTag(raw)
		if size < 0 {
			break
		}
		raw = raw[size:]
		switch {
		case field == 1 && kind == protowire.VarintType:
			v, _ := protowire.ConsumeVarint(raw)
			number = int64(v)
		case field == 1 && kind == protowire.BytesType:
			first, _ = protowire.ConsumeBytes(raw)
		case field == 2 && kind == protowire.BytesType:
			v, _ := protowire.ConsumeBytes(raw)
			second = string(v)
		}
		if size = protowire.ConsumeFieldValue(field, kind, raw); size < 0 {
			break
		}
		raw = raw[size:]
	}
	return first, number, second
}

// retryAfter is when a collector wants to be asked again: in seconds, or at a time.
func retryAfter(text string) time.Duration {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Duration(min(max(n, 0), int64(maxLimit/time.Second))) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(time.Until(at), 0), maxLimit)
}
