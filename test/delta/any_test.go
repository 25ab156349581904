// Package delta deploys releases to hosts that have another one: what is there
// afterwards must be what a whole archive gives, whatever was there, whatever the
// index says and whatever the server answers.
//
// Its words are those of package index and of the README: an origin is a server
// of releases, a host what is deployed to.
package delta

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"

	"stretcher/internal/archive/pack"
)

// pairsOf is how many pairs of trees a chain has.
const pairsOf = 20

// TestAnyOther deploys trees made at random to where any other one is, by ranges
// or whole, as the program sees fit. STRETCHER_DELTA_PAIRS says how many,
// STRETCHER_DELTA_SEED from which seed on.
func TestAnyOther(t *testing.T) {
	pairs, seed := number("STRETCHER_DELTA_PAIRS", 60), number("STRETCHER_DELTA_SEED", 1)
	var all sums
	var mu sync.Mutex
	t.Run("chains", func(t *testing.T) {
		for i := range (pairs + pairsOf - 1) / pairsOf {
			strategy := []string{"native", "releases", "rsync"}[i%3]
			t.Run(fmt.Sprintf("%s seed %d", strategy, seed+i), func(t *testing.T) {
				t.Parallel()
				s := chain(t, strategy, uint64(seed+i))
				mu.Lock()
				defer mu.Unlock()
				all.add(s)
			})
		}
	})
	t.Logf("%d pairs, %d of them by ranges: %d of %d bytes", all.pairs, all.byRanges, all.sent, all.full)
	if all.byRanges < all.pairs/10 {
		t.Errorf("only %d of %d were deployed by ranges", all.byRanges, all.pairs)
	}
}

// number is what the environment says.
func number(name string, or int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return or
}

// chain deploys trees one after the other to one host.
func chain(t *testing.T, strategy string, seed uint64) (s sums) {
	f := &forest{Rand: rand.New(rand.NewPCG(seed, 1))}
	o, h := newOrigin(t), newHost(t, strategy)
	trees, now := h.path("trees"), f.any()
	check(t, os.Mkdir(trees, 0o700))
	for i := range pairsOf + 1 {
		name := fmt.Sprint("app", i)
		dir := trees + "/" + name
		now.write(t, dir)
		r := packed(t, dir, pack.Compression(f.IntN(2)))
		url := o.publish(name, h.dest(), strategy, r)
		planned, before := h.plan(o, name, url), h.now()
		if status, log := h.deploy(url); status != 0 {
			t.Fatalf("pair %d: exit status %d\n%s", i, status, log)
		}
		if got, want := look(t, h.live()), look(t, dir); got != want {
			t.Fatalf("pair %d: deployed (+), packed (-):\n%s", i, difference(got, want))
		}
		if got := changed(before, h.now()); got != planned {
			t.Fatalf("pair %d: planned (-), changed (+):\n%s", i, difference(got, planned))
		}
		if i > 0 {
			s.count(t, o, name, r)
		}
		check(t, os.RemoveAll(dir))
		now = f.change(t, h, now)
		o.forget()
	}
	return s
}

// change makes the next tree, and does things to the host meanwhile.
func (f *forest) change(t *testing.T, h *host, now tree) tree {
	switch f.IntN(8) {
	case 0:
		f.disturb(t, h.live())
	case 1:
		check(t, os.RemoveAll(h.path("state")))
	}
	if f.IntN(3) == 0 {
		return f.any()
	}
	return f.next(now)
}
