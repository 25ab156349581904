package yamldoc

import (
	"strings"
	"testing"
)

// TestRewritten: a document that was filled is written as it was, but for the
// scalars that are others now.
func TestRewritten(t *testing.T) {
	for _, tc := range []struct{ text, value, want string }{
		{"# one\na:   HOLE # two\n\nb: [x,  HOLE]\n", "v: # w", "# one\na:   \"v: # w\" # two\n\nb: [x,  \"v: # w\"]\n"},
		{"a: HOLE\n", "12", "a: 12\n"},
		{"a: \"say HOLE\" # c\n", "a\"\nb", "a: \"say a\\\"\\nb\" # c\n"},
		{"a: 'it''s HOLE'\n", "x", "a: \"it's x\"\n"},
		{"a: &b HOLE\nc: *b\n", "x", "a: &b \"x\"\nc: *b\n"},
		{"ä: {é: HOLE, ü: HOLE} # HOLE\n", "x", "ä: {é: \"x\", ü: \"x\"} # HOLE\n"},
		{"a: |\n  one HOLE\n  two\nb: HOLE\n", "x\ny", "a: |\n  one x\n  y\n  two\nb: \"x\\ny\"\n"},
		{"a: >-\n    one HOLE\n\n    two\n# c\nb: 1\n", "x", "a: >-\n    one x\n\n    two\n# c\nb: 1\n"},
		{"HOLE: 1 # c\n'HOLE': {HOLE : HOLE}\n", "x: y", "\"x: y\": 1 # c\n\"x: y\": {\"x: y\" : \"x: y\"}\n"},
		{"a: 1\r\nb: HOLE\r\n", "x", "a: 1\r\nb: \"x\"\r\n"},
	} {
		put := func(line string) string { return strings.ReplaceAll(line, "HOLE", tc.value) }
		doc, _ := Parse([]byte(tc.text))
		same := func(text string) string { return text }
		doc.Fill(Filler{Value: func(text string, _ Place) string { return put(text) }, Key: put, Comment: same})
		got, ok := doc.Rewritten([]byte(tc.text), put)
		if !ok || string(got) != tc.want {
			t.Errorf("%q: %q, %v, want %q", tc.text, got, ok, tc.want)
		}
	}
}

// TestNotRewritten: a scalar that does not end on its line stays for others, and
// what would be another document is never said to be this one.
func TestNotRewritten(t *testing.T) {
	for _, text := range []string{"a: one\n  HOLE\n", "a: \"one\n  HOLE\"\n"} {
		doc := filled(t, text, " \t x\n---\nb")
		put := func(line string) string { return strings.ReplaceAll(line, "HOLE", "else") }
		if got, ok := doc.Rewritten([]byte(text), put); ok {
			t.Errorf("%q is written as %q", text, got)
		}
	}
}

// TestPlaces: a key begins where it stands, and its value where that does.
func TestPlaces(t *testing.T) {
	doc, problem := Parse([]byte("a: 1\nb: [x, {c: y}]\nd: &e\n  f: z\ng: *e\nh: [one]\n"))
	if problem != nil {
		t.Fatal(problem)
	}
	places := doc.Places()
	for key, want := range map[string][2]Place{
		"a": {{1, 1}, {1, 4}}, "b": {{2, 1}, {2, 4}}, "b[0]": {{2, 5}, {2, 5}}, "b[1].c": {{2, 9}, {2, 12}},
		"d.f": {{4, 3}, {4, 6}}, "g": {{5, 1}, {3, 4}}, "h": {{6, 1}, {6, 5}}, "none": {},
	} {
		if got := doc.KeyAt(want[1]); key == "b[1].c" && got != key || key == "none" && got != "" {
			t.Errorf("at %v is %q, not %q", want[1], got, key)
		}
		if name, value := places(key); name != want[0] || value != want[1] {
			t.Errorf("%s: %v, %v, want %v", key, name, value, want)
		}
	}
}
