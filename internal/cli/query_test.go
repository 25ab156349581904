package cli

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestReplyLine(t *testing.T) {
	for in, want := range map[string]string{
		"good":                   "good",
		" two\n lines\t":         "two lines",
		strings.Repeat("x", 899): strings.Repeat("x", 899),
		strings.Repeat("x", 900): strings.Repeat("x", 896) + "...",
	} {
		if got := replyLine(in, 900); got != want {
			t.Errorf("%.20q...: got %d bytes, want %d", in, len(got), len(want))
		}
	}
	for n := range 4 { // a cut must not split a character
		got := replyLine(strings.Repeat("x", n)+strings.Repeat("日", 600), 900)
		if len(got) > 899 || !utf8.ValidString(got) {
			t.Errorf("%d bytes, valid %v", len(got), utf8.ValidString(got))
		}
	}
}

func TestReplyRoom(t *testing.T) {
	for name, want := range map[string]int{
		"": 920, "web-1": 910, strings.Repeat("x", 128): 664, strings.Repeat("x", 900): 256,
	} {
		if got := (Process{Environ: []string{"SERF_SELF_NAME=" + name}}).replyRoom(); got != want {
			t.Errorf("of %.20q: %d bytes, want %d", name, got, want)
		}
	}
}
