package yamldoc

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// TestLines: keys are found by their paths, and those that are not there have
// no line.
func TestLines(t *testing.T) {
	doc, problem := Parse([]byte("a:\n  b.c: [x,\n    {d: 1}]\n  b:\n    e: 2\n? [k]\n:\n- - 1\n  - 2\n\"\": {f: 1}\n"))
	if problem != nil {
		t.Fatal(problem)
	}
	lines := doc.Lines()
	for key, want := range map[string]int{
		"a": 1, "a.b.c": 2, "a.b.c[0]": 2, "a.b.c[1]": 3, "a.b.c[1].d": 3, "a.b": 4, "a.b.e": 5,
		"": 10, "a.x": 0, "a.b.c[2]": 0, "a.b.c[-1]": 0, "a.b.c[x]": 0, "a.b.c[": 0, "a.b.c.d": 0, "a[0]": 0,
		"a.b.e.f": 0, "x": 0, ".": 0, "[0]": 0, "a.": 0,
	} {
		if got := lines(key); got != want {
			t.Errorf("%q is on line %d, want %d", key, got, want)
		}
	}
	empty, _ := Parse(nil)
	if got := empty.Lines()("a"); got != 0 {
		t.Errorf("in an empty document a is on line %d", got)
	}
}

// TestDepth: a document is nested as deep as somebody means it to be.
func TestDepth(t *testing.T) {
	nested := func(n int) string { return "\nlabels: " + strings.Repeat("[", n) + strings.Repeat("]", n) }
	mapped := func(n int) string { return "{" + strings.Repeat("a: {", n) + strings.Repeat("}", n) + "}" }
	for name, tc := range map[string]struct{ text, want string }{
		"lists":         {nested(maxDepth - 2), ""},
		"lists more":    {nested(maxDepth + 1), "line 2: is nested deeper than 100 levels"},
		"mappings":      {mapped(maxDepth - 3), ""},
		"mappings more": {mapped(maxDepth + 1), "line 1: is nested deeper than 100 levels"},
		"far more":      {mapped(9000), "line 1: is nested deeper than 100 levels"},
		"key":           {"? " + strings.Repeat("k", maxName) + "\n: 1", ""},
		"longer key":    {"\n? " + strings.Repeat("k", maxName+1) + "\n: 1", "line 2: a key has more than 1024 bytes"},
		"alias as key":  {"- &k " + strings.Repeat("k", maxName+1) + "\n- *k : 1", "line 2: a key has more than 1024 bytes"},
	} {
		_, problem := Parse([]byte(tc.text))
		if got := problem; (got == nil) != (tc.want == "") || got != nil && got.Error() != tc.want {
			t.Errorf("%s: %v, want %q", name, got, tc.want)
		}
	}
}

// TestWork: what a document costs grows as the document does, whatever it looks
// like.
func TestWork(t *testing.T) {
	leaves := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "k%d: ,", i)
		}
		return b.String()
	}
	key := strings.Repeat("k", 500)
	for name, text := range map[string]string{
		"deep":     "{" + strings.Repeat(key[:100]+": {", 1000) + strings.Repeat("}", 1000) + "}",
		"wide":     "{" + strings.Repeat(key+": {", 95) + leaves(8000) + strings.Repeat("}", 95) + "}",
		"long key": "jobs: {? " + strings.Repeat(key, 100) + " : {" + leaves(8000) + "}}",
		"unknown":  "jobs:\n- {" + leaves(20000) + "}",
		"merged":   "a: &a {" + leaves(8000) + "}\njobs:\n- {<<: [" + strings.Repeat("*a,", 900) + "]}",
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if doc, problem := Parse([]byte(text)); problem == nil {
			doc.Decode(&config{})
			doc.Lines()("a.b")
		}
		runtime.ReadMemStats(&after)
		if used := (after.TotalAlloc - before.TotalAlloc) / uint64(len(text)); used > 600 {
			t.Errorf("%s: %d bytes for each of %d", name, used, len(text))
		}
	}
}
