package transfer

import (
	"cmp"
	"slices"
	"time"
)

// region is a part of an object that one connection brings: all from written on
// is still to come. No two regions share a byte.
type region struct {
	written int64 // its bytes before are written, or another region's
	held    int64 // its bytes before are written, or being written: nobody takes them from it
	to      int64

	start int64     // where it began
	since time.Time // when it was claimed
	last  time.Time // when a byte came; at first, when it was claimed
}

func (r *region) left() int64 { return r.to - r.held }

// begun tells whether a byte of it has come.
func (r *region) begun() bool { return r.held > r.start }

// rest is how long the rest of it takes, if it comes as it has come so far.
func (r *region) rest(now time.Time) time.Duration {
	spent := now.Sub(r.since)
	if !r.begun() {
		return stuck
	}
	return time.Duration(float64(spent) * float64(r.left()) / float64(r.held-r.start))
}

// span is a part of an object that nobody brings.
type span struct{ from, to int64 }

// regions says who brings which bytes of an object. It is not safe for
// concurrent use.
type regions struct {
	size  int64
	free  []span // in order, none touches the next
	taken []*region
}

func newRegions(size int64) *regions { return &regions{size: size, free: []span{{0, size}}} }

// claim gives the first free bytes to a connection, at most size of them; nil =
// none is free.
func (g *regions) claim(size int64, now time.Time) *region {
	if len(g.free) == 0 {
		return nil
	}
	from := g.free[0].from
	r := &region{written: from, held: from, to: from, start: from, since: now, last: now}
	g.taken = append(g.taken, r)
	g.grow(r, size)
	return r
}

// grow gives r the free bytes behind it, at most size of them.
func (g *regions) grow(r *region, size int64) bool {
	i := slices.IndexFunc(g.free, func(s span) bool { return s.from == r.to })
	if i < 0 {
		return false
	}
	r.to = min(g.free[i].to, r.to+size)
	if g.free[i].from = r.to; g.free[i].from == g.free[i].to {
		g.free = slices.Delete(g.free, i, i+1)
	}
	return true
}

// swallow gives r the region behind it, of which nothing has come.
func (g *regions) swallow(r *region) bool {
	for _, next := range g.taken {
		if next != r && next.start == r.to && !next.begun() && next.to > next.start {
			r.to, next.to = next.to, next.start
			return true
		}
	}
	return false
}

// split gives a part of what another connection has not brought to a new one:
// the second half of what takes longest, or all of it where nothing comes. What
// would be there sooner than after a while stays as it is.
func (g *regions) split(while time.Duration, now time.Time) *region {
	var slowest *region
	for _, r := range g.taken {
		if r.left() > 0 && (slowest == nil || r.rest(now) > slowest.rest(now)) {
			slowest = r
		}
	}
	if slowest == nil {
		return nil
	}
	from := slowest.to - slowest.left()/2
	switch {
	case now.Sub(slowest.last) >= stuck:
		from = slowest.held
	case slowest.left() < 2*leastSplit || slowest.rest(now) < while || !slowest.begun():
		return nil
	}
	r := &region{written: from, held: from, to: slowest.to, start: from, since: now, last: now}
	slowest.to = from
	g.taken = append(g.taken, r)
	return r
}

// release takes a region back; what has not come of it is free.
func (g *regions) release(r *region) {
	g.taken = slices.DeleteFunc(g.taken, func(t *region) bool { return t == r })
	if r.written == r.to {
		return
	}
	i, _ := slices.BinarySearchFunc(g.free, r.written, func(s span, at int64) int { return cmp.Compare(s.from, at) })
	g.free = slices.Insert(g.free, i, span{r.written, r.to})
	if i+1 < len(g.free) && g.free[i].to == g.free[i+1].from {
		g.free[i].to = g.free[i+1].to
		g.free = slices.Delete(g.free, i+1, i+2)
	}
	if i > 0 && g.free[i-1].to == g.free[i].from {
		g.free[i-1].to = g.free[i].to
		g.free = slices.Delete(g.free, i, i+1)
	}
}

// settled is the offset before which all bytes are written.
func (g *regions) settled() int64 {
	at := g.size
	if len(g.free) > 0 {
		at = g.free[0].from
	}
	for _, r := range g.taken {
		if r.written < r.to {
			at = min(at, r.written)
		}
	}
	return at
}

// unclaimed is how many bytes nobody brings.
func (g *regions) unclaimed() int64 {
	n := int64(0)
	for _, s := range g.free {
		n += s.to - s.from
	}
	return n
}

// done is how many bytes are written.
func (g *regions) done() int64 {
	n := g.size - g.unclaimed()
	for _, r := range g.taken {
		n -= r.to - r.written
	}
	return n
}
