// Package runlog is the log of one run: what operators read on stderr, what
// success and failure commands get on stdin, and what is kept.
//
// Its words: a line is one log record; the spool is the run's log so far, as
// text; a mask is a value that must never be read in a log, with the name
// that is written in its place; output is what a child process printed, one
// line each; the journal is systemd's.
//
// Messages are masked and control characters escaped before they go
// anywhere, so that one record is one line and a terminal or chat room shows
// what was written and nothing else. It imports no other package of this
// module.
package runlog

import (
	"context"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
)

// Formats of the log that operators read. The spool is always text.
const (
	FormatText    = "text"
	FormatJSON    = "json"
	FormatJournal = "journal" // text with priorities instead of times
)

// Options says where the log goes.
type Options struct {
	Writers []io.Writer // each gets every line, in Format
	Format  string      // of the above; FormatText is the default
	File    io.Writer   // gets every line too: as JSON, or as text with times; nil = there is none
	Spool   *Spool      // nil = a new one in memory and an unnamed file

	// Clean, when set, takes out of each message what needs no mask to be
	// known as a secret, such as passwords in URLs.
	Clean func(string) string
}

// Log is the log of one run. Its methods may be called concurrently.
type Log struct {
	*slog.Logger
	masks *masks
	spool *Spool
	kept  *spoolHandler
	step  atomic.Value // a string
}

// DefaultLimit is how large a log that is kept may become by what children
// print, in bytes.
const DefaultLimit = 64 << 20

// New returns a log. A writer that fails loses lines, never the run; of the file
// one is told.
func New(opts Options) *Log {
	l := &Log{masks: &masks{clean: opts.Clean}, spool: opts.Spool}
	if l.spool == nil {
		l.spool = NewSpool(nil)
	}
	l.kept = &spoolHandler{Handler: newTextHandler(l.spool), spool: l.spool}
	l.Limit(DefaultLimit)
	out := &fanout{}
	out.add(l.kept)
	for _, w := range opts.Writers {
		out.add(newHandler(w, opts.Format))
	}
	if opts.File != nil && opts.Format == FormatJSON {
		out.file = newJSONHandler(opts.File)
	} else if opts.File != nil {
		out.file = newTextHandler(opts.File)
	}
	l.Logger = slog.New(&maskHandler{next: out, masks: l.masks, step: &l.step})
	return l
}

func newHandler(w io.Writer, format string) slog.Handler {
	switch format {
	case FormatJSON:
		return newJSONHandler(w)
	case FormatJournal:
		return newJournalHandler(w)
	}
	return newTextHandler(w)
}

// Enter says which step the lines from here on belong to, as JSON names it; ""
// is none. A line that names its own stays there.
func (l *Log) Enter(step string) { l.step.Store(step) }

// End writes a line to those who read JSON alone: how the run went, which people
// have been told.
func (l *Log) End(attributes ...any) {
	l.InfoContext(context.WithValue(context.Background(), forPrograms{}, true), "run ended", attributes...)
}

// Mask makes every later line read [name] in place of value. Values shorter
// than MinMask bytes are too common to be replaced and are ignored; the lines
// of a longer value are masked one by one too, since output comes by line.
func (l *Log) Mask(name, value string) { l.masks.add(name, value) }

// Masked returns s with the masks applied, for texts that leave by another
// way than the log.
func (l *Log) Masked(s string) string { return l.masks.apply(s) }

// SoFar returns the log as it is now; later lines are not in it.
func (l *Log) SoFar() io.Reader { return l.spool.SoFar() }

// Offset is the size of the log so far, in bytes.
func (l *Log) Offset() int64 { return l.spool.Size() }

// ReadAt reads from the log so far, as io.ReaderAt does.
func (l *Log) ReadAt(p []byte, offset int64) (int, error) { return l.spool.ReadAt(p, offset) }

// Limit says from which size on, in bytes, the log does not keep what children
// print. It keeps its own messages, and tells once that there was more. Writers
// get all of it.
func (l *Log) Limit(bytes int64) { l.kept.limit.Store(bytes) }

// Keep moves the log so far to file, which the log takes over, and goes on
// there.
func (l *Log) Keep(file *os.File) { l.spool.Attach(file) }

// Close releases the spool. The log may still be written to; SoFar may not
// be called any more.
func (l *Log) Close() error { return l.spool.Close() }

// Output returns a writer that logs what a child prints, line by line, each
// with prefix before it. Close logs a last line that has no end.
func (l *Log) Output(prefix string) *LineWriter {
	ctx := context.WithValue(context.Background(), fromChild{}, true)
	line := func(s string) { l.InfoContext(ctx, prefix+s) }
	return &LineWriter{Line: line, Mask: l.masks.apply}
}

// fanout hands each record to all handlers, one record at a time.
type fanout struct {
	mu   sync.Mutex
	next []slog.Handler
	file slog.Handler // that of the file that operators asked for; nil = none
	lost bool         // that it does not take all has been told
}

func (f *fanout) add(h slog.Handler) { f.next = append(f.next, h) }

// handle returns the first error of the file, to be told once: it was asked for.
func (f *fanout) handle(ctx context.Context, r slog.Record) (first error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, h := range f.next {
		_ = h.Handle(ctx, r) // a log that can't be written must not stop a deploy
	}
	if f.file == nil {
		return nil
	}
	if err := f.file.Handle(ctx, r); err != nil && !f.lost {
		f.lost, first = true, err
	}
	return first
}
