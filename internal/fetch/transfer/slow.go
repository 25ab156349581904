package transfer

import (
	"errors"
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
)

// window is how long a server may be slow. What Options.LeastRate allows by
// default makes less than advance in it.
const window = time.Minute

// ErrTooSlow: the server brought less than Options.LeastRate over a window.
var ErrTooSlow = errors.New("too slow")

// haste judges how fast the bytes of an attempt come, by the time that is
// spent waiting for them: pauses for the bandwidth or the destination are not
// the server's.
type haste struct {
	least int64 // bytes per second; 0 = any
	now   func() time.Time
	began time.Time
	spent time.Duration // in this window
	got   int64         // in this window
}

// watch begins to wait.
func (h *haste) watch() { h.began = h.now() }

// rest ends the waiting with n bytes.
func (h *haste) rest(n int) error {
	h.spent += h.now().Sub(h.began)
	h.got += int64(n)
	if h.least <= 0 || h.spent < window {
		return nil
	}
	if float64(h.got) < float64(h.least)*h.spent.Seconds() {
		return fmt.Errorf("%w: %s in %s, less than %s/s",
			ErrTooSlow, humanize.IBytes(uint64(h.got)), h.spent.Round(time.Second), humanize.IBytes(uint64(h.least)))
	}
	h.spent, h.got = 0, 0
	return nil
}
