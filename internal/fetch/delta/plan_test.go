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
		dear        bool
	}{
		"little":                   {loopback, 3 * mb, 95 * mb, 152, false},
		"little, far":              {far, 3 * mb, 95 * mb, 152, false},
		"a third":                  {loopback, 68 * mb, 177 * mb, 40, true},
		"a third, far":             {far, 68 * mb, 177 * mb, 40, false},
		"most":                     {loopback, 63 * mb, 95 * mb, 26, true},
		"most, by a doubtful rate": {Link{time.Millisecond, 100 * mb}, 63 * mb, 95 * mb, 26, true},
		"most, slow":               {slow, 63 * mb, 95 * mb, 26, false},
		"nearly all":               {slow, 90 * mb, 95 * mb, 1, true},
		"half of a small one":      {loopback, 1 * mb, 2 * mb, 3, false},
		"many round trips":         {far, 1 * mb, 3 * mb, 1000, true},
	} {
		s := &Server{Link: c.link, Lines: 32}
		err := worth(s, &index.Index{Size: c.size}, make([]span, c.spans), c.bytes)
		if is := errors.Is(err, ErrDear); is != c.dear || err != nil && !is {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRateOf(t *testing.T) {
	for _, c := range []struct {
		bytes int
		took  time.Duration
		want  int64
	}{
		{1_000_000, 20 * time.Millisecond, 58_823_529}, {1_000_000, 4 * time.Millisecond, 1_000_000_000},
		{1_000_000, time.Second, 1_003_009}, {200_000, 0, 2_000_000_000},
	} {
		if got := rateOf(c.bytes, c.took); got != c.want {
			t.Errorf("%d bytes in %s: %d, want %d", c.bytes, c.took, got, c.want)
		}
	}
}
