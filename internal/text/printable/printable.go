// Package printable makes text fit for people and their terminals. What comes
// from somewhere else (a server, an archive, a manifest, a child process, a
// file's name) goes through it once, where it is printed.
//
// Its words: a rune is odd when a terminal or a browser might obey it, or hide
// it: control characters, those of C1 too, line ends, marks that turn the
// direction of writing, what has no width, and bytes that are not UTF-8. Fillers
// and variation selectors are odd as well: nobody sees them. So is the selector
// in an emoji.
//
// It imports no other package of this module.
package printable

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// odd tells whether a rune can't be printed as it is.
func odd(r rune) bool { return !unicode.IsGraphic(r) || r >= firstUnseen && unseen(r) }

// firstUnseen: no rune before it is graphic and can't be seen.
const firstUnseen = 0x34f

// unseen tells whether a graphic rune shows nothing.
func unseen(r rune) bool {
	const brailleBlank, nullNotehead = 0x2800, 0x1d159
	return r == brailleBlank || r == nullNotehead || unicode.In(r,
		unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}

// Line is s with each odd rune as its escape in Go: \n, \x1b, \u202e. It has
// one line. A text that went through Line stays as it is.
func Line(s string) string {
	if clean(s) {
		return s
	}
	return string(appendLine(make([]byte, 0, len(s)+16), s, false))
}

// AppendLine appends Line(s) to b; but tabs stay.
func AppendLine(b []byte, s string) []byte {
	if clean(s) {
		return append(b, s...)
	}
	return appendLine(b, s, true)
}

func clean(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return utf8.ValidString(s) && !strings.ContainsFunc(s, odd)
		}
	}
	return true
}

const hex = "0123456789abcdef"

func appendLine(b []byte, s string, tabs bool) []byte {
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			b = append(b, '\\', 'x', hex[s[0]>>4], hex[s[0]&15])
		case !odd(r), r == '\t' && tabs:
			b = append(b, s[:n]...)
		default:
			b = appendEscape(b, r)
		}
		s = s[n:]
	}
	return b
}

// appendEscape appends the escape of an odd rune. Package strconv has none for
// those that are graphic.
func appendEscape(b []byte, r rune) []byte {
	switch {
	case !unicode.IsGraphic(r):
		quoted := strconv.QuoteRune(r)
		return append(b, quoted[1:len(quoted)-1]...)
	case r > 0xffff:
		return fmt.Appendf(b, `\U%08x`, r)
	}
	return fmt.Appendf(b, `\u%04x`, r)
}

// Text quotes what holds an odd rune, or can't be told from another text by
// its looks. All else it returns as it is. It is for names in a column.
func Text(s string) string {
	invisible := func(r rune) bool { return !unicode.IsPrint(r) || odd(r) }
	if strings.ContainsFunc(s, invisible) || !utf8.ValidString(s) || strings.TrimSpace(s) != s {
		return Line(strconv.Quote(s))
	}
	return s
}
