package filter

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestParseErrors(t *testing.T) {
	tests := []struct {
		text, want string // want "" for no error
		ok         bool
	}{
		{"", "", false},
		{"+ ", `bad exclude pattern: "+ " has nothing after its prefix`, false},
		{"- ", `bad exclude pattern: "- " has nothing after its prefix`, false},
		{"a\x00b", `bad exclude pattern: "a\x00b" has a NUL`, false},
		{"- " + strings.Repeat("x", 4096),
			`bad exclude pattern: "` + strings.Repeat("x", 40) + `"... is longer than 4095 bytes`, false},
		{"- " + strings.Repeat("x", 4095), "", true},
		{strings.Repeat("x", 4095), "", true},
		{"!", "", true},
		{"! ", "", true},
		{"[", "", true},
	}
	for _, tt := range tests {
		_, ok, err := Parse(tt.text)
		switch {
		case tt.want != "" && (err == nil || err.Error() != tt.want || !errors.Is(err, ErrPattern)):
			t.Errorf("Parse(%.50q): error %v, want %q", tt.text, err, tt.want)
		case tt.want == "" && err != nil || ok != tt.ok:
			t.Errorf("Parse(%.50q) = %v, %v; want %v", tt.text, ok, err, tt.ok)
		}
	}
}

func TestParseFile(t *testing.T) {
	tests := []struct {
		name, text     string
		excluded, kept string
	}{
		{"empty", "", "", "a"},
		{"last line without its end", "a\nb", "a b", "c"},
		{"comments", "# a\n;b\n#c\n", "", "a b c ;b #c"},
		{"a comment only at the start", "a#b\n - #c\n- #d\n", "a#b #d", "#c"},
		{"blank lines", "\n\n\na\n\n", "a", "b"},
		{"CRLF", "a\r\n\r\nb\r\n", "a b", "c"},
		{"CR alone", "a\rb\r#c\rd", "a b d", "c"},
		{"prefixes", "+ a\n- b\n*\n", "b c", "a"},
		{"one character", "-\n+\n", "- +", "a"},
		{"NUL", "a\x00b\n\x00c\n", "a", "b c ab"},
		{"NUL before much", "a\x00" + strings.Repeat("x", 5000) + "\nb", "a b", "c"},
		{"clear", "a\n!\nb\n", "b", "a"},
		{"long comment", "#" + strings.Repeat("x", 10_000) + "\na", "a", "x"},
		{"bytes", "\xff*\n", "\xff \xffa", "a é"},
	}
	for _, tt := range tests {
		for _, r := range []io.Reader{strings.NewReader(tt.text), iotest.OneByteReader(strings.NewReader(tt.text))} {
			rules, err := ParseFile(r)
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
				continue
			}
			for _, p := range strings.Fields(tt.excluded) {
				check(t, New(rules...), tt.name, p, true)
			}
			for _, p := range strings.Fields(tt.kept) {
				check(t, New(rules...), tt.name, p, false)
			}
		}
	}
}

func TestParseFileErrors(t *testing.T) {
	tests := []struct {
		name, want string
		r          io.Reader
		is         error
	}{
		{"rule", `line 3: bad exclude pattern: "- " has nothing after its prefix`,
			strings.NewReader("a\r\nb\r#x\n- \nc"), ErrPattern},
		{"last line", `line 1: bad exclude pattern: "+ " has nothing after its prefix`, strings.NewReader("+ "), ErrPattern},
		{"long", "line 2: bad exclude pattern: ", strings.NewReader("a\n" + strings.Repeat("x", 4096)), ErrPattern},
		{"endless", "line 2: bad exclude pattern: longer than 1048576 bytes",
			io.MultiReader(strings.NewReader("a\n"), endless{}), ErrPattern},
		{"reading", "read exclude patterns: cut",
			io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(errCut)), errCut},
	}
	for _, tt := range tests {
		rules, err := ParseFile(tt.r)
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) || tt.is != nil && !errors.Is(err, tt.is) || rules != nil {
			t.Errorf("%s: %d rules, error %v; want %q", tt.name, len(rules), err, tt.want)
		}
	}
}

var errCut = errors.New("cut")

// endless is a line that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// TestHostile has patterns that take a backtracking matcher longer than the
// universe is old. The limit is that of the test itself.
func TestHostile(t *testing.T) {
	dirs := strings.Repeat("a/", 200)
	for _, p := range []string{
		strings.Repeat("*a", 200) + "[!c]",
		strings.Repeat("**a", 200) + "[!c]",
		strings.Repeat("**/", 200) + "[!c]",
		strings.Repeat("*?[!b]", 200) + "d*",
		strings.Repeat("**?", 200) + "d**",
		strings.Repeat("*", 4000) + "d*c",
		strings.Repeat("*/", 200) + "d*",
	} {
		l := list(t, p)
		for _, name := range []string{"c", strings.Repeat("a", 400) + "c"} {
			if l.Excluded(dirs+name, true) {
				t.Errorf("pattern %.20q... matches %.20q...%s", p, dirs, name)
			}
		}
	}
}
