package transfer

import (
	"errors"
	"time"

	"stretcher/internal/fetch/store"
)

// tries counts the attempts of one connection.
type tries struct {
	retries  int
	pause    *pause
	furthest int64 // how many bytes there were at the last success
	failures int   // in a row
	began    bool  // a byte has come
}

func newTries(opts Options) tries { return tries{retries: opts.Retries, pause: newPause(opts.Wait)} }

// next counts a failed attempt, after so many bytes in all. It says how long to
// wait for another one, unless it was the last.
func (t *tries) next(err error, come int64) (wait time.Duration, ok bool) {
	if come >= t.furthest+advance && !errors.Is(err, ErrTooSlow) {
		t.furthest, t.failures = come, 0
		t.pause.reset()
	}
	if t.failures++; t.failures > t.budget() {
		return 0, false
	}
	return t.wait(err), true
}

// wait is the pause after a failed attempt: no shorter than the server asks
// for, within bounds.
func (t *tries) wait(err error) time.Duration {
	return max(t.pause.next(), min(store.RetryAfter(err), maxAfter))
}

// budget is how many failures in a row are followed by another attempt.
func (t *tries) budget() int {
	if t.began {
		return max(t.retries, patience)
	}
	return t.retries
}
