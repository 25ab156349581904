package gate

import (
	"context"
	"errors"
	"testing"
	"time"

	"stretcher/internal/fleet"
)

// TestBounded: what a run still does ends when its slot is lost, no sooner than it has
// to, and begins only when there is time for it; when it leaves, it goes on.
func TestBounded(t *testing.T) {
	for name, c := range map[string]struct {
		cause   error // by which the slot ends
		left    time.Duration
		atOnce  bool // it has not begun
		ends    bool // it ends as well
		belated bool // the slot ends when it has begun
	}{
		"no time":             {fleet.ErrLost, fleet.Ending - time.Second, true, true, false},
		"just no time":        {fleet.ErrLost, fleet.Ending, true, true, false},
		"a moment":            {fleet.ErrLost, fleet.Ending + 50*time.Millisecond, false, true, false},
		"time enough":         {fleet.ErrLost, fleet.Ending + time.Hour, false, false, false},
		"it has left":         {context.Canceled, 0, false, false, false},
		"no time, later":      {fleet.ErrLost, fleet.Ending - time.Hour, false, true, true},
		"a moment, later":     {fleet.ErrLost, fleet.Ending + 50*time.Millisecond, false, true, true},
		"time enough, later":  {fleet.ErrLost, fleet.Ending + time.Hour, false, false, true},
		"it has left, later":  {context.Canceled, 0, false, false, true},
		"it has it still":     {nil, time.Hour, false, false, true},
		"it has it, for long": {nil, 0, false, false, true},
	} {
		slot, lose := context.WithCancelCause(context.Background())
		if !c.belated && c.cause != nil {
			lose(c.cause)
		}
		working, stop := bounded(t.Context(), slot, func() time.Duration { return c.left })
		if (working.Err() != nil) != c.atOnce {
			t.Errorf("%s: at once it is %v", name, working.Err())
		}
		if c.belated && c.cause != nil {
			lose(c.cause)
		}
		if c.ends {
			<-working.Done()
		} else {
			time.Sleep(100 * time.Millisecond)
		}
		if cause := context.Cause(working); errors.Is(cause, fleet.ErrLost) != c.ends || !c.ends && cause != nil {
			t.Errorf("%s: it ends by %v", name, cause)
		}
		stop()
		lose(nil)
	}
}
