package printable

import "testing"

func TestText(t *testing.T) {
	for s, want := range map[string]string{
		"":           "",
		"a b/ä.txt":  "a b/ä.txt",
		`say "hi"`:   `say "hi"`,
		" a":         `" a"`,
		"a\t":        `"a\t"`,
		"a\x1b[2Jb":  `"a\x1b[2Jb"`,
		"a\nb":       `"a\nb"`,
		"a\u202eb":   `"a\u202eb"`,
		"a\u00a0b":   `"a\u00a0b"`,
		"not\xffutf": `"not\xffutf"`,
	} {
		if got := Text(s); got != want {
			t.Errorf("Text(%q) = %s, want %s", s, got, want)
		}
	}
}
