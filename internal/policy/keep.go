package policy

import (
	"errors"
	"strings"
	"time"

	"stretcher/internal/text/units"
)

// History says how long runs are remembered, and who else is told.
type History struct {
	Keep Days       `yaml:"keep"` // 0 = 90 days
	JSON Text       `yaml:"json"` // file that gets a line for each hook and command; "" = none
	Log  units.Size `yaml:"log"`  // bytes from which on a run's log keeps no output; 0 = 64 MiB
}

// defaultKeep is how long runs are remembered.
const defaultKeep = 90 * 24 * time.Hour

// KeepFor is how long runs are remembered.
func (h History) KeepFor() time.Duration {
	if h.Keep > 0 {
		return time.Duration(h.Keep)
	}
	return defaultKeep
}

// Cache says what is kept of archives.
type Cache struct {
	Archives *int64      `yaml:"archives"` // of each dest, the live one included; nil = 2
	Size     *units.Size `yaml:"size"`     // bytes of all archives together; nil = see Bound and Pool
}

// defaultArchives is how many archives of each dest are kept.
const defaultArchives = 2

// defaultPool is how many bytes of archives by checksum are kept.
const defaultPool = 5 << 30

// Bound is how many bytes the archives of all dests may have together; -1 = as
// many as there are.
func (c Cache) Bound() int64 {
	if c.Size == nil {
		return -1
	}
	return int64(*c.Size)
}

// Pool is how many bytes archives by checksum may have; 0 = there are none.
func (c Cache) Pool() int64 {
	if c.Size == nil {
		return defaultPool
	}
	return int64(*c.Size)
}

// Pooled tells whether a deployment leaves what it fetches in the pool: who wants
// none kept for rollbacks, and says no size, wants none there either.
func (c Cache) Pooled() bool { return c.Pool() > 0 && (c.Size != nil || c.KeepArchives() > 0) }

// KeepArchives is how many archives of each dest are kept.
func (c Cache) KeepArchives() int {
	if c.Bound() == 0 {
		return 0
	}
	if c.Archives == nil {
		return defaultArchives
	}
	return int(max(0, *c.Archives))
}

// maxKeep bounds how long runs are remembered.
const maxKeep = 100 * 365 * 24 * time.Hour

// Days is a time span: a Go duration, or a number of days such as 90d.
type Days time.Duration

// UnmarshalText reads 90d, 36h and the like.
func (d *Days) UnmarshalText(b []byte) error {
	text, day := string(b), time.Duration(1)
	if n, ok := strings.CutSuffix(text, "d"); ok {
		text, day = n+"h", 24
		if strings.Trim(n, ".0123456789") != "" { // hours and days
			text = ""
		}
	}
	v, err := time.ParseDuration(text)
	if err != nil || v <= 0 || v > maxKeep/day {
		return errors.New("is not a time span such as 90d or 36h")
	}
	*d = Days(v * day)
	return nil
}
