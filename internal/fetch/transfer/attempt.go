package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"stretcher/internal/fetch/store"
	"stretcher/internal/text/redact"
)

// maxEmpty is how many reads without a byte or an error are one too many, as in
// package bufio.
const maxEmpty = 100

// permanent marks an error that no other attempt mends.
type permanent struct{ error }

// Unwrap gives errors.Is the cause.
func (p permanent) Unwrap() error { return p.error }

// Final marks an error of a body that no other attempt mends.
func Final(err error) error { return permanent{err} }

// brokenOff marks the error of a body that ended before its end.
type brokenOff struct{ error }

// Unwrap gives errors.Is the cause.
func (b brokenOff) Unwrap() error { return b.error }

// attempt opens the object and reads it to its end, on more connections where
// they help. c.pos says how far it came.
func (c *copier) attempt(ctx context.Context) error {
	all, stop := context.WithCancel(ctx)
	defer stop()
	ctx, cancel := context.WithCancelCause(all)
	defer cancel(nil)
	guard := newGuard(c.opts.Stall, cancel)
	defer guard.rest()

	began := c.opts.now()
	guard.watch()
	obj, err := c.opener.Open(ctx, c.url, c.pos)
	guard.rest()
	if err != nil {
		return c.explain(ctx, c.pos.Offset, err)
	}
	shut := sync.OnceFunc(func() { _ = obj.Body.Close() })
	defer shut()
	if err := c.accept(obj); err != nil {
		return err
	}
	in := &flow{body: obj.Body, guard: guard, haste: c.haste()}
	if dst, ok := c.scatters(obj); ok {
		return newSeveral(c, dst, c.opts.now().Sub(began)).copy(all, stop, &stream{flow: in, ctx: ctx, close: shut})
	}
	return c.read(ctx, in)
}

func (c *copier) haste() *haste { return &haste{least: c.opts.LeastRate, now: c.opts.now} }

// accept compares an opened object with what dst has already.
func (c *copier) accept(obj *store.Object) error {
	switch obj.Offset {
	case c.pos.Offset:
		if c.pos.Offset > 0 && c.size >= 0 && obj.Size >= 0 && obj.Size != c.size {
			return c.wrap(store.ErrChanged)
		}
	case 0:
		if err := c.restart(); err != nil {
			return permanent{err}
		}
	default:
		return permanent{c.wrap(fmt.Errorf("opened at byte %d", obj.Offset))}
	}
	c.pos.Version = obj.Version
	if obj.Size >= 0 || obj.Offset == 0 {
		c.size = obj.Size
	}
	return c.announce()
}

// announce checks the size against the limit and tells it to the caller.
func (c *copier) announce() error {
	if c.size < 0 {
		return nil
	}
	if m := c.opts.MaxBytes; m > 0 && c.size > m {
		return permanent{c.tooLarge(fmt.Sprintf("%d bytes announced", c.size))}
	}
	if c.opts.OnSize == nil || c.size == c.told {
		return nil
	}
	c.told = c.size
	if err := c.opts.OnSize(c.size); err != nil {
		return permanent{fmt.Errorf("%q of %d bytes: %w", redact.URL(c.url), c.size, err)}
	}
	return nil
}

func (c *copier) tooLarge(what string) error {
	return fmt.Errorf("%q: %w: %s, %d allowed", redact.URL(c.url), ErrTooLarge, what, c.opts.MaxBytes)
}

// read moves a body to dst.
func (c *copier) read(ctx context.Context, in *flow) error {
	if c.size >= largeChunks*largeChunk && len(c.buf) == chunk && c.pace == nil {
		c.buf = make([]byte, largeChunk)
	}
	for {
		n, err := in.read(c.buf)
		if werr := c.write(ctx, c.buf[:n]); werr != nil {
			return werr
		}
		if err == io.EOF {
			return c.end()
		}
		if err != nil {
			return c.explain(ctx, c.pos.Offset, brokenOff{c.wrap(redact.Error(err))})
		}
	}
}

// flow reads a body, and watches how it comes.
type flow struct {
	body  io.Reader
	guard *guard
	haste *haste
	empty int // reads in a row without a byte
}

func (f *flow) read(p []byte) (n int, err error) {
	f.guard.watch()
	f.haste.watch()
	n, err = f.body.Read(p)
	slow := f.haste.rest(n)
	if n > 0 || err != nil {
		f.guard.rest()
	}
	if f.empty++; n > 0 {
		f.empty = 0
	}
	if err == nil && f.empty >= maxEmpty {
		err = io.ErrNoProgress
	}
	if err == nil {
		err = slow
	}
	return n, err
}

// write hands p to dst, counts it, and waits as the bandwidth limit asks.
func (c *copier) write(ctx context.Context, p []byte) error {
	if len(p) == 0 {
		return nil
	}
	after := c.pos.Offset + int64(len(p))
	if m := c.opts.MaxBytes; m > 0 && after > m {
		return permanent{c.tooLarge("more bytes came")}
	}
	if c.size >= 0 && after > c.size {
		return permanent{c.wrap(fmt.Errorf("more than the %d bytes announced", c.size))}
	}
	c.began = true
	n, err := c.dst.Write(p)
	c.pos.Offset += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return permanent{fmt.Errorf("write what %q holds: %w", redact.URL(c.url), err)}
	}
	if c.opts.Progress != nil {
		c.opts.Progress(c.pos.Offset, c.size)
	}
	return c.explain(ctx, c.pos.Offset, c.pace.wait(ctx, n))
}

// end judges the end of a body.
func (c *copier) end() error {
	if c.size >= 0 && c.pos.Offset < c.size {
		return brokenOff{c.wrap(fmt.Errorf("%w: %d bytes announced", io.ErrUnexpectedEOF, c.size))}
	}
	return nil
}

// explain turns the cancellation that a stall causes into ErrStalled.
func (c *copier) explain(ctx context.Context, at int64, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), ErrStalled) {
		return c.wrapAt(at, context.Cause(ctx))
	}
	return err
}

func (c *copier) wrap(err error) error { return c.wrapAt(c.pos.Offset, err) }

func (c *copier) wrapAt(at int64, err error) error {
	return fmt.Errorf("read %q at byte %d: %w", redact.URL(c.url), at, err)
}

// guard cancels an attempt when the server lets it wait too long.
type guard struct {
	limit    time.Duration
	timer    *time.Timer // nil: no limit
	watching bool
}

func newGuard(limit time.Duration, cancel context.CancelCauseFunc) *guard {
	g := &guard{limit: limit}
	if limit > 0 {
		g.timer = time.AfterFunc(limit, func() { cancel(stalled{limit}) })
		g.timer.Stop()
	}
	return g
}

// watch begins to wait, or goes on waiting.
func (g *guard) watch() {
	if g.timer != nil && !g.watching {
		g.timer.Reset(g.limit)
		g.watching = true
	}
}

// rest ends the waiting.
func (g *guard) rest() {
	if g.timer != nil {
		g.timer.Stop()
		g.watching = false
	}
}

// stalled is ErrStalled with its limit.
type stalled struct{ limit time.Duration }

// Error says how long nothing came.
func (s stalled) Error() string { return "no data for " + s.limit.String() }

// Unwrap gives errors.Is the sentinel.
func (s stalled) Unwrap() error { return ErrStalled }
