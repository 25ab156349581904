package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"stretcher/internal/fetch/store"
	"stretcher/internal/text/redact"
)

// connection is one of several that bring an object.
type connection struct {
	s  *several
	in *stream // nil = nothing has been asked for
	tries
	come int64 // the bytes that it has brought
	buf  []byte
}

// stream is an open body.
type stream struct {
	*flow
	ctx    context.Context
	end    int64 // the offset where it ends
	ranged bool  // a range was asked for
	close  func()
}

// unopened marks an error before the first byte of a body.
type unopened struct{ error }

// Unwrap gives errors.Is the cause.
func (u unopened) Unwrap() error { return u.error }

// run brings one region after the other, r first if there is one.
func (k *connection) run(ctx context.Context, r *region) {
	for {
		if r == nil {
			r = k.s.claim(ctx)
		}
		if r == nil {
			return
		}
		err := k.bring(ctx, r)
		k.hangUp()
		k.s.release(r)
		if err != nil && !k.goesOn(ctx, r, err) {
			return
		}
		r = nil
	}
}

func (k *connection) hangUp() {
	if k.in != nil {
		k.in.close()
		k.in = nil
	}
}

// bring reads the rest of a region.
func (k *connection) bring(ctx context.Context, r *region) error {
	if k.in == nil {
		if err := k.open(ctx, r); err != nil {
			return unopened{err}
		}
	}
	for k.in != nil {
		room := k.s.room(r, k.in.end)
		if room == 0 {
			return k.finish(r)
		}
		k.in.haste.least = k.s.leastRate()
		n, err := k.in.read(k.buf[:min(room, int64(len(k.buf)))])
		if werr := k.write(r, k.buf[:n]); werr != nil {
			return werr
		}
		if err == io.EOF && r.held < k.in.end {
			err = io.ErrUnexpectedEOF
		}
		if err == io.EOF {
			return k.s.ended(k.in, nil)
		}
		if err != nil {
			return k.s.ended(k.in, k.s.c.explain(k.in.ctx, r.held, brokenOff{k.s.c.wrapAt(r.held, redact.Error(err))}))
		}
	}
	return nil
}

// open asks for a region, of which there may be nothing left.
func (k *connection) open(ctx context.Context, r *region) error {
	c, from := k.s.c, k.s.position(r)
	if from.Length == 0 {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	guard := newGuard(c.opts.Stall, cancel)
	began := c.opts.now()
	guard.watch()
	obj, err := c.opener.Open(ctx, c.url, from)
	guard.rest()
	if err != nil {
		err = c.explain(ctx, from.Offset, err)
		cancel(nil)
		return err
	}
	if err := c.continues(obj, from); err != nil {
		_ = obj.Body.Close()
		cancel(nil)
		return err
	}
	k.s.asked(c.opts.now().Sub(began))
	k.in = &stream{
		flow: &flow{body: obj.Body, guard: guard, haste: c.haste()}, ctx: ctx, end: from.Offset + from.Length, ranged: true,
		close: func() {
			guard.rest()
			_ = obj.Body.Close()
			cancel(nil)
		},
	}
	return nil
}

// continues tells whether an object is the range of c's that was asked for.
func (c *copier) continues(obj *store.Object, from store.Position) error {
	err := error(nil)
	switch {
	case !obj.Part:
		err = errWhole
	case obj.Version != from.Version || obj.Size >= 0 && obj.Size != c.size:
		err = store.ErrChanged
	case obj.Offset != from.Offset:
		err = fmt.Errorf("opened at byte %d", obj.Offset)
	case obj.Encoding != "":
		err = fmt.Errorf("sent with Content-Encoding %q, unlike its beginning", obj.Encoding)
	default:
		return nil
	}
	return c.wrapAt(from.Offset, err)
}

// write puts p where it belongs, as far as it still is this region's.
func (k *connection) write(r *region, p []byte) error {
	at, own := k.s.hold(r, len(p))
	if own == 0 {
		return nil
	}
	k.began = true
	k.come += int64(own)
	c := k.s.c
	n, err := k.s.dst.WriteAt(p[:own], at)
	if err == nil && n < own {
		err = io.ErrShortWrite
	}
	if err != nil {
		return permanent{fmt.Errorf("write what %q holds: %w", redact.URL(c.url), err)}
	}
	k.s.brought(r)
	return c.pace.wait(k.in.ctx, own)
}

// finish reads the end of a body that is at its end: its connection can serve
// again then.
func (k *connection) finish(r *region) error {
	if r.held < k.in.end {
		return nil
	}
	if n, _ := k.in.read(k.buf[:1]); n > 0 {
		err := k.s.c.wrapAt(r.held, fmt.Errorf("more than the %d bytes announced", k.s.c.size))
		if k.in.ranged {
			return fmt.Errorf("%w: %w", errRanges, err)
		}
		return permanent{err}
	}
	return k.s.ended(k.in, nil)
}

// goesOn decides after a failure whether this connection makes another attempt,
// now. Where another one is left, nothing is lost without it.
func (k *connection) goesOn(ctx context.Context, r *region, err error) bool {
	s := k.s
	if ctx.Err() != nil {
		return false
	}
	if k.isRefused(err) && s.leave(err) {
		return false
	}
	if !worthIt(err) || isElse(err) {
		s.fail(err)
		return false
	}
	wait, ok := k.next(err, k.come)
	if !ok {
		if !s.leave(err) {
			s.fail(permanent{err})
		}
		return false
	}
	s.c.say(err, r.written, s.attempt()+1, wait)
	return sleep(ctx, wait) == nil
}

// isRefused tells whether the server does not want this connection, or can't
// serve it. One that says when to come again is asked again.
func (k *connection) isRefused(err error) bool {
	if !errors.As(err, new(unopened)) {
		return false
	}
	return !worthIt(err) || isElse(err) || k.come == 0 && store.RetryAfter(err) == 0
}

// isElse tells whether there is another object at the URL by now, or no way to
// get a range of it.
func isElse(err error) bool {
	return errors.Is(err, store.ErrChanged) || errors.Is(err, errWhole) || errors.Is(err, errRanges)
}
