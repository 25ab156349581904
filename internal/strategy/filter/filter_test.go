package filter

import (
	"strings"
	"testing"
)

// list makes a List of patterns as --exclude takes them.
func list(t *testing.T, patterns ...string) *List {
	t.Helper()
	var rules []Rule
	for _, p := range patterns {
		r, ok, err := Parse(p)
		if err != nil || !ok {
			t.Fatalf("Parse(%q) = %v, %v", p, ok, err)
		}
		rules = append(rules, r)
	}
	return New(rules...)
}

// TestMatch holds the forms of a pattern. Paths with a trailing slash are
// directories; both lists are separated by spaces.
func TestMatch(t *testing.T) {
	tests := []struct{ pattern, excluded, kept string }{
		// The examples of rsync(1), PATTERN MATCHING RULES.
		{"*.o", "a.o x/a.o .o d.o/ é.o", "a.c a.o/x a.oo o"},
		{"/foo", "foo foo/", "x/foo foo/x afoo"},
		{"foo/", "foo/ x/foo/", "foo x/foo afoo/ foo/x"},
		{"foo/*/bar", "foo/x/bar foo/x/bar/ y/foo/x/bar", "foo/bar foo/x/y/bar afoo/x/bar foo/x/bar/z bar"},
		{"/foo/**/bar", "foo/x/bar foo/x/y/bar", "foo/bar y/foo/x/bar foo/x/abar"},
		{"foo", "foo x/foo x/foo/", "foo/x foox xfoo Foo"},
		{"foo/bar", "foo/bar x/foo/bar x/y/foo/bar/", "xfoo/bar foo/bar/x bar foo/x/bar"},
		{"/foo/**", "foo/x foo/x/y", "foo/ foo x/foo/y"},
		{"/foo/bar/**", "foo/bar/x/y", "foo/bar/ foo/x"},
		{"/me/foo/bar", "me/foo/bar", "foo/bar x/me/foo/bar"},
		{"dir_name/***", "dir_name/ dir_name/a dir_name/a/b x/dir_name/ x/dir_name/a", "dir_name xdir_name/ xdir_name/a"},
		{`foo\bar`, `foo\bar x/foo\bar`, "foobar"},
		{`foo\bar*`, "foobar foobarx", `foo\bar foo\barx`},
		{`foo\\bar*`, `foo\bar foo\barx`, "foobar"},
		// Stars and slashes.
		{"*", "a a/b .x", ""},
		{"**", "a a/b/c .x", ""},
		{"a*b", "ab axxb x/ab", "a/b axb/c"},
		{"a**b", "ab a/b x/a/b axx/yy/b", "ba xa/b"},
		{"*a**b", "ab xa/b y/xa/b x/y/za/b", "b/a ba"},
		{"**/foo", "foo x/foo x/y/foo", "xfoo"},
		{"**foo", "foo xfoo x/y/zfoo", "foox"},
		{"*/foo", "x/foo x/y/foo", "foo"},
		{"/*/foo", "x/foo", "foo x/y/foo"},
		{"/*", "a a/", "a/b"},
		{"a?c", "abc a.c x/a*c", "a/c ac abbc"},
		{"/a?c", "abc", "a/c x/abc"},
		{"foo/*", "foo/x y/foo/x", "foo/ foo/x/y"},
		{"foo***", "foo foo/ foox foo/a x/foo/a", "xfoo"},
		{"***", "a a/ a/b", ""},
		{"**/", "a/ a/b/", "a a/b"},
		{"foo/***/", "foo/ foo/x/ y/foo/", "foo foo/x"},
		{`a\/b*`, "a/b x/a/bc", "ab"},
		// Patterns that match nothing.
		{"/", "", "a a/"},
		{"//", "", "a a/"},
		{"foo//", "", "foo foo/"},
		{"//foo", "", "foo x/foo"},
		{"/foo/ ", "", "foo foo/"},
		{`a*\`, "", `a a\ ab\`},
		{"[a", "", "a [a"},
		{"[!a", "", "b [!a"},
		{"[a-", "", "a [a- [a"},
		{`[a-\`, "", "a -"},
		{`[a\`, "", "a"},
		{"[[:word:]]", "", "a [ :"},
		{"[a[:word:]]", "", "a : ]"},
		{"[[::]]", "", "a [ :"},
		{"[[:alpha", "", "a"},
		{"*[", "", "a[ a"},
		// The whole of the pattern counts, spaces too.
		{" foo", "", "foo"},
		{"foo ", "", "foo"},
		{"#foo", "#foo", "foo"},
		{"!foo", "!foo", "foo"},
		{"-foo", "-foo", "foo"},
		{"-", "-", "a"},
		{"- - ", "", "- a"},
		{"- !", "!", "a"},
		{"- + a", "", "a"},
	}
	for _, tt := range tests {
		l := list(t, tt.pattern)
		for _, p := range strings.Fields(tt.excluded) {
			check(t, l, tt.pattern, p, true)
		}
		for _, p := range strings.Fields(tt.kept) {
			check(t, l, tt.pattern, p, false)
		}
	}
}

// TestLength has patterns of all lengths around those where the memory for
// the matching changes.
func TestLength(t *testing.T) {
	for n := 2; n < 200; n++ {
		name := strings.Repeat("a", n)
		l := list(t, strings.Repeat("?", n)+"*")
		check(t, l, "?...*", "x"+name, true)
		check(t, l, "?...*", "x/"+name[1:], false)
	}
}

func check(t *testing.T, l *List, pattern, path string, want bool) {
	t.Helper()
	name, isDir := strings.CutSuffix(path, "/")
	if got := l.Excluded(name, isDir); got != want {
		t.Errorf("pattern %q, path %q: excluded %v, want %v", pattern, path, got, want)
	}
}

func TestClass(t *testing.T) {
	tests := []struct{ pattern, in, out string }{
		{"[abc]", "abc", "dA]["},
		{"[a-c]", "abc", "d-"},
		{"[!a-c]", "d-]!\xff", "abc/"},
		{"[^a]", "b^!", "a"},
		{"[a^!]", "a^!", "b"},
		{"[]a]", "]a", "[b"},
		{"[!]a]", "b[", "]a"},
		{"[]-a]", "]^_`a", "-[b"},
		{"[a-]", "a-", "b"},
		{"[-a]", "a-", "b"},
		{"[!-a]", "b", "a-"},
		{"[a-c-e]", "abc-e", "d"},
		{"[c-a]", "c", "ab-"},
		{"[--0]", "-.0", "/,1"},
		{`[\]a]`, `]a`, `\`},
		{`[a\-c]`, "a-c", `b\`},
		{`[a-\c]`, "abc", `\-`},
		{`[\a-c]`, "abc", `\-`},
		{`[\\]`, `\`, "a"},
		{"[\xc0-\xff]", "\xc0\xff", "\xbfa"},
		{"[[:alpha:]]", "azAZ", "0:[]\xe9"},
		{"[[:digit:]x]", "09x", "ad:"},
		{"[![:digit:]]", "a:", "05"},
		{"[[:upper:][:digit:]]", "AZ5", "a["},
		{"[[:digit:]-a]", "5-a", "B:"},
		{"[[:space:]]", " \t\n\v\f\r", "a_"},
		{"[[:blank:]]", " \t", "\n"},
		{"[[:cntrl:]]", "\x01\x1f\x7f", " a\x80"},
		{"[[:punct:]]", "!:@[`{~.,", "aZ0 "},
		{"[[:graph:]]", "!~a", " \x7f"},
		{"[[:print:]]", " ~a", "\x1f\x7f"},
		{"[[:xdigit:]]", "09afAF", "gG"},
		{"[[:alnum:]]", "a0Z", "_"},
		{"[[:lower:]]", "az", "AZ"},
		{"[[:a]", "[:a", "b]"},
		{"[a[:]", "a[:", "]"},
		{"[/a]", "a", "/"},
	}
	for _, tt := range tests {
		set, n := parseClass(tt.pattern + "rest]")
		if n != len(tt.pattern) {
			t.Errorf("class %q: length %d, want %d", tt.pattern, n, len(tt.pattern))
			continue
		}
		for c := range 256 {
			b := string([]byte{byte(c)})
			in, out := strings.Contains(tt.in, b), strings.Contains(tt.out, b)
			if (in || out) && set.has(byte(c)) != in {
				t.Errorf("class %q: has %q %v, want %v", tt.pattern, b, !in, in)
			}
		}
	}
}

// TestOrder has the lists of rules: the first that matches wins.
func TestOrder(t *testing.T) {
	tests := []struct {
		patterns       []string
		excluded, kept string
	}{
		{nil, "", "a a/ a/b"},
		{[]string{"+ */", "+ *.c", "*"}, "x.o d/x.o c", "d/ x.c d/e/ d/e/x.c"},
		{[]string{"+ foo/", "+ foo/bar.c", "*"}, "a foo foo/x x/ bar.c", "foo/ foo/bar.c"},
		{[]string{"*.c", "+ a.c"}, "a.c b.c", "a.h"},
		{[]string{"+ a.c", "- *.c"}, "b.c", "a.c x/a.c"},
		{[]string{"a", "!", "b"}, "b", "a"},
		{[]string{"a", "!"}, "", "a"},
		{[]string{"a", "- !"}, "a !", "b"},
		{[]string{"a"}, "a", "a/b"}, // the parents are the caller's part
	}
	for _, tt := range tests {
		l := list(t, tt.patterns...)
		for _, p := range strings.Fields(tt.excluded) {
			check(t, l, strings.Join(tt.patterns, ", "), p, true)
		}
		for _, p := range strings.Fields(tt.kept) {
			check(t, l, strings.Join(tt.patterns, ", "), p, false)
		}
	}
}

// TestRoot checks that no rule excludes the root, and that no list is needed.
func TestRoot(t *testing.T) {
	l := list(t, "*", "/", "**", ".", "***", "/***")
	for _, root := range []string{"", "."} {
		if l.Excluded(root, true) {
			t.Errorf("root %q is excluded", root)
		}
	}
	if (*List)(nil).Excluded("a", false) || New().Excluded("a", false) || New(Rule{}).Excluded("a", false) {
		t.Error("an empty list excludes a path")
	}
}

func BenchmarkExcluded(b *testing.B) {
	const list = "*.pid\n/log/\n*~\n.git/\nnode_modules/**/test\n/tmp/***\n**/cache/*.tmp\n[._]*.sw?\n"
	rules, err := ParseFile(strings.NewReader(list))
	if err != nil {
		b.Fatal(err)
	}
	l := New(rules...)
	for b.Loop() {
		l.Excluded("app/vendor/bundle/ruby/gems/rack-1.2.3/lib/rack/session/cookie.rb", false)
	}
}
