// Package progress shows on a terminal how far a step is, and keeps log lines
// and that line out of each other's way.
//
// Its words: the screen is the terminal, to which log lines and the line of
// progress are written; a bar is one step with what it has done, rate and time.
// On anything but a terminal there is a screen and never a bar. The line fits the
// terminal, which is asked for its width each time, and is made of characters that
// every terminal has: it is erased by writing spaces over it.
//
// It imports no other package of this module.
package progress

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// refresh is the shortest time between two drawings of the line.
	refresh = 100 * time.Millisecond
	// tick is how often the line is drawn though nothing has come: time passes.
	tick = time.Second
	// MinColumns is how wide a terminal must be to show a line.
	MinColumns = 20
)

// Terminal is what a screen is shown on. The zero value is none.
type Terminal struct {
	Columns func() int // how wide it is now; nil: it is no terminal
	UTF8    bool       // it shows more than ASCII
}

// Screen writes log lines above the line of progress, when there is one. It is
// safe for concurrent use.
type Screen struct {
	mu    sync.Mutex
	w     io.Writer
	on    Terminal
	open  []*Bar // the last one is shown
	drawn int    // columns of the line that is shown; 0 = none is
}

// New returns a screen on w.
func New(w io.Writer, on Terminal) *Screen { return &Screen{w: w, on: on} }

// Write writes whole lines, above the line of progress.
func (s *Screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	n, err := s.w.Write(p)
	s.draw(time.Now())
	return n, err
}

// Progress returns what tells the bar that is shown how much is done of what
// total, which is -1 when it is not known. It is nil where nothing is shown, so
// that nobody counts for nothing.
func (s *Screen) Progress() func(done, total int64) {
	if s.on.Columns == nil {
		return nil
	}
	return func(done, total int64) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if n := len(s.open); n > 0 {
			s.open[n-1].set(done, total)
		}
	}
}

// Unpacked is Progress for bytes of which nobody knows how many there are.
func (s *Screen) Unpacked() func(done int64) {
	told := s.Progress()
	if told == nil {
		return nil
	}
	return func(done int64) { told(done, -1) }
}

// Lines returns w, and where progress is shown, what tells of the lines that are
// written to it, as paths: programs name those that they are done with.
func (s *Screen) Lines(w io.Writer) io.Writer {
	if told := s.Progress(); told != nil {
		return &lines{w: w, told: told}
	}
	return w
}

type lines struct {
	w    io.Writer
	told func(done, total int64)
	n    int64
}

// Write counts the ends of lines.
func (l *lines) Write(p []byte) (int, error) {
	l.n += int64(bytes.Count(p, []byte("\n")))
	l.told(l.n, -1)
	return l.w.Write(p)
}

// clear takes the line off the terminal.
func (s *Screen) clear() {
	if n := min(s.drawn, s.width()); n > 0 {
		_, _ = io.WriteString(s.w, "\r"+strings.Repeat(" ", n)+"\r")
	}
	s.drawn = 0
}

// width is how many columns a line may have: with the last one, some terminals
// would begin another.
func (s *Screen) width() int {
	if s.on.Columns == nil {
		return 0
	}
	return max(0, s.on.Columns()-1)
}

// draw shows the bar that was begun last.
func (s *Screen) draw(now time.Time) {
	width := s.width()
	if len(s.open) == 0 || width < MinColumns-1 {
		s.clear()
		return
	}
	b := s.open[len(s.open)-1]
	b.at = now
	text, columns := b.line(width, now)
	over := max(0, min(s.drawn, width)-columns)
	_, _ = io.WriteString(s.w, "\r"+text+strings.Repeat(" ", over))
	s.drawn = columns + over
}

// Unit is what a bar counts.
type Unit int

// What bars count. Paths of a known total are shown as their share of it alone.
const (
	Bytes Unit = iota
	Paths
)

// Bar is one step on a screen. Of several bars the one that was begun last is
// shown.
type Bar struct {
	screen      *Screen
	label       string
	unit        Unit
	done, total int64
	first       int64     // what was done when it was told for the first time
	counting    bool      // it was told
	began       time.Time // when it was told so, or else when the bar was begun
	at          time.Time // when it was drawn
	over        chan struct{}
}

// Bar begins a step that counts bytes. Close it.
func (s *Screen) Bar(label string) *Bar { return s.Counting(label, Bytes) }

// Counting is Bar for a step that counts something else.
func (s *Screen) Counting(label string, unit Unit) *Bar {
	b := &Bar{screen: s, label: label, unit: unit, total: -1}
	if s.on.Columns == nil {
		return b
	}
	b.began, b.over = time.Now(), make(chan struct{})
	s.mu.Lock()
	s.open = append(s.open, b)
	s.draw(b.began)
	s.mu.Unlock()
	go b.tick()
	return b
}

// tick draws the bar anew from time to time.
func (b *Bar) tick() {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-b.over:
			return
		case now := <-ticker.C:
			b.screen.mu.Lock()
			if slices.Contains(b.screen.open, b) && now.Sub(b.at) >= tick/2 {
				b.screen.draw(now)
			}
			b.screen.mu.Unlock()
		}
	}
}

// Set says that done of total are done; total is -1 when it is not known.
func (b *Bar) Set(done, total int64) {
	if b.over == nil {
		return
	}
	b.screen.mu.Lock()
	defer b.screen.mu.Unlock()
	b.set(done, total)
}

func (b *Bar) set(done, total int64) {
	now := time.Now()
	if !b.counting { // what it shows so far is no more than its name
		b.counting, b.first, b.began, b.at = true, done, now, time.Time{}
	}
	b.done, b.total = done, total
	shown := b.screen.open
	if n := len(shown); n > 0 && shown[n-1] == b && now.Sub(b.at) >= refresh {
		b.screen.draw(now)
	}
}

// Write counts bytes that are written somewhere else as well.
func (b *Bar) Write(p []byte) (int, error) {
	if b.over != nil {
		b.screen.mu.Lock()
		defer b.screen.mu.Unlock()
		b.set(b.done+int64(len(p)), -1)
	}
	return len(p), nil
}

// Close takes the bar off the screen.
func (b *Bar) Close() {
	if b.over == nil {
		return
	}
	s := b.screen
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.open, b); i >= 0 {
		s.open = slices.Delete(s.open, i, i+1)
		close(b.over)
		s.clear()
	}
}
