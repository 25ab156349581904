package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"stretcher/internal/fetch/store"
	"stretcher/internal/text/redact"
)

// Limits that no option changes.
const (
	// patience is the least number of attempts to go on after the first byte,
	// whatever Options.Retries says: a deploy should survive a broken
	// connection.
	patience = 3
	// advance is how many bytes beyond the furthest so far an attempt must
	// bring to count as a success. A server that dribbles less is given up
	// after max(Retries, patience) attempts; so the number of all attempts is
	// at most size/advance times that, and some.
	advance = 64 << 10
	// maxWait is the longest pause between attempts, jitter aside.
	maxWait = time.Minute
	// maxAfter is the longest pause that a server may ask for.
	maxAfter = 5 * time.Minute
	// chunk is the most that is read and written at a time, and largeChunk where an
	// object has largeChunks of that and more.
	chunk       = 32 << 10
	largeChunk  = 128 << 10
	largeChunks = 16
)

// Errors that callers may test for with errors.Is.
var (
	// ErrTooLarge: the object is larger than Options.MaxBytes. Permanent.
	ErrTooLarge = errors.New("too large")
	// ErrStalled: no byte came for Options.Stall.
	ErrStalled = errors.New("no data")
)

// Options say how to copy. The zero value makes one attempt at opening,
// without limits.
type Options struct {
	// Retries is how many failed attempts in a row are followed by another
	// one. Once a byte has come it counts as 3 at least.
	Retries int
	// Wait is the pause after the first failure in a row, 50 % jitter aside;
	// it doubles with each further one up to a minute.
	Wait time.Duration
	// Bandwidth in bytes per second; 0 is unlimited.
	Bandwidth int64
	// Pace, if set, is shared with other copies, and goes before Bandwidth.
	Pace *Pace
	// Stall is how long to wait for the server's next byte, the first one
	// included; 0 is for ever. Pauses for Bandwidth or the destination do not
	// count.
	Stall time.Duration
	// LeastRate in bytes per second is what the server must bring over a
	// minute of waiting for it; 0 is anything. One that is slower has failed.
	LeastRate int64
	// MaxBytes is the largest object to accept, announced or not; 0 is any.
	MaxBytes int64
	// OnSize, if set, is called before any byte of an object is written when
	// its size is known, once unless the object changes its size between
	// attempts. Its error ends the copy.
	OnSize func(size int64) error
	// Progress, if set, is called with the bytes the destination has, and the
	// size or -1. It goes back when the copy restarts.
	Progress func(done, total int64)
	// Logger, if set, gets one line per resumption, restart or retry.
	Logger *slog.Logger
	// Connections is how many connections bring a large object at once, at most
	// 16, if the server takes ranges and the destination is Scattered; 0 is one.
	Connections int

	now   func() time.Time // of tests; nil = time.Now
	large int64            // of tests: what is large, and twice the least piece; 0 = largeObject
}

// Destination takes the bytes. Reset forgets everything written so far:
// truncates the file, resets the hash.
type Destination interface {
	io.Writer
	Reset() error
}

// Scattered is a Destination that takes bytes in any order, from several
// goroutines at once. No byte is written twice between two calls of Reset, and
// none while it is called.
type Scattered interface {
	Destination
	io.WriterAt
	// Settled tells that all bytes before an offset have been written. It is
	// called by one goroutine at a time, with what never is less than before.
	Settled(offset int64)
}

// Opener opens objects by URL; *store.Set is one. It makes one attempt per
// call, as store.Store promises.
type Opener interface {
	Open(ctx context.Context, rawURL string, from store.Position) (*store.Object, error)
}

// Copy writes the object at rawURL to dst and returns how many bytes dst has.
// Only a nil error means that they are the whole object. Errors of dst and of
// OnSize come back wrapped, as do the store's; when ctx ends, its error and
// cause.
//
// A failure that is worth it (store.Retryable, a stall, a body that breaks off
// or ends early, an object that changed) is followed by another attempt until
// there are more failures in a row than Options.Retries; see advance for what
// a success is. The next attempt resumes where the last one ended if the
// object has a version, else dst is Reset and the copy begins again.
func Copy(ctx context.Context, o Opener, rawURL string, dst Destination, opts Options) (int64, error) {
	c := newCopier(o, rawURL, dst, opts)
	for {
		c.attempts++
		err := c.attempt(ctx)
		if err == nil {
			return c.pos.Offset, nil
		}
		if err = c.again(ctx, err); err != nil {
			return c.pos.Offset, err
		}
	}
}

// copier is the state of one Copy.
type copier struct {
	opener Opener
	url    string
	dst    Destination
	opts   Options
	log    *slog.Logger
	pace   *Pace
	tries

	pos      store.Position // what dst has, and of which version
	size     int64          // of the object; -1 unknown
	told     int64          // the size OnSize was told; -1 none
	attempts int            // all
	strewn   bool           // dst has bytes beyond pos, perhaps
	alone    bool           // one connection, whatever the options say
	buf      []byte
}

func newCopier(o Opener, rawURL string, dst Destination, opts Options) *copier {
	c := &copier{opener: o, url: rawURL, dst: dst, opts: opts, log: opts.Logger, size: -1, told: -1}
	if c.opts.now == nil {
		c.opts.now = time.Now
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.pace = cmp.Or(opts.Pace, NewPace(opts.Bandwidth))
	c.tries = newTries(opts)
	c.buf = make([]byte, c.pace.chunk())
	return c
}

// again decides after a failed attempt: nil means to make another one, now.
func (c *copier) again(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return c.ended(ctx)
	}
	if !worthIt(err) {
		return c.final(err)
	}
	wait, ok := c.tries.next(err, c.pos.Offset)
	if !ok {
		return c.final(err)
	}
	if isElse(err) || c.pos.Version == "" {
		if err := c.restart(); err != nil {
			return err
		}
	}
	c.say(err, c.pos.Offset, c.attempts+1, wait)
	if sleep(ctx, wait) != nil {
		return c.ended(ctx)
	}
	return nil
}

// say logs that another attempt follows.
func (c *copier) say(err error, at int64, attempt int, wait time.Duration) {
	c.log.Warn(fmt.Sprintf("fetch broke off at byte %d, attempt %d follows in %s: %v",
		at, attempt, wait.Round(time.Millisecond), err),
		"url", redact.URL(c.url), "from", at, "attempt", attempt, "wait", wait)
}

// worthIt tells failures that another attempt may mend.
func worthIt(err error) bool {
	var p permanent
	if errors.As(err, &p) {
		return false
	}
	var b brokenOff
	return errors.As(err, &b) || errors.Is(err, ErrStalled) || isElse(err) || store.Retryable(err)
}

// restart forgets what dst has.
func (c *copier) restart() error {
	if c.pos.Offset > 0 || c.strewn {
		if err := c.dst.Reset(); err != nil {
			return fmt.Errorf("begin again: %w", err)
		}
	}
	c.pos, c.size, c.strewn = store.Position{}, -1, false
	return nil
}

// final is the error that Copy ends with.
func (c *copier) final(err error) error {
	if c.attempts > 1 {
		return fmt.Errorf("%w (after %d attempts)", err, c.attempts)
	}
	return err
}

// because is the cause of a ctx that has ended, which says enough, and the error of
// that for errors.Is.
type because struct{ cause, err error }

// Error is what the cause says.
func (b because) Error() string { return b.cause.Error() }

// Unwrap gives errors.Is both.
func (b because) Unwrap() []error { return []error{b.cause, b.err} }

// ended is the error of a done ctx.
func (c *copier) ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if !errors.Is(cause, err) {
		err = because{cause, err}
	}
	return fmt.Errorf("%q: %w", redact.URL(c.url), err)
}
