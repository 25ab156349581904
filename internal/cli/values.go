package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/pflag"

	"stretcher/internal/policy"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/units"
)

// flagError puts pflag's message into our form.
func flagError(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return failure.Usage("%w", err)
	}
	format := "invalid --%s %q: %s"
	if errors.Is(err, errNegative) {
		format = "invalid --%s %s: %s" // a number needs no quotes
	}
	return failure.Usage(format, invalid.GetFlag().Name, invalid.GetValue(), reason(err))
}

// reason is why a value was refused, without what the flag package puts
// around it.
func reason(err error) string {
	var invalid *pflag.InvalidValueError
	var syntax *strconv.NumError
	switch {
	case !errors.As(err, &invalid) || errors.Unwrap(invalid) == nil:
		return "not understood"
	case invalid.GetFlag().Value.Type() == "bool":
		return "it is not true or false"
	case errors.As(err, &syntax):
		return "it is not a whole number"
	}
	return errors.Unwrap(invalid).Error()
}

// secondsValue is a time span: a bare number of seconds, or a Go duration.
type secondsValue time.Duration

// String is the span as a Go duration, for the help text.
func (v *secondsValue) String() string {
	if *v == 0 {
		return "0"
	}
	text := time.Duration(*v).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	return text
}

// Type is what the help text calls the value.
func (v *secondsValue) Type() string { return "duration" }

// Set reads a span.
func (v *secondsValue) Set(s string) error {
	d, err := units.ParseSeconds(s)
	if err != nil {
		return fmt.Errorf("it %w", err)
	}
	*v = secondsValue(d)
	return nil
}

const day = 24 * time.Hour

// ageValue is a time span that is more than none: days, a Go duration, or a bare
// number of seconds.
type ageValue time.Duration

// Type is what the help text calls the value.
func (v *ageValue) Type() string { return "duration" }

// String is the span, in days if it is a number of them.
func (v *ageValue) String() string {
	switch d := time.Duration(*v); {
	case d == 0:
		return ""
	case d%day == 0:
		return strconv.FormatInt(int64(d/day), 10) + "d"
	case d%time.Hour == 0:
		return strconv.FormatInt(int64(d/time.Hour), 10) + "h"
	default:
		return (*secondsValue)(&d).String()
	}
}

// Set reads a span.
func (v *ageValue) Set(s string) error {
	var days policy.Days
	if d, err := units.ParseSeconds(s); err == nil && d > 0 {
		*v = ageValue(d)
	} else if days.UnmarshalText([]byte(s)) == nil {
		*v = ageValue(days)
	} else {
		return errors.New("it is not a time span such as 7d or 36h")
	}
	return nil
}

// bandwidthValue is a number of bytes per second, with a unit or without.
type bandwidthValue int64

// Type is what the help text calls the value.
func (v *bandwidthValue) Type() string { return "bytes" }

// String is the number with a binary unit, for the help text.
func (v *bandwidthValue) String() string {
	if *v == 0 {
		return "0"
	}
	return humanize.IBytes(uint64(*v))
}

// Set reads a number of bytes.
func (v *bandwidthValue) Set(s string) error {
	var n units.Size
	if n.UnmarshalText([]byte(s)) != nil {
		return errors.New("it is not a size such as 500KB or 10MiB")
	}
	*v = bandwidthValue(n)
	return nil
}

// rsyncValue is one option that changes what rsync prints, and nothing else.
type rsyncValue string

// isVerbosity tells whether an option changes what rsync prints. It has no
// expression that each start of the program would compile.
func isVerbosity(option string) bool {
	if letters, ok := strings.CutPrefix(option, "-"); ok && letters != "" && strings.Trim(letters, "vqhi") == "" {
		return true
	}
	name, value, _ := strings.Cut(option, "=")
	switch name {
	case "--info", "--debug", "--out-format":
		return value != ""
	}
	plain := []string{"", "--verbose", "--quiet", "--stats", "--progress", "--itemize-changes", "--human-readable"}
	return slices.Contains(plain, option)
}

// Type is what the help text calls the value.
func (v *rsyncValue) Type() string { return "option" }

// String is the option, for the help text.
func (v *rsyncValue) String() string { return string(*v) }

// Set accepts an option that changes what rsync prints.
func (v *rsyncValue) Set(s string) error {
	if !isVerbosity(s) {
		return errors.New("it is not an rsync option for verbosity, such as -v, -vv, -q, --stats or --info=FLAGS")
	}
	*v = rsyncValue(s)
	return nil
}

// errNegative refuses a number below zero.
var errNegative = errors.New("it must not be negative")

// countValue is a whole number from zero on.
type countValue int

// Type is what the help text calls the value.
func (v *countValue) Type() string { return "N" }

// String is the number, for the help text.
func (v *countValue) String() string { return strconv.Itoa(int(*v)) }

// Set reads a whole number.
func (v *countValue) Set(s string) error {
	n, err := strconv.ParseInt(s, 0, strconv.IntSize)
	if err != nil {
		return err
	}
	if n < 0 {
		return errNegative
	}
	*v = countValue(n)
	return nil
}

// textValue is any text, and what it is the name of.
type textValue struct {
	value *string
	kind  string
}

// Type is what the help text calls the value.
func (v *textValue) Type() string { return v.kind }

// String is the text.
func (v *textValue) String() string { return *v.value }

// Set takes any text.
func (v *textValue) Set(s string) error {
	*v.value = s
	return nil
}

// choiceValue is one of some words.
type choiceValue struct {
	value *string
	words []string
}

// Type is what the help text calls the value.
func (v *choiceValue) Type() string { return strings.Join(v.words, "|") }

// String is the word, for the help text.
func (v *choiceValue) String() string { return *v.value }

// Set accepts one of the words.
func (v *choiceValue) Set(s string) error {
	if !slices.Contains(v.words, s) {
		return fmt.Errorf("%s expected", strings.Join(v.words, " or "))
	}
	*v.value = s
	return nil
}
