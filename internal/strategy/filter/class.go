package filter

import "strings"

// A set holds the bytes that a class matches.
type set [256]bool

// has tells whether a class matches c. No class matches a slash, not even a
// negated one.
func (s *set) has(c byte) bool {
	return s[c] && c != '/'
}

// addRange adds the bytes from lo to hi, both included; none when lo > hi.
func (s *set) addRange(lo, hi byte) {
	for c := int(lo); c <= int(hi); c++ {
		s[c] = true
	}
}

// addNamed adds a POSIX class as the C locale has it, false when there is none
// of that name.
func (s *set) addNamed(name string) bool {
	ranges, ok := map[string]string{ // pairs of first and last
		"alnum":  "azAZ09",
		"alpha":  "azAZ",
		"blank":  "  \t\t",
		"cntrl":  "\x00\x1f\x7f\x7f",
		"digit":  "09",
		"graph":  "!~",
		"lower":  "az",
		"print":  " ~",
		"punct":  "!/:@[`{~",
		"space":  "  \t\r",
		"upper":  "AZ",
		"xdigit": "09afAF",
	}[name]
	for i := 0; i < len(ranges); i += 2 {
		s.addRange(ranges[i], ranges[i+1])
	}
	return ok
}

// parseClass reads the class at the start of p, and its length; 0 when it isn't
// closed or names an unknown POSIX class. "!" or "^" at its start negates it, a "]"
// right behind that is one of its bytes, and a backslash takes the next byte
// literally.
func parseClass(p string) (*set, int) {
	s, i := &set{}, 1
	negate := len(p) > 1 && (p[1] == '!' || p[1] == '^')
	if negate {
		i++
	}
	low := -1 // what a following "-" makes the start of a range
	for first := true; ; first = false {
		if i >= len(p) {
			return nil, 0
		}
		if p[i] == ']' && !first {
			break
		}
		n := 0
		if n, low = s.item(p[i:], low); n == 0 {
			return nil, 0
		}
		i += n
	}
	if negate {
		for c := range s {
			s[c] = !s[c]
		}
	}
	return s, i + 1
}

// item adds the next item of a class to the set: a byte, the second half of a
// range from low (-1 for none), or a POSIX class. It returns the item's
// length, 0 when the class is malformed, and the low for the item that follows.
func (s *set) item(p string, low int) (int, int) {
	if p[0] == '-' && low >= 0 && len(p) > 1 && p[1] != ']' {
		hi, n := oneByte(p[1:])
		if n == 0 {
			return 0, -1
		}
		s.addRange(byte(low), hi)
		return 1 + n, -1
	}
	if strings.HasPrefix(p, "[:") {
		end := strings.IndexByte(p[2:], ']')
		if end < 0 {
			return 0, -1
		}
		if name, ok := strings.CutSuffix(p[2:2+end], ":"); ok {
			if !s.addNamed(name) {
				return 0, -1
			}
			return end + 3, -1
		}
		// Not a POSIX class: the bracket is a byte like others.
	}
	c, n := oneByte(p)
	s[c] = true
	return n, int(c)
}

// oneByte reads a byte that a backslash may precede, and the length of both; 0
// when nothing follows the backslash.
func oneByte(p string) (byte, int) {
	switch {
	case p[0] != '\\':
		return p[0], 1
	case len(p) > 1:
		return p[1], 2
	}
	return 0, 0
}
