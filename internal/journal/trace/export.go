package trace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-logr/logr/funcr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// open makes what spans are made with.
func (t *Trace) open(run Run) error {
	ctx := context.Background()
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(), resource.WithAttributes(
		attribute.String("service.name", "stretcher"), attribute.String("service.version", run.Version),
	), resource.WithFromEnv())
	if err != nil {
		return fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	for _, a := range about.Attributes() { // the collector would get none
		if utf8.ValidString(string(a.Key)) && utf8.ValidString(a.Value.String()) {
			continue
		}
		variable := "OTEL_RESOURCE_ATTRIBUTES"
		if name := os.Getenv("OTEL_SERVICE_NAME"); !utf8.ValidString(name) && a.Key == "service.name" {
			variable = "OTEL_SERVICE_NAME"
		}
		return fmt.Errorf("%s is no UTF-8", variable)
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
				of.SetAttributes(attribute.String(a.Key, cut(v, maxText)))
			}
		case int:
			of.SetAttributes(attribute.Int(a.Key, v))
		case bool:
			of.SetAttributes(attribute.Bool(a.Key, v))
		}
	}
	if s.Failed {
		of.SetStatus(codes.Error, cut(s.Why, maxText))
	}
}

// cut is the beginning of a text, as UTF-8.
func cut(text string, most int) string {
	text = strings.ToValidUTF8(text[:min(len(text), most)], "\ufffd")
	if len(text) > most { // what is no UTF-8 has become longer
		text = strings.ToValidUTF8(text[:most], "")
	}
	return text
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
