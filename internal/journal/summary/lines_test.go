package summary

import (
	"slices"
	"strings"
	"testing"

	"stretcher/internal/journal/history"
)

const (
	stamp = "2026/11/26 14:05:27 "
	zoned = "2026-11-26T14:05:27+01:00 "
)

// logOf is a log, and the detail of a run whose second step has failed; the next
// step begins behind next lines.
func logOf(lines []string, next int, d history.Detail) (string, history.Detail) {
	text, at := "", int64(0)
	for i, line := range lines {
		if i == next {
			at = int64(len(text))
		}
		text += line + "\n"
	}
	d.Steps = []history.Step{
		{Seq: 1, Point: "pre", Dialect: "command"},
		{Seq: 2, Point: "post", Dialect: "command", Exit: 3, Offset: int64(len(lines[0]) + 1)},
	}
	if next > 0 {
		d.Steps = append(d.Steps, history.Step{Seq: 3, Point: "failure", Offset: at})
	}
	return text, d
}

func TestLines(t *testing.T) {
	said := "error: post: it has failed"
	many := []string{stamp + "before"}
	for range 200 {
		many = append(many, stamp+"many")
	}
	for name, c := range map[string]struct {
		lines []string
		next  int
		want  []string
	}{
		"to the end":   {[]string{stamp + "before", stamp + "one", zoned + "two"}, 0, []string{"one", "two"}},
		"to the error": {[]string{stamp + "before", stamp + "one", stamp + said, stamp + "hint: x"}, 0, []string{"one"}},
		"to the next": {[]string{stamp + "before", stamp + "one", stamp + said, stamp + "failure: x", stamp + "two"}, 4,
			[]string{"one"}},
		"to the way back": {[]string{stamp + "before", zoned + "one",
			zoned + `warning: step "post" has failed: going back to release r`, stamp + said}, 3, []string{"one"}},
		"an error that is printed": {[]string{stamp + "before", stamp + said, stamp + "one", stamp + said}, 0,
			[]string{said, "one"}},
		"nothing":            {[]string{stamp + "before", stamp + said}, 0, nil},
		"not the program's":  {[]string{stamp + "before", "2026 is a year", "x"}, 0, []string{"2026 is a year", "x"}},
		"more than there is": {many, 0, slices.Repeat([]string{"many"}, MaxLines)},
	} {
		text, d := logOf(c.lines, c.next,
			history.Detail{Run: history.Run{Error: "post: it has failed", Result: history.Running}})
		got, err := Lines(d, strings.NewReader(text), int64(len(text)), -1)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
}

func TestLinesNoted(t *testing.T) {
	text, d := logOf([]string{stamp + "before", stamp + "error: post: printed", stamp + "after"}, 0,
		history.Detail{Run: history.Run{Error: "post: printed", Result: history.Failed, Step: "post"}})
	ended := int64(strings.Index(text, stamp+"after"))
	if got, err := Lines(d, strings.NewReader(text), int64(len(text)), ended); err != nil ||
		!slices.Equal(got, []string{"error: post: printed"}) {
		t.Errorf("%q, %v", got, err)
	}
}

// TestLinesOfTheDead: nobody has said what a run that died has failed in.
func TestLinesOfTheDead(t *testing.T) {
	text, d := logOf([]string{stamp + "before", stamp + "last"}, 0, history.Detail{Run: history.Run{Result: history.Died}})
	got, err := Lines(d, strings.NewReader(text), int64(len(text)), -1)
	if err != nil || !slices.Equal(got, []string{"before", "last"}) {
		t.Errorf("%q, %v", got, err)
	}
	d.Result = history.Good
	if got, err := Lines(d, strings.NewReader(text), int64(len(text)), -1); err != nil || got != nil {
		t.Errorf("of a good run: %q, %v", got, err)
	}
}
