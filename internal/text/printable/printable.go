// Package printable makes text fit for a line that people read.
//
// It imports no other package of this module.
package printable

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text quotes what would move the cursor of a terminal, or can't be told from
// another text by its looks. All else it returns as it is.
func Text(s string) string {
	odd := func(r rune) bool { return !unicode.IsPrint(r) }
	if strings.ContainsFunc(s, odd) || !utf8.ValidString(s) || strings.TrimSpace(s) != s {
		return strconv.Quote(s)
	}
	return s
}
