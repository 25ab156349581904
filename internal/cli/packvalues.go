package cli

import (
	"math"
	"strconv"
	"strings"
	"time"

	"stretcher/internal/text/failure"
)

// listValue is any number of texts, one for each time that a flag is given.
type listValue struct {
	values *[]string
	kind   string
}

// Type is what the help text calls a value.
func (v *listValue) Type() string { return v.kind }

// String is all values, for who looks for secrets in them.
func (v *listValue) String() string { return strings.Join(*v.values, " ") }

// Set takes one more.
func (v *listValue) Set(s string) error {
	*v.values = append(*v.values, s)
	return nil
}

// parseSerial reads a serial; "" is none.
func parseSerial(text string, now time.Time) (int64, error) {
	switch text {
	case "":
		return 0, nil
	case "now":
		return now.Unix(), nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || strconv.FormatInt(n, 10) != text {
		return 0, failure.Usage("invalid --serial %q: it is not a whole number from 1 to %d, or now", text,
			int64(math.MaxInt64))
	}
	return n, nil
}

// parseExpiry reads a time, or a span from now; "" is none.
func parseExpiry(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil && !t.IsZero() {
		return t, nil
	}
	span, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int64
		n, err = strconv.ParseInt(days, 10, 32)
		span = time.Duration(n) * 24 * time.Hour
		if n > math.MaxInt64/int64(24*time.Hour) {
			err = strconv.ErrRange
		}
	}
	if err != nil || span <= 0 {
		return time.Time{}, failure.Usage("invalid --expires %q: it is neither a time such as 2027-01-31T00:00:00Z "+
			"nor a span from now such as 30d or 12h", text)
	}
	return now.Add(span).Truncate(time.Second), nil
}

// maxSourceDate bounds the time of entries: what is greater, tar has no octal field
// for.
const maxSourceDate = 1 << 33

// sourceDate is the time that all entries of an archive get; "" is none
// (https://reproducible-builds.org/specs/source-date-epoch/).
func sourceDate(text string) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > maxSourceDate {
		return nil, failure.Usage("invalid SOURCE_DATE_EPOCH in the environment: "+
			"it is not a number of seconds since 1970, from 0 to %d", int64(maxSourceDate))
	}
	t := time.Unix(n, 0)
	return &t, nil
}
