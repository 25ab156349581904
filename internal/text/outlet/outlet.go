// Package outlet is an output stream of the program that does not hold up its
// end.
//
// A pipe that nobody reads, and a terminal that somebody has stopped, keep who
// writes to them waiting. That is as it should be, until the program has been
// told to end: then there are failure commands to run and locks to give back.
//
// It imports no other package of this module.
package outlet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// ErrStuck: the program has been told to end, and the stream takes nothing.
var ErrStuck = errors.New("nobody reads the output")

// Patience is how long streams may hold the program up once it has been told
// to end, all of them together.
type Patience struct {
	ctx  context.Context
	mu   sync.Mutex
	left time.Duration
}

// least is what a write always gets: one that is not held up needs far less.
const least = 250 * time.Millisecond

// NewPatience returns the patience of a program that ctx tells to end.
func NewPatience(ctx context.Context, limit time.Duration) *Patience {
	return &Patience{ctx: ctx, left: limit}
}

// wait waits for done, and tells whether it has come before the patience was
// at its end.
func (p *Patience) wait(done <-chan result) (result, bool) {
	select {
	case r := <-done:
		return r, true
	case <-p.ctx.Done():
	}
	p.mu.Lock()
	limit := max(p.left, least)
	p.mu.Unlock()
	began := time.Now()
	over := time.NewTimer(limit)
	defer over.Stop()
	defer func() {
		p.mu.Lock()
		p.left -= time.Since(began)
		p.mu.Unlock()
	}()
	select {
	case r := <-done:
		return r, true
	case <-over.C:
		return result{}, false
	}
}

// over is the error of what could not be written, and why it did not wait.
func (p *Patience) over() error { return fmt.Errorf("%w: %w", ErrStuck, context.Cause(p.ctx)) }

// Outlet is such a stream. It is safe for concurrent use. What was not taken
// in time is lost, with all that comes after it.
type Outlet struct {
	w        io.Writer
	patience *Patience

	mu    sync.Mutex
	work  chan []byte
	done  chan result
	stuck bool
	over  bool
}

type result struct {
	n   int
	err error
}

// New returns an outlet to w. A regular file holds nobody up: it is written to
// as it is. Without a patience every stream is.
func New(w io.Writer, p *Patience) io.Writer {
	if p == nil {
		return w
	}
	f, ok := w.(*os.File)
	if !ok {
		return &Outlet{w: w, patience: p}
	}
	if info, err := f.Stat(); err != nil || info.Mode().IsRegular() {
		return w
	}
	return &Outlet{w: w, patience: p}
}

// Close ends what New has begun for a stream, which stays open: it is its
// caller's. Where a write may be held up, the stream is closed first.
func Close(w io.Writer) {
	o, ok := w.(*Outlet)
	if !ok {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.work != nil && !o.over {
		close(o.work)
	}
	o.over = true
}

// File is the file that w writes to, or nil.
func File(w any) *os.File {
	if o, ok := w.(*Outlet); ok {
		w = o.w
	}
	f, _ := w.(*os.File)
	return f
}

// Write writes all of p, or fails with ErrStuck. Who writes for it may be kept
// waiting until the program has ended.
func (o *Outlet) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.over:
		return 0, os.ErrClosed
	case o.stuck:
		return 0, o.patience.over()
	}
	if o.work == nil {
		o.work, o.done = make(chan []byte), make(chan result, 1)
		go o.serve()
	}
	o.work <- bytes.Clone(p)
	r, ok := o.patience.wait(o.done)
	if !ok {
		o.stuck = true
		return 0, o.patience.over()
	}
	return r.n, r.err
}

func (o *Outlet) serve() {
	for p := range o.work {
		n, err := o.w.Write(p)
		o.done <- result{n, err}
	}
}
