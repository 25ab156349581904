package delta

import (
	"errors"
	"testing"
	"time"

	"stretcher/internal/archive/index"
)

// TestWorth: parts of an archive are fetched as far as that takes no longer than all of
// it, by what was measured (docs/performance.md).
func TestWorth(t *testing.T) {
	const mb = 1_000_000
	loopback := Link{time.Millisecond, 500 * mb}
	far, slow := Link{20 * time.Millisecond, 50 * mb}, Link{20 * time.Millisecond, 5 * mb}
	for name, c := range map[string]struct {
		link        Link
		bytes, size int64
		spans       int
		local       int64
		dear        bool
	}{
		"little":                   {loopback, 3 * mb, 95 * mb, 152, 0, false},
		"little, far":              {far, 3 * mb, 95 * mb, 152, 0, false},
		"a third":                  {loopback, 68 * mb, 177 * mb, 40, 0, true},
		"a third, far":             {far, 68 * mb, 177 * mb, 40, 0, false},
		"most":                     {loopback, 63 * mb, 95 * mb, 26, 0, true},
		"most, by a doubtful rate": {Link{time.Millisecond, 100 * mb}, 63 * mb, 95 * mb, 26, 0, true},
		"most, slow":               {slow, 63 * mb, 95 * mb, 26, 0, false},
		"nearly all":               {slow, 90 * mb, 95 * mb, 1, 0, true},
		"half of a small one":      {loopback, 1 * mb, 2 * mb, 3, 0, false},
		"a ninth":                  {loopback, 20 * mb, 177 * mb, 1300, 0, false},
		"a third, seemingly":       {Link{5 * time.Millisecond, 300 * mb}, 68 * mb, 177 * mb, 28, 0, true},
		"a ninth, and all read":    {loopback, 20 * mb, 177 * mb, 1300, 360 * mb, true},
		"little, doubtful":         {Link{6 * time.Millisecond, 4000 * mb}, 11 * mb, 177 * mb, 800, 0, false},
		"a ninth, all read, far":   {far, 20 * mb, 177 * mb, 1300, 360 * mb, false},
		"a hundredth, all read":    {loopback, 3 * mb, 177 * mb, 150, 400 * mb, false},
		"a quarter, in many":       {loopback, 49 * mb, 177 * mb, 1228, 0, true},
		"many round trips":         {far, 1 * mb, 3 * mb, 1000, 0, true},
	} {
		s := &Server{Link: c.link, Lines: 32}
		err := worth(s, &index.Index{Size: c.size}, make([]span, c.spans), c.bytes, c.local)
		if is := errors.Is(err, ErrDear); is != c.dear || err != nil && !is {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRateOf(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		bytes int
		took  []time.Duration // between pieces of that many bytes
		want  int64
	}{
		"evenly":             {100_000, []time.Duration{2 * ms, 2 * ms, 2 * ms, 2 * ms, 2 * ms}, 71_428_571},
		"slowly":             {1_000_000, []time.Duration{1000 * ms}, 1_003_009},
		"at once":            {200_000, []time.Duration{0}, 8_000_000_000},
		"one late":           {100_000, []time.Duration{ms / 4, 8 * ms, ms / 4, ms / 4, ms / 4}, 333_333_333},
		"half of it late":    {100_000, []time.Duration{5 * ms, 0, 5 * ms, 0}, 57_142_857},
		"most at once, late": {100_000, []time.Duration{40 * ms, 0, 0, 0, 0}, 54_054_054},
		"nothing":            {0, nil, 0},
	} {
		began := time.Unix(1000, 0)
		var pieces []piece
		at := began
		for _, took := range c.took {
			at = at.Add(took)
			pieces = append(pieces, piece{c.bytes, at})
		}
		if got := rateOf(pieces, began); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
