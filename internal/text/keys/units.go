package keys

// decimal is a pattern of a number with or without a point.
const decimal = `(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)`

// Size is a number of bytes, a whole one: 5GiB, 1.5MB, 1000.
func Size() Scalar {
	const bytes, unit = `(?:[0-9]+(?:\.0*)?|\.0+)\s*[bB]?`, `\s*[kKmMgGtTpPeE][iI]?[bB]?`
	return Scalar{
		Pattern: `^(?:` + bytes + `|` + decimal + unit + `)\s*$`,
		Wrong:   "is not a size such as 500MB or 2GiB",
		number:  &number{true, Schema{"minimum": 0}},
	}
}

// duration is a pattern of a Go duration.
const duration = `[+]?(?:` + decimal + `(?:ns|us|µs|μs|ms|s|m|h))+`

// Seconds is a time span: a Go duration, or a number of seconds.
func Seconds() Scalar {
	return Scalar{
		Pattern: `^(?:` + duration + `|[+]?` + decimal + `(?:[eE][+-]?[0-9]+)?|[+-]?0)$`,
		Wrong:   "is not a duration such as 30, 90s or 5m",
		number:  &number{bounds: Schema{"minimum": 0, "exclusiveMaximum": 1e9}},
	}
}

// Span is a time span that is more than none.
func Span() Scalar {
	s := Seconds()
	s.Also, s.Wrong = "[1-9]", "is not a time span such as 30s or 2m"
	s.number = &number{bounds: Schema{"exclusiveMinimum": 0, "exclusiveMaximum": 1e9}}
	return s
}

// Days is a time span that is more than none: a Go duration, or days.
func Days() Scalar {
	return Scalar{
		Pattern: `^(?:` + duration + `|` + decimal + `d)$`,
		Also:    "[1-9]",
		Wrong:   "is not a time span such as 90d or 36h",
	}
}

// Mode is a permission mode in octal. What YAML makes a number of may have been
// written in octal or not: that can't be told.
func Mode() Scalar {
	return Scalar{
		Pattern: `^0(?:o?[0-7]{1,4})?$`,
		Wrong:   "is not an octal mode such as 0755",
		number:  &number{true, Schema{"minimum": 0, "maximum": 7777}},
	}
}

// Time is a moment as RFC 3339 writes it.
func Time() Scalar {
	const day, clock = `[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])`, `(?:[01][0-9]|2[0-3]):[0-5][0-9]`
	return Scalar{
		Pattern: `^` + day + `T` + clock + `:[0-5][0-9](?:\.[0-9]+)?(?:Z|[+-]` + clock + `)$`,
		Wrong:   "is not a time such as 2026-12-01T00:00:00Z (RFC 3339)",
	}
}
