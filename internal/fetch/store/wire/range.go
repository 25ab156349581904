package wire

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ContentRange reads "bytes FIRST-LAST/SIZE" (RFC 9110 section 14.4). A SIZE of
// * gives -1.
func ContentRange(h string) (first, last, size int64, err error) {
	bad := fmt.Errorf("malformed Content-Range %q", h)
	unit, rest, _ := strings.Cut(h, " ")
	span, total, ok := strings.Cut(rest, "/")
	from, to, ok2 := strings.Cut(span, "-")
	if !ok || !ok2 || !strings.EqualFold(unit, "bytes") {
		return 0, 0, 0, bad
	}
	first, err1 := digits(from)
	last, err2 := digits(to)
	size, err3 := int64(-1), error(nil)
	if total != "*" {
		size, err3 = digits(total)
	}
	if errors.Join(err1, err2, err3) != nil || last < first || size >= 0 && last >= size {
		return 0, 0, 0, bad
	}
	return first, last, size, nil
}

// digits is strconv.ParseInt without signs.
func digits(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err
}

// StrongETag gives tag, or "" when it is weak: equal weak tags do not promise
// equal bytes.
func StrongETag(tag string) string {
	if len(tag) < 2 || tag[0] != '"' || tag[len(tag)-1] != '"' {
		return ""
	}
	return tag
}
