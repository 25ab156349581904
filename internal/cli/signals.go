package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"stretcher/internal/text/failure"
)

// SecondAfter is how long after the first signal a second one counts: a
// service manager signals a whole group, and the watch in it hands its own
// signal on.
const SecondAfter = 2 * time.Second

// WithSignals returns a context that SIGINT, SIGTERM or SIGHUP ends, with the
// signal as its cause, and a channel that a second one closes. SIGPIPE is
// caught and dropped: a reader of our output that goes away, as a lost ssh
// session does, must not end a deployment without its failure commands.
func WithSignals(parent context.Context) (context.Context, <-chan struct{}, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	second := make(chan struct{})
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE)
	go func() {
		cancel(failure.Signal{Signal: <-signals})
		first := time.Now()
		for range signals {
			if time.Since(first) > SecondAfter {
				close(second)
				return
			}
		}
	}()
	return ctx, second, func() { signal.Stop(signals); signal.Stop(pipe); cancel(nil) }
}
