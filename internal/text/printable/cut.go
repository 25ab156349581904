package printable

import (
	"strings"
	"unicode/utf8"
)

// mark stands where a text has been cut.
const mark = "…"

// Cut is Line(s) in at most limit bytes: of a longer one the beginning and a mark.
func Cut(s string, limit int) string {
	if len(s) > limit+utf8.UTFMax {
		s = s[:limit+utf8.UTFMax] // escaping makes nothing shorter
	}
	s = Line(s)
	if len(s) <= limit {
		return s
	}
	end := max(limit-len(mark), 0)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}

// CutOutput is Cut for a line that a program has printed: its tabs are blanks.
func CutOutput(s string, limit int) string { return Cut(strings.ReplaceAll(s, "\t", "    "), limit) }
