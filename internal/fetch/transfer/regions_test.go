package transfer

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestRegions: whatever connections do, each byte is brought by one of them,
// once, and what is settled and done is what the bytes say.
func TestRegions(t *testing.T) {
	for seed := range uint64(300) {
		g := &game{t: t, random: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(0, 0)}
		g.regions = newRegions(1 + g.random.Int64N(40*leastSplit))
		for g.regions.settled() < g.regions.size && !t.Failed() {
			g.move()
			g.check()
		}
		for _, r := range slices.Clone(g.regions.taken) {
			g.regions.release(r)
		}
		if n := len(g.regions.free) + len(g.regions.taken); n > 0 || g.regions.done() != g.regions.size || t.Failed() {
			t.Fatalf("seed %d: %d regions left, %d bytes done of %d", seed, n, g.regions.done(), g.regions.size)
		}
	}
}

// game is what connections may do with regions, in any order.
type game struct {
	t       *testing.T
	random  *rand.Rand
	now     time.Time
	regions *regions
	written []span
}

// move is what one of the connections does next.
func (g *game) move() {
	g.now = g.now.Add(time.Duration(g.random.IntN(2000)) * time.Millisecond)
	some := 1 + g.random.Int64N(9*leastSplit)
	if len(g.regions.taken) == 0 || g.random.IntN(4) == 0 {
		if g.regions.claim(some, g.now) == nil {
			g.regions.split(time.Duration(g.random.IntN(3000))*time.Millisecond, g.now)
		}
		return
	}
	r := g.regions.taken[g.random.IntN(len(g.regions.taken))]
	switch g.random.IntN(8) {
	case 0:
		if r.held == r.written { // a connection that writes writes to the end
			g.regions.release(r)
		}
	case 1:
		g.regions.grow(r, some)
	case 2:
		g.regions.swallow(r)
	default:
		g.bring(r, some)
	}
}

// bring holds some bytes, and writes them in another move: others may take what
// is next meanwhile.
func (g *game) bring(r *region, some int64) {
	if r.held == r.written {
		if r.left() > 0 {
			r.held += min(r.left(), some)
			r.last = g.now
		}
		return
	}
	now := span{r.written, r.held}
	for _, s := range g.written {
		if now.from < s.to && s.from < now.to {
			g.t.Errorf("%v is written, and was: %v", now, s)
		}
	}
	g.written = append(g.written, now)
	r.written = r.held
}

// check compares what the regions say with what was written.
func (g *game) check() {
	slices.SortFunc(g.written, func(a, b span) int { return int(a.from - b.from) })
	done, settled := int64(0), int64(0)
	for _, s := range g.written {
		done += s.to - s.from
		if s.from == settled {
			settled = s.to
		}
	}
	if done != g.regions.done() || settled != g.regions.settled() {
		g.t.Errorf("%d bytes are written, %d from the start on; told %d and %d",
			done, settled, g.regions.done(), g.regions.settled())
	}
	for i, s := range g.regions.free {
		if s.from >= s.to || i > 0 && g.regions.free[i-1].to >= s.from {
			g.t.Errorf("free: %v", g.regions.free)
		}
	}
}
