package filter

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// oneByOne is what List.Excluded must say: each rule is tried, in order.
func oneByOne(rules []Rule, path string, isDir bool) bool {
	base := path[strings.LastIndexByte(path, '/')+1:]
	for _, r := range rules {
		if r.match(path, base, isDir) {
			return !r.include
		}
	}
	return false
}

// TestIndex: rules that are found by their text decide as those that are tried
// one by one.
func TestIndex(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	names := strings.Split("a,b,c/d,/a,/b/a,a/b/c,d/,/c/,a/d/,*,a*,**/c,/a/***,+ a,+ b/,+ /c/d,- b", ",")
	elements := []string{"a", "b", "c", "d"}
	excluded := 0
	for range 3000 {
		var rules []Rule
		for range rnd.IntN(6) {
			r, _, err := Parse(names[rnd.IntN(len(names))])
			if err != nil {
				t.Fatal(err)
			}
			rules = append(rules, r)
		}
		l := New(rules...)
		for range 10 {
			path := elements[rnd.IntN(4)]
			for range rnd.IntN(4) {
				path += "/" + elements[rnd.IntN(4)]
			}
			isDir := rnd.IntN(2) == 0
			want := oneByOne(rules, path, isDir)
			if got := l.Excluded(path, isDir); got != want {
				t.Fatalf("%+v: %q, directory %v: %v, want %v", rules, path, isDir, got, want)
			}
			if want {
				excluded++
			}
		}
	}
	if excluded < 3000 {
		t.Errorf("%d excluded: the patterns test little", excluded)
	}
}

// TestManyPatterns: patterns without wildcards are not tried one by one.
func TestManyPatterns(t *testing.T) {
	var text strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&text, "name%d\n/path/%d\nin/%d/\n", i, i, i)
	}
	rules, err := ParseFile(strings.NewReader(text.String() + "*.o\n"))
	if err != nil {
		t.Fatal(err)
	}
	l := New(rules...)
	if len(l.wild) != 1 {
		t.Errorf("%d patterns are tried one by one, want 1", len(l.wild))
	}
	for path, want := range map[string]bool{"x/name5": true, "path/7": true, "x/in/9": true, "x": false, "y/x.o": true} {
		if l.Excluded(path, true) != want {
			t.Errorf("%q: want %v", path, want)
		}
	}
	for list, want := range map[string]int{"": 0, "a\nb\n": 0, "*\nabc\n[a]\r?\n": 5, text.String(): 0} {
		if got := Wild(list); got != want {
			t.Errorf("Wild(%.20q) = %d, want %d", list, got, want)
		}
	}
}

// BenchmarkManyPatterns: a path costs the same in a list of any length.
func BenchmarkManyPatterns(b *testing.B) {
	for _, n := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var text strings.Builder
			for i := range n {
				fmt.Fprintf(&text, "name%d\n", i)
			}
			rules, err := ParseFile(strings.NewReader(text.String()))
			if err != nil {
				b.Fatal(err)
			}
			l := New(rules...)
			for b.Loop() {
				l.Excluded("a/b/c/name", false)
			}
		})
	}
}

// BenchmarkMostWildcards is a path in the longest list of wildcards that is
// accepted.
func BenchmarkMostWildcards(b *testing.B) {
	rules, err := ParseFile(strings.NewReader(strings.Repeat("*a*b*\n", MaxWild/6)))
	if err != nil {
		b.Fatal(err)
	}
	l := New(rules...)
	for b.Loop() {
		l.Excluded("a/b/c/name", false)
	}
}
