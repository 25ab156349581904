package delta

import (
	"bytes"
	"cmp"
	"slices"
	"time"
)

// memory is a destination. It notes when its content has come.
type memory struct {
	bytes.Buffer
	pieces []piece
}

// piece is what came at once, and when.
type piece struct {
	bytes int
	at    time.Time
}

// Write takes what comes next.
func (m *memory) Write(p []byte) (int, error) {
	m.pieces = append(m.pieces, piece{len(p), time.Now()})
	return m.Buffer.Write(p)
}

// Reset forgets what has been written.
func (m *memory) Reset() error {
	m.Buffer.Reset()
	m.pieces = nil
	return nil
}

// telling is how much must have come for its rate to tell something.
const telling = 128 << 10

// turn is how long a process waits for its turn while little comes: a fast link would
// be taken for a slow one.
const turn = 3 * time.Millisecond

// trust is how often the rate of all may be that of most of it, which a process that
// waits for its turn finds ready.
const trust = 4

// rateOf is the rate of a link by which pieces have come since began: that of most of
// them, in bytes, since few come late where a process waits for its turn; and not much
// more than that of all.
func rateOf(pieces []piece, began time.Time) int64 {
	type rated struct {
		bytes int
		rate  float64
	}
	all, last := 0, began
	rates := make([]rated, 0, len(pieces))
	for _, p := range pieces {
		took := max(p.at.Sub(last), time.Microsecond)
		rates = append(rates, rated{p.bytes, float64(p.bytes) / took.Seconds()})
		all, last = all+p.bytes, p.at
	}
	took := last.Sub(began)
	took = max(took-turn, took/4, 100*time.Microsecond)
	average := float64(all) / took.Seconds()
	slices.SortFunc(rates, func(a, b rated) int { return cmp.Compare(a.rate, b.rate) })
	half := 0
	for _, r := range rates {
		if half += r.bytes; 2*half >= all {
			return int64(max(average, min(r.rate, trust*average)))
		}
	}
	return int64(average)
}
