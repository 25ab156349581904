// Package trace hands a run over to who collects traces, by OpenTelemetry: OTLP
// over HTTP.
//
// Its words: a trace is one run; a span is something that it did, with when that
// began and ended; the root is the span of the run itself; a collector is the
// server that gets them; a context names a span to a child process, in the
// variable TRACEPARENT, so that the child's own spans are below it.
//
// The variables of the environment that OpenTelemetry has for all programs
// (OTEL_...) say whether there is a trace, and where it goes. Without them nothing
// of this package costs anything. Spans are values that the caller has measured:
// there is no clock here. A collector that can't be reached costs Export's time, and
// nothing else. What is exported the caller has masked.
//
// It imports the SDK of OpenTelemetry, and no other package of this module.
package trace

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// The variables that are read here. The SDK reads these and others.
const (
	disabled  = "OTEL_SDK_DISABLED"
	exporters = "OTEL_TRACES_EXPORTER"
	parent    = "TRACEPARENT"
	state     = "TRACESTATE"
)

// setting is one that has two variables, of which that for traces wins.
func setting(getenv func(string) string, name string) (value, variable string) {
	for _, variable = range []string{"OTEL_EXPORTER_OTLP_TRACES_" + name, "OTEL_EXPORTER_OTLP_" + name} {
		if value = strings.TrimSpace(getenv(variable)); value != "" {
			return value, variable
		}
	}
	return "", variable
}

// IsOn tells whether runs are traced.
func IsOn(getenv func(string) string) bool {
	chosen := strings.TrimSpace(getenv(exporters))
	endpoint, _ := setting(getenv, "ENDPOINT")
	off := chosen == "none" || strings.EqualFold(strings.TrimSpace(getenv(disabled)), "true")
	return !off && (chosen != "" || endpoint != "")
}

// Secrets are the values of the environment that no log must have: what
// collectors are told to let somebody in, by the variables that hold it.
func Secrets(getenv func(string) string) map[string][]string {
	found := map[string][]string{}
	for _, variable := range headers() {
		for pair := range strings.SplitSeq(getenv(variable), ",") {
			_, value, _ := strings.Cut(pair, "=")
			found[variable] = append(found[variable], strings.TrimSpace(value))
			if decoded, err := url.PathUnescape(value); err == nil {
				found[variable] = append(found[variable], strings.TrimSpace(decoded))
			}
		}
	}
	return found
}

// checkHeaders refuses what is no list of NAME=VALUE. The SDK would repeat it, and
// it may be a password.
func checkHeaders(getenv func(string) string) error {
	for _, variable := range headers() {
		if getenv(variable) == "" {
			continue
		}
		for pair := range strings.SplitSeq(getenv(variable), ",") {
			name, value, found := strings.Cut(pair, "=")
			if _, err := url.PathUnescape(value); err != nil || !found || !isHeader(strings.TrimSpace(name)) {
				return fmt.Errorf("%s is no list of NAME=VALUE", variable)
			}
		}
	}
	return nil
}

// isHeader tells whether a text is the name of a header. What is none may hold the
// value, with a password that ends in =: "Authorization: Basic YTpi=".
func isHeader(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// headers are the variables that hold what a collector is told to let somebody in.
func headers() []string {
	return []string{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"}
}

// check refuses what the SDK would pass over, or take for something else.
func check(getenv func(string) string) error {
	chosen := strings.TrimSpace(getenv(exporters))
	if chosen != "" && !slices.Contains(strings.Split(strings.ReplaceAll(chosen, " ", ""), ","), "otlp") {
		return fmt.Errorf("%s is %q: only otlp is known here, and none", exporters, chosen)
	}
	if protocol, variable := setting(getenv, "PROTOCOL"); protocol != "" && protocol != "http/protobuf" {
		return fmt.Errorf("%s is %q: only http/protobuf is known here", variable, protocol)
	}
	endpoint, variable := setting(getenv, "ENDPOINT")
	if u, err := url.Parse(endpoint); endpoint != "" &&
		(err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		return fmt.Errorf("%s is no http:// or https:// URL", variable) // which may hold a password
	}
	if err := checkHeaders(getenv); err != nil {
		return err
	}
	for _, name := range []string{"CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"} {
		file, variable := setting(getenv, name)
		if file == "" {
			continue
		}
		if err := checkFile(file); err != nil {
			return fmt.Errorf("%s: %w", variable, err)
		}
	}
	return nil
}

// maxFile bounds the file of a certificate or key, in bytes.
const maxFile = 1 << 20

// checkFile refuses what the SDK could not read, or would read without end: it takes
// whole files into memory, and waits for who writes to a FIFO.
func checkFile(name string) error {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%q is no regular file", name)
	case info.Size() > maxFile:
		return fmt.Errorf("%q has more than %d bytes", name, maxFile)
	}
	return nil
}

// Trace is the trace of one run. A nil one is of a run that is not traced. Its
// methods are not to be called concurrently.
type Trace struct {
	limit    time.Duration
	provider *sdk.TracerProvider
	client   sdk.SpanExporter
	ended    ended
	ctx      context.Context // of the root
	root     trace.Span
	problems *problems
}

// Run is what is to be traced.
type Run struct {
	ID      string // a UUID, which the trace has as its id, unless a parent has another
	Version string // of the program
	Began   time.Time
}

// Begin begins the trace of a run, below the span that TRACEPARENT names. It is nil
// where nothing asks for one. An error is one of what the environment says.
func Begin(run Run, getenv func(string) string) (*Trace, error) {
	if !IsOn(getenv) {
		return nil, nil
	}
	if err := check(getenv); err != nil {
		return nil, err
	}
	t := &Trace{limit: limit(getenv), problems: listen()}
	if err := t.open(run); err != nil {
		return nil, err
	}
	if err := t.problems.first(); err != nil {
		return nil, err
	}
	carrier := propagation.MapCarrier{"traceparent": getenv(parent), "tracestate": getenv(state)}
	ctx := propagation.TraceContext{}.Extract(context.Background(), carrier)
	ctx = context.WithValue(ctx, wanted{}, identity{traceID(run.ID), newSpanID()})
	t.ctx, t.root = t.provider.Tracer("stretcher").Start(ctx, "stretcher", trace.WithTimestamp(run.Began))
	return t, nil
}

// Export times, in all.
const (
	defaultLimit = 10 * time.Second // that of OpenTelemetry
	maxLimit     = time.Minute
)

// limit is how long an export may take, all attempts together.
func limit(getenv func(string) string) time.Duration {
	text, _ := setting(getenv, "TIMEOUT")
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n <= 0 {
		return defaultLimit
	}
	return min(time.Duration(n)*time.Millisecond, maxLimit)
}

// SpanID names a span, before there is one.
type SpanID = trace.SpanID

// NewID is a name for a span that somebody is to be told of.
func (t *Trace) NewID() SpanID {
	if t == nil {
		return SpanID{}
	}
	return newSpanID()
}

// Context is the variable that tells a child process of a span; "" where nothing
// is traced.
func (t *Trace) Context(id SpanID) string {
	if t == nil {
		return ""
	}
	of := t.root.SpanContext().WithSpanID(id)
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(trace.ContextWithSpanContext(context.Background(), of), carrier)
	return parent + "=" + carrier["traceparent"]
}

// Span is something that a run did.
type Span struct {
	ID           SpanID // zero = nobody has been told of it
	Name         string
	Began, Ended time.Time
	Failed       bool
	Why          string // why it failed
	Attributes   []Attribute
	Below        []Span
}

// Attribute is something that is known of a span. An empty Value says nothing.
type Attribute struct {
	Key   string
	Value any // a string, an int or a bool
}

// Export ends the trace with the run itself, and sends it. It takes no longer than
// the environment allows.
func (t *Trace) Export(ctx context.Context, run Span) error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, t.limit)
	defer cancel()
	t.root.SetName(run.Name)
	t.fill(t.ctx, t.root, run)
	if len(t.ended.spans) == 0 { // a sampler has decided otherwise
		return nil
	}
	err := t.client.ExportSpans(ctx, t.ended.spans)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer in %v", t.limit)
	}
	_ = t.client.Shutdown(ctx)
	return err
}

// fill says all of a span, with the spans below it, and ends it.
func (t *Trace) fill(ctx context.Context, of trace.Span, s Span) {
	for _, b := range s.Below {
		next := b.ID
		if !next.IsValid() {
			next = newSpanID()
		}
		c := context.WithValue(ctx, wanted{}, identity{span: next})
		below, child := t.provider.Tracer("stretcher").Start(c, b.Name, trace.WithTimestamp(b.Began))
		t.fill(below, child, b)
	}
	describe(of, s)
	of.End(trace.WithTimestamp(s.Ended))
}

// wanted is the key of the identity that the next span of a context gets.
type wanted struct{}

type identity struct {
	trace trace.TraceID
	span  trace.SpanID
}

// chosen gives spans the ids that have been chosen for them.
type chosen struct{}

// NewIDs are those of a root that has no parent.
func (chosen) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	id, _ := ctx.Value(wanted{}).(identity)
	return id.trace, id.span
}

// NewSpanID is that of a span with a parent.
func (chosen) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	id, _ := ctx.Value(wanted{}).(identity)
	return id.span
}

// traceID is a run's id as that of a trace: both have 16 bytes.
func traceID(run string) (id trace.TraceID) {
	if raw, err := hex.DecodeString(strings.ReplaceAll(run, "-", "")); err == nil && len(raw) == len(id) {
		copy(id[:], raw)
	}
	if !id.IsValid() {
		_, _ = rand.Read(id[:]) // it never fails
	}
	return id
}

func newSpanID() (id SpanID) {
	_, _ = rand.Read(id[:])
	return id
}
