package members

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

var errNumber = errors.New("not a number")

// number reads a field as GNU tar does: octal digits behind spaces, or behind
// one NUL that an overflow has left, or in base 256. An empty one is 0: device
// files and directories of some writers have no size.
func number(b []byte) (int64, error) {
	if b[0]&0x80 != 0 {
		return base256(b)
	}
	if b[0] == 0 {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	var v int64
	for len(b) > 0 && b[0] >= '0' && b[0] <= '7' {
		if v > math.MaxInt64>>3 {
			return 0, errNumber
		}
		v, b = v<<3|int64(b[0]-'0'), b[1:]
	}
	if len(b) > 0 && b[0] != 0 && !isSpace(b[0]) {
		return 0, errNumber
	}
	return v, nil
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// base256 reads a binary number in two's complement, whose first bit only
// marks it.
func base256(b []byte) (int64, error) {
	v := int64(b[0] & 0x7f)
	if b[0]&0x40 != 0 {
		v |= ^0x7f
	}
	for _, c := range b[1:] {
		if v > math.MaxInt64>>8 || v < math.MinInt64>>8 {
			return 0, errNumber
		}
		v = v<<8 | int64(c)
	}
	return v, nil
}

// seconds reads the time of a record: a decimal fraction, of which nanoseconds
// count. nsec has the sign of its own that time.Unix takes.
func seconds(s string) (sec, nsec int64, err error) {
	whole, fraction, dotted := strings.Cut(s, ".")
	if sec, err = strconv.ParseInt(whole, 10, 64); err != nil {
		return 0, 0, errNumber
	}
	if !dotted || fraction == "" {
		return sec, 0, nil
	}
	if strings.Trim(fraction, "0123456789") != "" {
		return 0, 0, errNumber
	}
	digits := (fraction + "000000000")[:9]
	if nsec, err = strconv.ParseInt(digits, 10, 64); err != nil {
		return 0, 0, errNumber
	}
	if strings.HasPrefix(whole, "-") && nsec > 0 {
		if sec == math.MinInt64 {
			return 0, 0, errNumber
		}
		sec, nsec = sec-1, 1e9-nsec
	}
	return sec, nsec, nil
}
