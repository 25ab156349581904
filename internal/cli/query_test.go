package cli

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestReplyLine(t *testing.T) {
	for in, want := range map[string]string{
		"good":                    "good",
		" two\n lines\t":          "two lines",
		strings.Repeat("x", 1023): strings.Repeat("x", 1023),
		strings.Repeat("x", 1024): strings.Repeat("x", 1020) + "...",
	} {
		if got := replyLine(in); got != want {
			t.Errorf("%.20q...: got %d bytes, want %d", in, len(got), len(want))
		}
	}
	for n := range 4 { // a cut must not split a character
		got := replyLine(strings.Repeat("x", n) + strings.Repeat("日", 600))
		if len(got) > maxReply-1 || !utf8.ValidString(got) {
			t.Errorf("%d bytes, valid %v", len(got), utf8.ValidString(got))
		}
	}
}
