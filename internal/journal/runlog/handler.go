package runlog

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"

	"stretcher/internal/text/printable"
)

// timeLayout is that of v1.x, whose lines people's scripts already cut up.
const timeLayout = "2006/01/02 15:04:05"

// maskHandler applies the masks to message and attributes, then fans out.
type maskHandler struct {
	next  *fanout
	masks *masks
	attrs []slog.Attr
}

// Enabled leaves debug records out.
func (h *maskHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}

// Handle masks a record and hands it to all writers.
func (h *maskHandler) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, h.masks.apply(r.Message), 0)
	for _, a := range h.attrs {
		clean.AddAttrs(h.mask(a))
	}
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(h.mask(a))
		return true
	})
	h.next.handle(ctx, clean)
	return nil
}

func (h *maskHandler) mask(a slog.Attr) slog.Attr {
	switch v := a.Value.Resolve(); v.Kind() {
	case slog.KindString, slog.KindAny:
		return slog.String(a.Key, h.masks.apply(v.String()))
	default:
		return slog.Attr{Key: a.Key, Value: v}
	}
}

// WithAttrs returns a handler that adds attrs to each record.
func (h *maskHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &maskHandler{next: h.next, masks: h.masks, attrs: append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)}
}

// WithGroup is not used by this program: attributes stay flat.
func (h *maskHandler) WithGroup(string) slog.Handler { return h }

// textHandler writes "time [warning: |error: ]message". Messages say all there
// is to say; attributes say it again for machines and are left to JSON.
type textHandler struct{ w io.Writer }

func newTextHandler(w io.Writer) slog.Handler { return &textHandler{w} }

// Enabled takes every record: maskHandler has chosen.
func (h *textHandler) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs leaves attributes to JSON.
func (h *textHandler) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup leaves groups to JSON.
func (h *textHandler) WithGroup(string) slog.Handler { return h }

// Handle writes one line.
func (h *textHandler) Handle(_ context.Context, r slog.Record) error {
	b := make([]byte, 0, 128)
	b = r.Time.AppendFormat(b, timeLayout)
	b = append(b, ' ')
	switch {
	case r.Level >= slog.LevelError:
		b = append(b, "error: "...)
	case r.Level >= slog.LevelWarn:
		b = append(b, "warning: "...)
	}
	b = printable.AppendLine(b, r.Message)
	_, err := h.w.Write(append(b, '\n'))
	return err
}

// fromChild marks, in a context, a record that is what a child printed.
type fromChild struct{}

// spoolHandler writes to the spool, up to a limit what children print.
type spoolHandler struct {
	slog.Handler
	spool *Spool
	limit atomic.Int64
	full  bool // that there was more has been told
}

// Handle writes one line. fanout lets one record in at a time.
func (h *spoolHandler) Handle(ctx context.Context, r slog.Record) error {
	if ctx.Value(fromChild{}) == nil || h.spool.Size() < h.limit.Load() {
		return h.Handler.Handle(ctx, r)
	}
	if h.full {
		return nil
	}
	h.full = true
	told := slog.NewRecord(r.Time, slog.LevelWarn, fmt.Sprintf("this log has %d bytes: what commands and hooks print "+
		"from here on is not kept", h.spool.Size()), 0)
	return h.Handler.Handle(ctx, told)
}

func newJSONHandler(w io.Writer) slog.Handler {
	seconds := func(_ []string, a slog.Attr) slog.Attr {
		if a.Value.Kind() == slog.KindDuration {
			return slog.Float64(a.Key, a.Value.Duration().Seconds())
		}
		return a
	}
	return slog.NewJSONHandler(printable.JSON(w), &slog.HandlerOptions{ReplaceAttr: seconds})
}
