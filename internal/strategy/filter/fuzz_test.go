package filter

import (
	"regexp"
	"strings"
	"testing"
)

// FuzzParse checks on any pattern and path that the parser and the matcher
// end, that they agree with a translation to a regular expression, and that a
// file with the pattern as its only line says the same.
func FuzzParse(f *testing.F) {
	for _, s := range []struct{ pattern, path string }{
		{"*.o", "x/a.o"}, {"+ foo/*/bar", "foo/x/bar"}, {"/foo/**/bar", "foo/x/y/bar"},
		{"dir/***", "dir"}, {"**/foo", "foo"}, {"*a**b", "x/y/za/b"}, {"[!a-c[:digit:]]", "d"},
		{`foo\\bar*`, `foo\bar`}, {"a/", "a"}, {"!", "a"}, {"- ", "a"}, {"[", "["}, {`a*\`, "a"},
		{"**[?]*[]-a]**", "a/b?]/c"}, {"\xff[\xc0-\xff]?", "\xff\xff\xff"}, {"", ""}, {"//", "/"},
	} {
		f.Add(s.pattern, s.path, true)
		f.Add(s.pattern, s.path, false)
	}
	f.Fuzz(func(t *testing.T, pattern, path string, isDir bool) {
		r, ok, err := Parse(pattern)
		if err != nil || !ok {
			if err != nil && ok {
				t.Fatalf("Parse(%q) gives a rule and %v", pattern, err)
			}
			return
		}
		got := New(r).Excluded(path, isDir)
		if got && r.include {
			t.Fatalf("%q includes, and excludes %q", pattern, path)
		}
		if !strings.ContainsAny(pattern, "\r\n\x00") && !strings.ContainsAny(pattern[:1], "#;") {
			rules, err := ParseFile(strings.NewReader(pattern))
			if err != nil || New(rules...).Excluded(path, isDir) != got {
				t.Fatalf("ParseFile(%q): %v, or another verdict on %q than %v", pattern, err, path, got)
			}
		}
		compareRegexp(t, r, path)
	})
}

// compareRegexp matches path with the tokens of r and with the regular
// expression that they stand for. Bytes become runes of the same number,
// since the regexp package reads UTF-8.
func compareRegexp(t *testing.T, r Rule, path string) {
	t.Helper()
	if len(r.tokens) == 0 || len(r.tokens) > 50 || len(path) > 200 {
		return // compiling would dominate
	}
	var b strings.Builder
	for _, tok := range r.tokens {
		b.WriteString(regexpOf(tok))
	}
	for _, c := range []struct {
		start string
		any   bool
	}{{`\A`, false}, {`(?:\A|/)`, true}} {
		re := regexp.MustCompile(`(?s)` + c.start + `(?:` + b.String() + `)\z`)
		if got, want := matchTokens(r.tokens, path, c.any), re.MatchString(latin1(path)); got != want {
			t.Fatalf("tokens of %q on %q, any name %v: %v, regexp %v", b.String(), path, c.any, got, want)
		}
	}
}

func regexpOf(tok token) string {
	switch tok.kind {
	case one:
		return "[^/]"
	case star:
		return "[^/]*"
	case starStar:
		return ".*"
	case literal:
		return regexp.QuoteMeta(string(rune(tok.char)))
	case class:
		// An alternative that matches nothing stands first, for classes without a byte.
		var b strings.Builder
		for c := range 256 {
			if tok.set.has(byte(c)) {
				b.WriteString(`|` + regexp.QuoteMeta(string(rune(c))))
			}
		}
		return `(?:[^\x00-\x{10ffff}]` + b.String() + ")"
	}
	return `[^\x00-\x{10ffff}]`
}

func latin1(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}
