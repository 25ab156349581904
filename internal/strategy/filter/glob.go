package filter

import "strings"

// A token is one step of a wildcard pattern.
type token struct {
	kind kind
	char byte // of a literal
	set  *set // of a class
}

type kind uint8

const (
	literal  kind = iota // the byte char
	one                  // "?"
	class                // "[...]"
	star                 // "*"
	starStar             // "**"
	never                // what ends a malformed pattern: matches nothing
)

// tokens reads a pattern that holds a wildcard. A backslash takes the next
// byte literally. A class that isn't closed, and a backslash at the end, match
// nothing, as in rsync.
func tokens(pattern string) []token {
	list := make([]token, 0, len(pattern))
	for i := 0; i < len(pattern); {
		t, n := nextToken(pattern[i:])
		list = append(list, t)
		i += n
	}
	return list
}

// nextToken reads the first token of p, and its length.
func nextToken(p string) (token, int) {
	switch p[0] {
	case '?':
		return token{kind: one}, 1
	case '*':
		n := len(p) - len(strings.TrimLeft(p, "*"))
		if n == 1 {
			return token{kind: star}, 1
		}
		return token{kind: starStar}, n
	case '[':
		if s, n := parseClass(p); n > 0 {
			return token{kind: class, set: s}, n
		}
		return token{kind: never}, len(p)
	case '\\':
		if len(p) == 1 {
			return token{kind: never}, 1
		}
		return token{char: p[1]}, 2
	}
	return token{char: p[0]}, 1
}

// takes tells whether a token that isn't a star matches the byte c.
func (t *token) takes(c byte) bool {
	switch t.kind {
	case literal:
		return c == t.char
	case one:
		return c != '/'
	case class:
		return t.set.has(c)
	}
	return false
}

// matchTokens tells whether the tokens match text to its end: from its start,
// or with anyName also from behind one of its slashes.
//
// It fills a table that tells whether the tokens from one on match the text
// from one byte on, with a row per byte, the last first, and a column per token
// and one for the end of the list. Only one row is kept. Where a row is all
// false, those before it are as well; most paths end there after few bytes.
func matchTokens(list []token, text string, anyName bool) bool {
	var small [64]bool
	row := small[:]
	if len(list) >= len(row) {
		row = make([]bool, len(list)+1)
	}
	row = row[:len(list)+1]
	for at := len(text); fillRow(row, list, text, at); at-- {
		if row[0] && (at == 0 || anyName && text[at-1] == '/') {
			return true
		}
		if at == 0 {
			return false
		}
	}
	return false
}

// fillRow turns the row for byte at+1 of text into the one for byte at, and is
// false when that is all false. For at = len(text) the row must be all false.
func fillRow(row []bool, list []token, text string, at int) bool {
	more := at < len(text)
	after := row[len(list)] // for the next token and the next byte
	row[len(list)] = !more
	alive := !more
	for i := len(list) - 1; i >= 0; i-- {
		next := row[i] // for this token and the next byte
		switch t := &list[i]; t.kind {
		case starStar:
			row[i] = row[i+1] || next
		case star:
			row[i] = row[i+1] || next && text[at] != '/'
		default:
			row[i] = more && after && t.takes(text[at])
		}
		alive = alive || row[i]
		after = next
	}
	return alive
}
