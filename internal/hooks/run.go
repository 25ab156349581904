package hooks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"

	"stretcher/internal/process"
)

// runFunc calls the hook's Run with its timeout on ctx. A panic is its
// failure: in a goroutine it would end the program, with the failure commands
// not run.
func runFunc(ctx context.Context, h Hook, s Streams) (res process.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			res, err = process.Result{Exit: -1}, fmt.Errorf("internal error: %v at %s", p, debug.Stack())
		}
	}()
	if h.Timeout <= 0 {
		return h.Run(ctx, s)
	}
	over := &process.ExitError{Result: process.Result{Exit: -1, TimedOut: true, Limit: h.Timeout}}
	ctx, cancel := context.WithTimeoutCause(ctx, h.Timeout, over)
	defer cancel()
	res, err = h.Run(ctx, s)
	if err != nil && errors.Is(context.Cause(ctx), over) {
		res.TimedOut, res.Limit = true, h.Timeout
		err = over
	}
	return res, err
}

// stdin is what the hook reads; nil is /dev/null.
func stdin(b []byte) io.Reader {
	if b == nil {
		return nil
	}
	return bytes.NewReader(b)
}

// sharedStdout is the Runner's Stdout, safe for the members of a group.
func (r *Runner) sharedStdout() io.Writer {
	if r.Stdout == nil {
		return nil
	}
	return &lockedWriter{w: r.Stdout}
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

// Write passes p on under the lock.
func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
