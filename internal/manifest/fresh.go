package manifest

import (
	"errors"
	"math"
	"strconv"
	"time"

	"stretcher/internal/text/failure"
)

// Serial is the number of a manifest among those of its name: 1 or more.
type Serial int64

// UnmarshalText reads decimal digits and nothing else: a number that two
// programs read differently tells no order.
func (s *Serial) UnmarshalText(b []byte) error {
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil || n < 1 || strconv.FormatInt(n, 10) != string(b) {
		return errors.New("is not a whole number from 1 to " + strconv.FormatInt(math.MaxInt64, 10))
	}
	*s = Serial(n)
	return nil
}

// String is the number.
func (s Serial) String() string { return strconv.FormatInt(int64(s), 10) }

// Expiry is the moment from which on a manifest is deployed no more.
type Expiry struct{ time.Time }

// UnmarshalText reads a time as RFC 3339 has it, which names its zone.
func (e *Expiry) UnmarshalText(b []byte) error {
	var t time.Time
	if t.UnmarshalText(b) != nil || t.IsZero() { // the zero time means that there is none
		return errors.New("is not a time such as 2026-12-01T00:00:00Z (RFC 3339)")
	}
	e.Time = t
	return nil
}

// String is the time as it is written in a manifest.
func (e Expiry) String() string { return e.Format(time.RFC3339) }

// CheckExpiry refuses a manifest that has expired by now.
func (f Freshness) CheckExpiry(now time.Time) error {
	if f.Expires.IsZero() || now.Before(f.Expires.Time) {
		return nil
	}
	return failure.Hinted("whoever makes manifests must make a new one, or this host's clock is wrong",
		failure.Refused("the manifest expired at %s, and it is %s now", f.Expires, now.UTC().Format(time.RFC3339)))
}

// IsDated tells whether there is something by which an old manifest is told.
func (f Freshness) IsDated() bool { return f.Serial > 0 || !f.Expires.IsZero() }

// checkSerial refuses a serial that belongs to no name.
func (m *Manifest) checkSerial(add func(key, value, message string)) {
	if m.Serial > 0 && m.Name == "" && m.Dest == "" {
		add("name", "", "is required with serial, where there is no dest")
	}
}
