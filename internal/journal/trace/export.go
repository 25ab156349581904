package trace

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr/funcr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// open makes what spans are made with, and who sends them.
func (t *Trace) open(run Run) (err error) {
	ctx := context.Background()
	t.client, err = otlptracehttp.New(ctx, otlptracehttp.WithRetry(otlptracehttp.RetryConfig{
		Enabled: true, InitialInterval: time.Second, MaxInterval: 5 * time.Second, MaxElapsedTime: t.limit,
	}))
	if err != nil {
		return err
	}
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(), resource.WithAttributes(
		attribute.String("service.name", "stretcher"), attribute.String("service.version", run.Version),
	), resource.WithFromEnv())
	if err != nil {
		return fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	t.provider = sdk.NewTracerProvider(
		sdk.WithResource(about), sdk.WithIDGenerator(chosen{}), sdk.WithSpanProcessor(&t.ended))
	return nil
}

// ended are the spans that have ended, in that order.
type ended struct{ spans []sdk.ReadOnlySpan }

// OnStart does nothing.
func (e *ended) OnStart(context.Context, sdk.ReadWriteSpan) {}

// OnEnd keeps a span.
func (e *ended) OnEnd(s sdk.ReadOnlySpan) { e.spans = append(e.spans, s) }

// Shutdown does nothing.
func (e *ended) Shutdown(context.Context) error { return nil }

// ForceFlush does nothing: Export sends all.
func (e *ended) ForceFlush(context.Context) error { return nil }

// maxText bounds a text of a span, in bytes.
const maxText = 4 << 10

// describe says what is known of a span.
func describe(of trace.Span, s Span) {
	for _, a := range s.Attributes {
		switch v := a.Value.(type) {
		case string:
			if v != "" {
				of.SetAttributes(attribute.String(a.Key, cut(v)))
			}
		case int:
			of.SetAttributes(attribute.Int(a.Key, v))
		case bool:
			of.SetAttributes(attribute.Bool(a.Key, v))
		}
	}
	if s.Failed {
		of.SetStatus(codes.Error, cut(s.Why))
	}
}

func cut(text string) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	return strings.ToValidUTF8(text, "\ufffd")
}

// problems are what the SDK has to say, which it would print.
type problems struct {
	mu  sync.Mutex
	all []string
}

// listen has the SDK tell us. It has one place for that in the whole process, and
// this is the only trace there.
func listen() *problems {
	p := &problems{}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { p.add(err.Error()) }))
	otel.SetLogger(funcr.New(func(_, text string) { p.add(text) }, funcr.Options{}))
	return p
}

func (p *problems) add(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, text)
}

// first is the first of them.
func (p *problems) first() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.all) == 0 {
		return nil
	}
	return errors.New(p.all[0])
}
