package yamldoc

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// values are texts that would be something else if they were put into the
// text of a document.
func values() []string {
	return []string{
		"", "value", "5", "1.10", "true", "null", "~", "<<", "2026-01-01", "0x1F", "a b", " lead", "trail ", "\tTab",
		"a: b", "a #b", "#", "- a", "[1]", "{a: b}", "*a", "&a", "!t", "!!int 5", "|", ">", "%", "@",
		"`", "?", "'", `"`, `it's "so"`, `\n`,
		"two\nlines", "end\n", "\n", "\nlead", "a\n\n\nb", "\r\n", "a\rb", "---", "...", "--- |\n  a",
		"1\ncommands: {post: [\"touch ran\"]}", "1\n- b\n", "x'\ny: \"z",
		"\x00", "\x1b[2J", "\u0085", "\u2028", "\ufeff", "ü…💥", "\\x41",
		strings.Repeat("long ", 50), strings.Repeat("x", 5000), "  two\n    deep\n", "a:\n  b",
	}
}

// forms are documents with a HOLE for a value, and what they are for.
func forms() map[string]string {
	return map[string]string{
		"plain":        "v: HOLE\nw: 1\n",
		"in plain":     "v: a HOLE b\nw: 1\n",
		"double":       "v: \"HOLE\"\nw: 1\n",
		"in double":    "v: \"a HOLE b\"\nw: 1\n",
		"single":       "v: 'HOLE'\nw: 1\n",
		"literal":      "v: |\n  HOLE\n  b\nw: 1\n",
		"literal keep": "v: |+\n  HOLE\n\nw: 1\n",
		"folded":       "v: >-\n  HOLE\n  b\nw: 1\n",
		"flow list":    "v: [HOLE, b]\nw: 1\n",
		"flow map":     "v: {a: HOLE, b: c}\nw: 1\n",
		"list":         "v:\n- HOLE\n- b\nw: 1\n",
		"map":          "v:\n  a: HOLE # HOLE\n  # HOLE\n  b: c\nw: 1\n",
		"anchor":       "v: &a HOLE\nx: *a\nw: 1\n",
		"tagged":       "v: !!str HOLE\nw: 1\n",
		"comment":      "# HOLE\nv: 1 # HOLE\n# HOLE\nw: 1\n# HOLE\n",
		"end":          "w: 1\nv: HOLE",
		"many lines":   "v: a\n  HOLE\n  b\nw: 1\n",
		"alone":        "HOLE",
	}
}

// filled returns the document of form with value in its hole.
func filled(t *testing.T, form, value string) *Document {
	t.Helper()
	doc, problem := Parse([]byte(form))
	if problem != nil {
		t.Fatal(problem)
	}
	put := func(text string, _ Place) string { return strings.ReplaceAll(text, "HOLE", value) }
	same := func(text string) string { return text }
	doc.Fill(Filler{Value: put, Key: same, Comment: same})
	return doc
}

// shape is the structure of a document: all but its values.
func shape(doc *Document) string {
	var b strings.Builder
	var write func(n *yaml.Node, key bool)
	write = func(n *yaml.Node, key bool) {
		fmt.Fprintf(&b, "%d%s(", n.Kind, n.Anchor)
		if key || n.Kind == yaml.AliasNode {
			b.WriteString(n.Value)
		}
		for i, child := range n.Content {
			write(child, key || n.Kind == yaml.MappingNode && i%2 == 0)
		}
		b.WriteString(")")
	}
	write(&doc.node, false)
	return b.String()
}

// TestFill: each value arrives as it is, in each kind of scalar, and the
// structure is that of any other value. What the document is written as holds
// the same.
func TestFill(t *testing.T) {
	for name, form := range forms() {
		want := shape(filled(t, form, "value"))
		for _, value := range values() {
			doc := filled(t, form, value)
			text, err := doc.Text()
			if err != nil {
				t.Errorf("%s, %q: %v", name, value, err)
				continue
			}
			again, problem := Parse(text)
			if problem != nil {
				t.Errorf("%s, %q: written as %q: %v", name, value, text, problem)
				continue
			}
			if got := shape(again); got != want {
				t.Errorf("%s, %q: the structure is\n%s, not\n%s", name, value, got, want)
			}
			if !same(&doc.node, &again.node) {
				t.Errorf("%s, %q: written as %q", name, value, text)
			}
			if node := again.root().Content; name == "double" || name == "plain" && node[1].Tag != "!!null" {
				if got := node[1].Value; got != value {
					t.Errorf("%s: %q, not %q", name, got, value)
				}
			}
		}
	}
}

// TestFillTypes: a plain scalar has the type of its new text, any other is
// text.
func TestFillTypes(t *testing.T) {
	for value, tag := range map[string]string{
		"5": "!!int", "1.5": "!!float", "true": "!!bool", "null": "!!null", "~": "!!null", "": "!!null",
		"2026-01-01": "!!timestamp",
		"x":          "!!str", "5x": "!!str", "<<": "!!str", "a: b": "!!str", "[1]": "!!str", "two\nlines": "!!str",
	} {
		for form, want := range map[string]string{
			"v: HOLE": tag, "v: 'HOLE'": "!!str", "v: \"HOLE\"": "!!str", "v: |-\n  HOLE": "!!str", "v: !!str HOLE": "!!str",
		} {
			doc := filled(t, form, value)
			if got := doc.root().Content[1].ShortTag(); got != want {
				t.Errorf("%q with %q is %s, want %s", form, value, got, want)
			}
		}
	}
}

// TestFillKeys: keys are what is made of them, at any depth.
func TestFillKeys(t *testing.T) {
	doc, problem := Parse([]byte("a: {b: c}\n? [d, {e: f}]\n: g\n"))
	if problem != nil {
		t.Fatal(problem)
	}
	var keys, values []string
	doc.Fill(Filler{
		Key:     func(s string) string { keys = append(keys, s); return s + s },
		Value:   func(s string, _ Place) string { values = append(values, s); return s },
		Comment: func(s string) string { return s },
	})
	if strings.Join(keys, "") != "abdef" || strings.Join(values, "") != "cg" {
		t.Errorf("keys %q, values %q", keys, values)
	}
	doubled, _ := Parse([]byte("aa: {bb: c}\n? [dd, {ee: ff}]\n: g\n"))
	if text, err := doc.Text(); err != nil || !doubled.Holds(text) {
		t.Errorf("%s, %v", text, err)
	}
}

// TestText: comments stay where the library puts them back right, and values
// always.
func TestText(t *testing.T) {
	for _, doc := range []string{
		"", "# only\n", "a: 1 # one\n# two\nb: [x, 'y']\n", "a: |2\n    deep\n  less\n", "a: &x {b: 1}\nc: {<<: *x}\n",
		"[a, # one\n b]\n",
		"a: >\n  folded\n  text\n\nb: 1\n", "a: \"\\x00\"\n", "--- a\n--- b\n", "? [a]\n: b\n", "a: !t {b: !u c}\n",
	} {
		parsed, problem := Parse([]byte(doc))
		if problem != nil {
			t.Errorf("%q: %v", doc, problem)
			continue
		}
		text, err := parsed.Text()
		again, problem := Parse(text)
		if err != nil || problem != nil || !same(&parsed.node, &again.node) {
			t.Errorf("%q is written as %q: %v, %v", doc, text, err, problem)
		}
	}
	parsed, _ := Parse([]byte("a: 1 # one\n"))
	if text, err := parsed.Text(); err != nil || string(text) != "a: 1 # one\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// TestPlain: a document without its dress holds the same values.
func TestPlain(t *testing.T) {
	doc := "# one\na: &x |\n  two\n  lines # three\nb: [1, '1', *x, {c: !t d}] # four\nc: !!str 5\nd: 2026-01-01\n"
	before, problem := Parse([]byte(doc))
	after, _ := Parse([]byte(doc))
	if problem != nil {
		t.Fatal(problem)
	}
	plain(&after.node)
	text, err := encode(&after.node)
	again, problem := Parse(text)
	if err != nil || problem != nil || !same(&before.node, &again.node) {
		t.Fatalf("%q: %v, %v", text, err, problem)
	}
	for _, gone := range []string{"# one", "# four", "|", "["} {
		if strings.Contains(string(text), gone) {
			t.Errorf("%q is in %q", gone, text)
		}
	}
	if !strings.Contains(string(text), "\n  - 1\n") {
		t.Errorf("a number is in quotes: %q", text)
	}
}

// TestSame: what differs in any value, type or length is not the same.
func TestSame(t *testing.T) {
	docs := []string{
		"a: 1", "a: 2", "a: '1'", "a: &x 1", "a: &y 1", "b: 1", "[a, 1]", "[a]", "a: [1]", "a: {b: 1}",
		"a: &x [1]\nb: *x", "a: &x [1]\nb: [1]", "a: !t 1",
	}
	for i, one := range docs {
		for k, other := range docs {
			a, _ := Parse([]byte(one))
			b, _ := Parse([]byte(other))
			if same(&a.node, &b.node) != (i == k) {
				t.Errorf("%q and %q", one, other)
			}
		}
	}
	a, _ := Parse([]byte("a: '1'\nb: [x]"))
	b, _ := Parse([]byte("# other dress\na: \"1\"\nb:\n- x"))
	if !same(&a.node, &b.node) {
		t.Error("dress makes a difference")
	}
}

// FuzzFill: whatever document and value, no panic, and the value changes
// nothing but the scalars that it stands in.
func FuzzFill(f *testing.F) {
	for _, form := range forms() {
		f.Add(form, "a: b\n- c")
	}
	f.Add("config: {1: one, <<: {? [1] : b}}", "HOLE")
	f.Fuzz(func(t *testing.T, form, value string) {
		if _, problem := Parse([]byte(form)); problem != nil || !utf8.ValidString(value) {
			return
		}
		doc := filled(t, form, value)
		if got, want := shape(doc), shape(filled(t, form, "value")); got != want {
			t.Errorf("%q with %q: %q, not %q", form, value, got, want)
		}
		doc.Rewritten([]byte(form), func(line string) string { return strings.ReplaceAll(line, "HOLE", value) })
		for at := range doc.Below("a", "").Values {
			doc.KeyAt(at)
		}
		text, err := doc.Text()
		if err != nil {
			return
		}
		again, problem := Parse(text)
		if problem != nil || shape(again) != shape(doc) {
			t.Errorf("%q with %q is written as %q: %v", form, value, text, problem)
		}
	})
}
