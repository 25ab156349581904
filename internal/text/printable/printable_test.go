package printable

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

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

func TestLine(t *testing.T) {
	for s, want := range map[string]string{
		"":                         "",
		"plain ä 日本 🚀 'q' \"\\":    "plain ä 日本 🚀 'q' \"\\",
		"a\u00a0b e\u0301":         "a\u00a0b e\u0301",
		"a\tb\r\nc":                `a\tb\r\nc`,
		"\x1b[31m\x07\x00\x7f":     `\x1b[31m\a\x00\x7f`,
		"\u0085\u009b31m":          `\u0085\u009b31m`,
		"\u202egpj\u2066":          `\u202egpj\u2066`,
		"\u2028\u2029\ufeff":       `\u2028\u2029\ufeff`,
		"zero\u200bwidth\u200d":    `zero\u200bwidth\u200d`,
		"tag \U000e0041":           `tag \U000e0041`,
		"bad \xff\xc3 utf-8":       `bad \xff\xc3 utf-8`,
		"\ufffd":                   "\ufffd",
		"half \xed\xa0\x80 a rune": `half \xed\xa0\x80 a rune`,
	} {
		if got := Line(s); got != want {
			t.Errorf("Line(%q) = %s, want %s", s, got, want)
		}
	}
	if got := string(AppendLine([]byte("> "), "a\tb\nc")); got != "> a\tb\\nc" {
		t.Errorf("AppendLine = %q", got)
	}
}

// TestUnseen: what nobody sees is escaped, though Unicode calls it a letter, a
// mark or a symbol.
func TestUnseen(t *testing.T) {
	for _, span := range [][2]rune{
		{0x34f, 0x34f}, {0x115f, 0x1160}, {0x17b4, 0x17b5}, {0x180b, 0x180f}, {0x2065, 0x2065}, {0x2800, 0x2800},
		{0x3164, 0x3164}, {0xfe00, 0xfe0f}, {0xffa0, 0xffa0}, {0xfff0, 0xfff8}, {0x1bca0, 0x1bca3},
		{0x1d159, 0x1d159}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
	} {
		for r := span[0]; r <= span[1]; r++ {
			want := fmt.Sprintf(`a\u%04x`, r)
			if r > 0xffff {
				want = fmt.Sprintf(`a\U%08x`, r)
			}
			s := "a" + string(r)
			if got := Line(s); got != want || Line(got) != got {
				t.Errorf("Line(%U) = %s", r, got)
			}
			if got := Text(s); got != `"`+want+`"` {
				t.Errorf("Text(%U) = %s", r, got)
			}
			if got := string(escapeJSON([]byte(s))); strings.ContainsRune(got, r) || !strings.Contains(got, `a\u`) {
				t.Errorf("JSON of %U = %s", r, got)
			}
		}
	}
	for _, s := range []string{"e\u0301", "ᄀ", "ក", "ᠠ", "⠁", "日本 🚀"} { // their neighbours are seen
		if Line(s) != s {
			t.Errorf("Line(%q) = %s", s, Line(s))
		}
	}
}

func TestEncodeJSON(t *testing.T) {
	for s, want := range map[string]string{
		"a <b> ä":        `"a <b> ä"`,
		"\x1b\n\x7f":     `"\u001b\n\u007f"`,
		"\u009b\u202e":   `"\u009b\u202e"`,
		"\U000e0041 🚀":   `"\udb40\udc41 🚀"`,
		"\u2028\ufeff":   `"\u2028\ufeff"`,
		"bad \xff utf-8": `"bad \ufffd utf-8"`,
	} {
		var b bytes.Buffer
		if err := EncodeJSON(&b, s); err != nil || b.String() != want+"\n" {
			t.Errorf("%q: %q, %v, want %s", s, b.String(), err, want)
		}
	}
}

// FuzzLine: one line, nothing odd, the same again; and JSON says what was
// there.
func FuzzLine(f *testing.F) {
	for _, s := range []string{"a", "\x1b]0;x\a", "\u202e\u009b", "\xff\xfe", "\U000e0041", "a\nb\t"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Line(s)
		if strings.ContainsFunc(got, odd) || strings.ContainsFunc(got, unicode.IsControl) || !utf8.ValidString(got) {
			t.Errorf("Line(%q) = %q", s, got)
		}
		if again := Line(got); again != got {
			t.Errorf("Line(%q) = %q", got, again)
		}
		var b bytes.Buffer
		var back string
		if err := EncodeJSON(&b, s); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsFunc(strings.TrimSuffix(b.String(), "\n"), odd) {
			t.Errorf("JSON of %q is %q", s, b.String())
		}
		if err := json.Unmarshal(b.Bytes(), &back); err != nil || utf8.ValidString(s) && back != s {
			t.Errorf("%q came back as %q, %v", s, back, err)
		}
	})
}
