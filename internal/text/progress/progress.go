// Package progress shows on a terminal how far a transfer is, and keeps log
// lines and the bar out of each other's way.
//
// Its words: the screen is the terminal, to which log lines and the bar are
// written; a bar is one transfer with rate and time left. On anything but a
// terminal there is a screen and never a bar. It imports no other package of
// this module.
package progress

import (
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// refresh is the shortest time between two drawings of the bar.
const refresh = 100 * time.Millisecond

// Screen writes log lines above the bar, when there is one. It is safe for
// concurrent use.
type Screen struct {
	mu   sync.Mutex
	w    io.Writer
	bars bool
	bar  *progressbar.ProgressBar
}

// New returns a screen on w; bars says whether w is a terminal that may show
// a bar.
func New(w io.Writer, bars bool) *Screen { return &Screen{w: w, bars: bars} }

// Write writes whole lines, above the bar.
func (s *Screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar == nil {
		return s.w.Write(p)
	}
	_ = s.bar.Clear()
	n, err := s.w.Write(p)
	_ = s.bar.RenderBlank()
	return n, err
}

// Bar is one transfer on a screen. A screen shows one bar at a time.
type Bar struct {
	screen *Screen
	label  string
	total  int64
}

// Bar begins a transfer; it shows once Set is called. Close it.
func (s *Screen) Bar(label string) *Bar { return &Bar{screen: s, label: label} }

// Set says that done of total bytes are there; total is -1 when it is not
// known.
func (b *Bar) Set(done, total int64) {
	s := b.screen
	if !s.bars {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar == nil || total != b.total {
		b.total = total
		s.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(s.w),
			progressbar.OptionSetDescription(b.label),
			progressbar.OptionShowBytes(true),
			progressbar.OptionShowTotalBytes(true),
			progressbar.OptionSetPredictTime(true),
			progressbar.OptionFullWidth(),
			progressbar.OptionSetTheme(plain()),
			progressbar.OptionThrottle(refresh),
			progressbar.OptionUseIECUnits(true),
			progressbar.OptionClearOnFinish(),
		)
	}
	_ = s.bar.Set64(done)
}

// Close takes the bar off the screen.
func (b *Bar) Close() {
	s := b.screen
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar != nil {
		_ = s.bar.Clear()
		_ = s.bar.Exit()
		s.bar = nil
	}
}

// MinColumns is how wide a terminal must be to show a bar: on a narrower one
// each drawing of it would be a line of its own.
const MinColumns = 40

// plain is a bar that every terminal can show, whatever its locale.
func plain() progressbar.Theme {
	return progressbar.Theme{Saucer: "=", SaucerHead: ">", SaucerPadding: " ", BarStart: "[", BarEnd: "]"}
}
