package runlog

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"stretcher/internal/text/printable"
)

// timeLayout is RFC 3339 with the time zone as a number, in UTC too: all lines
// have their text in the same column, and one word before it.
const timeLayout = "2006-01-02T15:04:05-07:00"

// stepKey is the attribute that names the step which a line belongs to.
const stepKey = "step"

// maskHandler applies the masks to message and attributes, then fans out.
type maskHandler struct {
	next  *fanout
	masks *masks
	step  *atomic.Value // a string: the step that the run is in
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
	step, _ := h.step.Load().(string)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(h.mask(a))
		if a.Key == stepKey {
			step = ""
		}
		return true
	})
	if step != "" {
		clean.AddAttrs(slog.String(stepKey, step))
	}
	if lost := h.next.handle(ctx, clean); lost != nil {
		return h.Handle(context.Background(), slog.NewRecord(time.Now(), slog.LevelWarn, "--log-file: "+lost.Error(), 0))
	}
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
	with := *h
	with.attrs = append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)
	return &with
}

// WithGroup is not used by this program: attributes stay flat.
func (h *maskHandler) WithGroup(string) slog.Handler { return h }

// textHandler writes "[time ][warning: |error: ]message". Messages say all
// there is to say; attributes say it again for machines and are left to JSON.
type textHandler struct {
	w     io.Writer
	begin func(b []byte, r slog.Record) []byte // appends what stands before the message
}

// newTextHandler writes lines for people, and for files.
func newTextHandler(w io.Writer) slog.Handler {
	return &textHandler{w, func(b []byte, r slog.Record) []byte {
		return append(r.Time.AppendFormat(b, timeLayout), ' ')
	}}
}

// newJournalHandler writes lines for the system's journal, which has a time of
// its own. See sd-daemon(3).
func newJournalHandler(w io.Writer) slog.Handler {
	return &textHandler{w, func(b []byte, r slog.Record) []byte { return append(b, Priority(r.Level)...) }}
}

// Priority is what a line begins with that tells the system's journal how much
// it matters. A child can't say it of what it prints: the first one counts.
func Priority(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return "<3>"
	case level >= slog.LevelWarn:
		return "<4>"
	}
	return "<6>"
}

// Enabled takes every record: maskHandler has chosen.
func (h *textHandler) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs leaves attributes to JSON.
func (h *textHandler) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup leaves groups to JSON.
func (h *textHandler) WithGroup(string) slog.Handler { return h }

// Handle writes one line, unless it is for programs alone.
func (h *textHandler) Handle(ctx context.Context, r slog.Record) error {
	if ctx.Value(forPrograms{}) != nil {
		return nil
	}
	b := h.begin(make([]byte, 0, 128), r)
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

// forPrograms marks, in a context, a record that people have been told by
// others.
type forPrograms struct{}

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
