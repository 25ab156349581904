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
// It imports the SDK of OpenTelemetry, and disk, by which files are opened. The SDK's
// exporter sends the spans (send.go). What it would read of the environment itself is
// judged here (settings.go), and it gets there by a way of ours, which follows no
// redirect, bounds what is answered, and keeps the query of the URL to itself.
package trace

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Trace is the trace of one run. A nil one is of a run that is not traced. Its
// methods are not to be called concurrently.
type Trace struct {
	Odd      []string // what the environment says that is passed over
	settings settings
	version  string // of the program
	provider *sdk.TracerProvider
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
	s, err := variables(getenv).settings()
	if err != nil {
		return nil, err
	}
	t := &Trace{Odd: s.odd, settings: s, version: run.Version, problems: listen()}
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
	limit := t.settings.limit
	if end, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(end))
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	t.root.SetName(cut(run.Name, maxText))
	t.fill(t.ctx, t.root, run)
	if len(t.ended.spans) == 0 { // a sampler has decided otherwise
		return nil
	}
	err := t.settings.send(ctx, t.ended.spans, t.version)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer in %v", limit.Round(10*time.Millisecond))
	}
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
		below, child := t.provider.Tracer("stretcher").Start(c, cut(b.Name, maxText), trace.WithTimestamp(b.Began))
		t.fill(below, child, b)
	}
	describe(of, s)
	if s.Ended.Before(s.Began) { // somebody has set the clock
		s.Ended = s.Began
	}
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
