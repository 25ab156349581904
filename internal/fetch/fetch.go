// Package fetch brings archives and manifests here.
//
// Its words: a mirror is one of the URLs that an archive may come from; an
// Archive is the very file that was hashed, open and without a name, so that
// nobody can put another in its place between the check and the use; a
// document is small and is kept in memory.
//
// It knows nothing of manifests or of the host policy: who calls it says what
// to fetch, how large it may be and which URLs may be asked. Of this module it
// imports what lies below it, internal/text/failure, progress and redact.
package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"stretcher/internal/fetch/checksum"
	"stretcher/internal/fetch/delta"
	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/transfer"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/hashing"
	"stretcher/internal/text/progress"
	"stretcher/internal/text/redact"
)

// Archive is a file that has the right checksum. It has no name, or one that
// nobody but root and the caller can change. It is read by Seek.
type Archive struct {
	*os.File
	Source string // the mirror that it came from, without secrets; for messages
	Size   int64  // in bytes
}

// Fetcher holds what all fetches of a run have in common.
type Fetcher struct {
	Store     *store.Set
	Transfer  transfer.Options // retries, waits and the stall limit
	Bandwidth int64            // of archives, in bytes per second; 0 is unlimited
	Timeout   time.Duration    // of a fetch, all its attempts and mirrors together; 0 is none
	Log       *slog.Logger
	Screen    *progress.Screen

	// Unnamed makes a file without a name in a place that has room for size
	// bytes; -1 is unknown.
	Unnamed func(size int64) (*os.File, error)
	// AllowSource is asked before each request for the archive at first, also
	// before one that a server redirects to. nil allows all.
	AllowSource func(first, next string) error
	// Begun is an answer that a mirror has given already, with all of the archive:
	// it is read before that is asked again. May be nil.
	Begun *delta.Whole
	// Trying, if set, is told which mirror is tried, without secrets.
	Trying func(source string)
	// Fetched, if set, gets the bytes of archives and of their indexes as they
	// come, those of attempts that failed too.
	Fetched *atomic.Int64
}

// Document returns the bytes at url, at most limit, without a gzip encoding that
// the server has put on them. allow is asked before each
// request, also before one that a server redirects to. A URL that can't be one
// is failure.ErrMalformed.
func (f *Fetcher) Document(ctx context.Context, url string, limit int64, allow func(url string) error) ([]byte, error) {
	if err := f.Store.Check(url); err != nil { // input, not a fetch that failed
		return nil, failure.Hinted(store.Hint(err), failure.Malformed("%w", err))
	}
	ctx, cancel := f.Bounded(ctx)
	defer cancel()
	opts := f.Transfer
	opts.MaxBytes = limit
	var buf memory
	if _, err := transfer.Copy(ctx, decoding{f.Store.Asking(allow), limit}, url, &buf, opts); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// Archive fetches an archive of at most limit bytes (0: of any size) from the
// first of the mirrors that has one with the wanted checksum. One with another
// checksum is failure.ErrRefused. That, one that is too large and a URL that must
// not be asked weigh more than a mirror that is out of reach. The caller closes
// the archive.
func (f *Fetcher) Archive(ctx context.Context, src []string, want checksum.Checksum, limit int64) (*Archive, error) {
	ctx, cancel := f.Bounded(ctx)
	defer cancel()
	var failures []error
	for _, mirror := range src {
		if f.Trying != nil {
			f.Trying(redact.URL(mirror))
		}
		archive, err := f.from(ctx, mirror, want, limit)
		if err == nil {
			return archive, nil
		}
		failures = append(failures, err)
		if ctx.Err() != nil {
			break
		}
		if len(failures) < len(src) {
			f.Log.Warn(failure.Sayf("%v; trying the next mirror", err))
		}
	}
	return nil, worst(failures, len(src))
}

// worst is the error of an archive that no mirror had.
func worst(failures []error, mirrors int) error {
	if len(failures) == 0 {
		return errors.New("no mirror to fetch from")
	}
	if len(failures) == 1 {
		return failures[0]
	}
	last := failures[len(failures)-1]
	for _, err := range failures {
		if isRefused(err) {
			last = err
		}
	}
	return fmt.Errorf("none of %d mirrors could be used: %w", mirrors, last)
}

// isRefused tells whether a mirror had what is not accepted, or led to where it
// must not: tampering weighs more than being out of reach.
func isRefused(err error) bool {
	return errors.Is(err, failure.ErrRefused) || errors.Is(err, transfer.ErrTooLarge) || errors.As(err, new(forbidden))
}

// forbidden is what AllowSource says no by.
type forbidden struct{ error }

// Unwrap gives the cause.
func (f forbidden) Unwrap() error { return f.error }

// from fetches from one mirror.
func (f *Fetcher) from(ctx context.Context, src string, want checksum.Checksum, limit int64) (*Archive, error) {
	d := &download{create: f.Unnamed, size: -1, hash: hashing.New(want.New())}
	defer d.close()
	began := time.Now()
	n, err := f.verified(ctx, src, d, want, limit)
	if err == nil {
		err = d.rewind()
	}
	if err != nil {
		d.discard()
		return nil, err
	}
	took := time.Since(began)
	f.Log.Info(fmt.Sprintf("fetched %q: %s in %s, %s is right",
		redact.URL(src), humanize.IBytes(uint64(n)), took.Round(time.Millisecond), want.Algorithm),
		"bytes", n, "duration", took)
	return &Archive{File: d.file, Source: redact.URL(src), Size: n}, nil
}

// verified copies an archive and compares its checksum. One that has come in ranges
// and is not right is copied once more, in one piece: a server may have the archive,
// and send wrong ranges of it.
func (f *Fetcher) verified(
	ctx context.Context, src string, d *download, want checksum.Checksum, limit int64,
) (int64, error) {
	n, err := f.copy(ctx, src, d, limit, f.Transfer)
	if err != nil {
		return n, err
	}
	err = d.verify(src, want)
	if err == nil || !d.ranged.Load() {
		return n, err
	}
	f.Log.Warn(failure.Sayf("fetching it once more, in one piece: what came in ranges is not right: %v", err))
	if err := d.Reset(); err != nil {
		return n, err
	}
	whole := f.Transfer
	whole.Connections = 1
	if n, err = f.copy(ctx, src, d, limit, whole); err == nil {
		err = d.verify(src, want)
	}
	return n, err
}

func (f *Fetcher) copy(
	ctx context.Context, src string, d *download, limit int64, opts transfer.Options,
) (int64, error) {
	opts.Bandwidth, opts.MaxBytes, opts.OnSize = f.Bandwidth, limit, d.setSize
	if f.Screen != nil {
		bar := f.Screen.Bar("fetch")
		defer bar.Close()
		opts.Progress = bar.Set
	}
	return transfer.Copy(ctx, noting{f.begun(src, f.opener(src)), d}, src, d, opts)
}

// opener opens what is fetched on behalf of a mirror.
func (f *Fetcher) opener(src string) transfer.Opener {
	return measuring{f.Store.Asking(func(next string) error {
		if f.AllowSource == nil {
			return nil
		}
		if err := f.AllowSource(src, next); err != nil {
			return forbidden{err}
		}
		return nil
	}), f.Fetched}
}

// lines is how many parts of an archive are asked for at a time, for each
// connection that there may be: they are small.
const lines = 8

// Parts is what fetches parts of archives as f fetches archives. Where only one
// connection may be, it makes one request at a time.
func (f *Fetcher) Parts(connections int) *delta.Server {
	lines := lines * max(connections, 1)
	if connections == 1 {
		lines = 1
	}
	return &delta.Server{Opener: f.opener, Transfer: f.Transfer, Bandwidth: f.Bandwidth, Lines: lines, Log: f.Log,
		Files: openFiles()}
}

// SayWhole says why a whole archive is fetched, though there is an index.
func (f *Fetcher) SayWhole(why error) {
	if errors.Is(why, delta.ErrDear) {
		f.Log.Info(failure.Text(why))
		return
	}
	f.Log.Warn(failure.Sayf("fetching the whole archive: %v", why))
}

// openFiles is how many files this process may have open; 0 = that is not known.
func openFiles() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return int(min(limit.Cur, math.MaxInt32))
}

// begun takes the answer that is there already.
func (f *Fetcher) begun(src string, o transfer.Opener) transfer.Opener {
	if f.Begun == nil || f.Begun.Mirror != src {
		return o
	}
	return &begun{Opener: o, answer: f.Begun}
}

// begun gives an answer once.
type begun struct {
	transfer.Opener
	answer *delta.Whole
}

// Open gives the answer, or asks for another.
func (b *begun) Open(ctx context.Context, url string, from store.Position) (*store.Object, error) {
	if obj := b.answer.Take(); obj != nil && from.IsWhole() {
		return obj, nil
	}
	return b.Opener.Open(ctx, url, from)
}

// Bounded ends a fetch after the Timeout.
func (f *Fetcher) Bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if f.Timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, f.Timeout, fmt.Errorf("not done after --timeout %s", f.Timeout))
}

// memory is a transfer destination for documents.
type memory struct{ bytes.Buffer }

// Reset forgets what has been written.
func (m *memory) Reset() error {
	m.Buffer.Reset()
	return nil
}

// download is the file that an archive arrives in, hashed as it is written. It
// is made when its size is known or its first byte is there, in a place with
// room for it.
type download struct {
	create func(size int64) (*os.File, error)
	size   int64 // -1 = unknown
	hash   *hashing.Hash
	behind *following // instead of hash, where it comes on several connections
	file   *os.File

	encoding string      // that the server says; "" = none
	ranged   atomic.Bool // some of it came in a range
}

// setSize makes the file where it has room.
func (d *download) setSize(size int64) error {
	d.size = size
	return d.open()
}

func (d *download) open() (err error) {
	if d.file == nil {
		d.file, err = d.create(d.size)
	}
	return err
}

// Write appends to the file and the hash.
func (d *download) Write(p []byte) (int, error) {
	if err := d.open(); err != nil {
		return 0, err
	}
	n, err := d.file.Write(p)
	d.hash.Write(p[:n])
	return n, err
}

// WriteAt writes to the file. It has been made by then: the size is known.
func (d *download) WriteAt(p []byte, offset int64) (int, error) { return d.file.WriteAt(p, offset) }

// Settled has what is before an offset hashed.
func (d *download) Settled(offset int64) {
	if d.behind == nil {
		d.behind = newFollowing(d.hash.Settled(), d.file)
	}
	d.behind.reach(offset)
}

// close ends the hashing.
func (d *download) close() {
	d.hash.Close()
	if d.behind != nil {
		d.behind.close()
	}
}

// Reset forgets what has been written.
func (d *download) Reset() error {
	if d.behind != nil {
		d.behind.close()
		d.behind = nil
	}
	d.hash.Settled().Reset()
	if d.file == nil {
		return nil
	}
	if _, err := d.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return d.file.Truncate(0)
}

// verify compares what has been hashed with the wanted checksum.
func (d *download) verify(src string, want checksum.Checksum) error {
	if d.behind != nil {
		if err := d.behind.settled(); err != nil {
			return err
		}
	}
	if sum := d.hash.Settled().Sum(nil); !bytes.Equal(sum, want.Digest) {
		got := checksum.Checksum{Algorithm: want.Algorithm, Digest: sum}
		note := ""
		if d.encoding != "" {
			note = fmt.Sprintf("; it was sent with Content-Encoding %q, which nobody asked for", d.encoding)
		}
		return failure.Refused("%q has checksum %s, the manifest says %s%s", redact.URL(src), got, want, note)
	}
	return nil
}

// rewind goes to the file's beginning; an archive without a byte has no file
// before.
func (d *download) rewind() error {
	if err := d.open(); err != nil {
		return err
	}
	_, err := d.file.Seek(0, io.SeekStart)
	return err
}

func (d *download) discard() {
	if d.file != nil {
		_ = d.file.Close()
	}
}

// Verify reads a file from its beginning and returns an error unless it has
// the wanted checksum. It ends when ctx does, with its cause, and leaves the
// file at its beginning.
func Verify(ctx context.Context, file *os.File, want checksum.Checksum) error {
	return verify(ctx, file, want, func(int64) {})
}

func verify(ctx context.Context, file *os.File, want checksum.Checksum, progress func(done int64)) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	h := want.New()
	if _, err := io.Copy(h, &contextReader{ctx, file, 0, progress}); err != nil {
		return err
	}
	if sum := h.Sum(nil); !bytes.Equal(sum, want.Digest) {
		return fmt.Errorf("its checksum is %s", checksum.Checksum{Algorithm: want.Algorithm, Digest: sum})
	}
	_, err := file.Seek(0, io.SeekStart)
	return err
}

// contextReader is a reader that ends with ctx, and tells how much it has read.
type contextReader struct {
	ctx      context.Context
	r        io.Reader
	done     int64
	progress func(done int64)
}

// Read reads unless the context has ended.
func (c *contextReader) Read(p []byte) (int, error) {
	if err := context.Cause(c.ctx); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	c.done += int64(n)
	c.progress(c.done)
	return n, err
}
