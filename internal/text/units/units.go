// Package units is how people write permission modes, time spans and sizes in
// manifests, host policies and flags.
//
// Each type reads its text and nothing else; the error completes the sentence
// that begins with the value. It imports nothing of this module.
package units

import (
	"errors"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Mode is a permission mode in octal, as in 0755.
type Mode fs.FileMode

var octal = regexp.MustCompile(`^0(o?[0-7]{1,4})?$`)

// UnmarshalText accepts 0755 and 0o755. A number without the leading zero is
// refused: v1.x took 755 for decimal and set a mode that nobody meant.
func (m *Mode) UnmarshalText(b []byte) error {
	if !octal.Match(b) {
		return errors.New("is not an octal mode such as 0755")
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(strings.TrimPrefix(string(b), "0"), "o"), 8, 32)
	if err != nil {
		n = 0 // "0"
	}
	*m = Mode(fs.FileMode(n)&fs.ModePerm | specialBits(n))
	return nil
}

// specialBits maps the setuid, setgid and sticky bits to those of fs.FileMode.
func specialBits(n uint64) fs.FileMode {
	var m fs.FileMode
	for bit, mode := range map[uint64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if n&bit != 0 {
			m |= mode
		}
	}
	return m
}

// Duration is a time span: a Go duration such as 90s or 5m, or a bare number
// of seconds.
type Duration time.Duration

// UnmarshalText parses a duration; negative ones are refused.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := ParseSeconds(string(b))
	if err != nil {
		return err
	}
	*d = Duration(v)
	return nil
}

// ParseSeconds reads a bare number as seconds, anything else as a Go duration.
func ParseSeconds(s string) (time.Duration, error) {
	if n, err := strconv.ParseFloat(s, 64); err == nil && !strings.ContainsAny(s, "xX_") { // as Go writes them
		if !(n >= 0 && n < 1e9) {
			return 0, errors.New("is not a number of seconds from 0 to 999999999")
		}
		s = strconv.FormatFloat(n, 'f', -1, 64) + "s"
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d == 0 && isMore(s) {
		return 0, errors.New("is not a duration such as 30, 90s or 5m")
	}
	return d, nil
}

// Span is a time span as people write it: without what is zero of it.
func Span(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// isMore tells whether a number that was read as 0 is more.
func isMore(s string) bool { return strings.ContainsAny(s, "123456789") }

// Size is a number of bytes: 5GiB, 500MB, 1000.
type Size int64

// UnmarshalText reads a number with or without a unit. A comma is refused, since
// it may be a point, and so is a part of a byte: 1.5 is no size, and what is less
// than one must not be 0, which often is no limit.
func (s *Size) UnmarshalText(b []byte) error {
	text := string(b)
	n, err := humanize.ParseBytes(text)
	if err != nil || n > 1<<62 || strings.Contains(text, ",") || isPart(text, n) {
		return errors.New("is not a size such as 500MB or 2GiB")
	}
	*s = Size(n)
	return nil
}

// isPart tells whether parts of a byte were lost when a size was read as n. Those of
// 1.1GiB count for nothing.
func isPart(text string, n uint64) bool {
	number := text[:len(text)-len(strings.TrimLeft(text, ".0123456789"))]
	unit, err := humanize.ParseBytes("1" + text[len(number):])
	f, wrong := strconv.ParseFloat(number, 64)
	return err != nil || wrong != nil || f*float64(unit) != float64(n) && (unit == 1 || n < 1000)
}
