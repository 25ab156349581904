package yamldoc

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"stretcher/internal/testparts"
)

// large is the size of a document that is read, in bytes.
const large = 1 << 20

// repeated is what of makes of numbers, until that is as much as is read.
func repeated(of func(i int) string) string {
	var b strings.Builder
	for i := 0; b.Len() < large-100; i++ {
		b.WriteString(of(i))
	}
	return b.String()
}

// bomb is a list that is as long as a power of ten, by its aliases.
func bomb(exponent int) string {
	text := "x0: &x0 [a]\n"
	for i := range exponent {
		text += fmt.Sprintf("x%d: &x%d [%s]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*x%d, ", i), 10))
	}
	return text + fmt.Sprintf("env: {A: *x%d}\n", exponent)
}

// TestLarge: nothing takes as long as the square of a document, or longer. Each of
// these once took half a minute, or hours.
func TestLarge(t *testing.T) {
	done := make(chan string)
	same := func(text string) string { return text }
	rewrite := func(text string) string {
		doc, problem := Parse([]byte(text))
		if problem != nil {
			return problem.Error()
		}
		put := func(line string) string { return strings.ReplaceAll(line, "HOLE", "v") }
		doc.Fill(Filler{Value: func(text string, _ Place) string { return put(text) }, Key: same, Comment: same})
		got, ok := doc.Rewritten([]byte(text), put)
		return fmt.Sprint(ok, strings.ReplaceAll(string(got), "HOLE", "v") == string(got))
	}
	for name, try := range map[string]struct {
		of   func() string
		want string
	}{
		"one line": {func() string {
			item := `"HOLE` + strings.Repeat(".", 50) + `",`
			return rewrite(`{"a": [` + repeated(func(int) string { return item }) + `"x"]}`)
		}, "true true"},
		"bomb": {func() string {
			doc, _ := Parse([]byte(bomb(12)))
			return fmt.Sprint(len(doc.Below("env", "").Values), doc.Below("env", "").Values[Place{1, 10}])
		}, "1A"},
		"a part with many keys": {func() string {
			var v withRaw
			keys := repeated(func(i int) string { return fmt.Sprintf("k%015d: 1,\n", i) })
			_, problems := Decode([]byte("config: {"+keys+"}"), &v)
			return fmt.Sprint(len(problems), v.Config.IsMap())
		}, "0 true"},
		"unknown keys": {func() string {
			var v config
			warnings, _ := Decode([]byte(repeated(func(i int) string { return fmt.Sprintf("k%d:\n", i) })), &v)
			return fmt.Sprint(len(warnings))
		}, fmt.Sprint(maxTold)},
	} {
		go func() { done <- try.of() }()
		select {
		case got := <-done:
			if got != try.want {
				t.Errorf("%s: got %s, want %s", name, got, try.want)
			}
		case <-time.After(testparts.Limit(15 * time.Second)):
			t.Fatalf("%s: gave up waiting", name)
		}
	}
}

// TestLinesOf: lines are those that YAML counts.
func TestLinesOf(t *testing.T) {
	for _, end := range []string{"\n", "\r", "\r\n", "\u0085", "\u2028", "\u2029"} {
		text := "# é" + end + "a: HOLE" + end + end + "src: x" + end + "b: 'HOLE'"
		if got := linesOf([]byte(text)); len(got) != 5 || string(got[3]) != "src: x"+end {
			t.Errorf("%q: %q", text, got)
		}
		doc, problem := Parse([]byte(text))
		if problem != nil || doc.Lines()("src") != 4 {
			t.Fatalf("%q: %v, on line %d", text, problem, doc.Lines()("src"))
		}
		put := func(line string) string { return strings.ReplaceAll(line, "HOLE", "v") }
		same := func(text string) string { return text }
		doc.Fill(Filler{Value: func(text string, _ Place) string { return put(text) }, Key: same, Comment: same})
		want := "# é" + end + "a: \"v\"" + end + end + "src: x" + end + "b: \"v\""
		if got, ok := doc.Rewritten([]byte(text), put); !ok || string(got) != want {
			t.Errorf("%q became %q, %v", text, got, ok)
		}
		want = "# é" + end + "a: HOLE" + end + end + "src: z\nb: 'HOLE'\n"
		if got, err := Set([]byte(text), []Entry{{"src", "z"}}); err != nil || string(got) != want {
			t.Errorf("%q became %q, %v", text, got, err)
		}
	}
}
