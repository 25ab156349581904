package printable

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestCut: a text that is too long ends in a mark, between runes.
func TestCut(t *testing.T) {
	for _, tc := range []struct {
		text  string
		limit int
		want  string
	}{
		{"", 5, ""}, {"abcde", 5, "abcde"}, {"abcdef", 5, "ab…"}, {"aäö", 5, "aäö"}, {"aäöü", 6, "aä…"}, {"aäöü", 5, "a…"},
		{"a\x1bb", 6, `a\x1bb`}, {"a\x1bbc", 6, `a\x…`}, {"a\tb", 9, `a\tb`}, {strings.Repeat("ä", 100), 7, "ää…"},
		{"\xff\xfe\xff", 7, `\xff…`}, {"€€€", 8, "€…"},
	} {
		if got := Cut(tc.text, tc.limit); got != tc.want {
			t.Errorf("%q in %d: %q, want %q", tc.text, tc.limit, got, tc.want)
		}
	}
	if got := CutOutput("a\tb\tc", 10); got != "a    b …" {
		t.Errorf("%q", got)
	}
}

// FuzzCut: what is cut is a line within its limit, and the beginning of the whole.
func FuzzCut(f *testing.F) {
	for _, s := range []string{"", "abc", "a\x1b", "äöü€𝄞", "\xff\xff", "\u202e\u2028"} {
		f.Add(s, 7)
	}
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = limit&0xff + len(mark)
		got := Cut(s, limit)
		if len(got) > limit || !utf8.ValidString(got) || got != Line(got) {
			t.Errorf("%q in %d: %q", s, limit, got)
		}
		whole, begin := Line(s), strings.TrimSuffix(got, mark)
		if got != whole && (len(whole) <= limit || !strings.HasPrefix(whole, begin)) {
			t.Errorf("%q in %d: %q of %q", s, limit, got, whole)
		}
	})
}
