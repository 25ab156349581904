package runlog

import (
	"fmt"
	"strings"
	"testing"
)

func TestTail(t *testing.T) {
	numbers := "1\n2\n3\n4\n"
	for _, c := range []struct {
		log      string
		from, to int64
		want     string
		more     bool
	}{
		{numbers, 0, -1, "2|3|4", true},
		{numbers, 2, -1, "2|3|4", false},
		{numbers, 2, 6, "2|3", false},
		{numbers, 0, 99, "2|3|4", true},
		{numbers, 99, -1, "", false},
		{numbers, -5, 2, "1", false},
		{numbers, 6, 2, "", false},
		{"", 0, -1, "", false},
		{"no end", 0, -1, "no end", false},
		{"\n\n", 0, -1, "|", false},
		{"a\tb\x1b[31m\u202e\xff\r\n", 0, -1, `a` + "\t" + `b\x1b[31m\u202e\xff\r`, false},
		{strings.Repeat("x", maxTail) + "\nlast\n", 0, -1, "last", true},
		{"first\n" + strings.Repeat("x", maxTail+9), 0, -1, strings.Repeat("x", maxTail), true},
	} {
		log := strings.NewReader(c.log)
		lines, more, err := Tail(log, log.Size(), c.from, c.to, 3)
		got := strings.Join(lines, "|")
		if got != c.want || more != c.more || err != nil {
			t.Errorf("%.20q from %d to %d: %.80q, %v, %v; want %.80q, %v", c.log, c.from, c.to, got, more, err, c.want, c.more)
		}
	}
}

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, fmt.Errorf("broken") }

func TestTailOfBrokenLog(t *testing.T) {
	if lines, _, err := Tail(broken{}, 9, 0, -1, 3); err == nil || lines != nil {
		t.Errorf("%q, %v", lines, err)
	}
}

// What the program says of a failure is no line of the step before it; what says
// the same elsewhere is.
func TestUntilFailure(t *testing.T) {
	const at, old = "2026-11-26T16:42:05+01:00 ", "2026/11/26 16:42:05 "
	long := strings.Repeat("long ", 200)
	back := at + `warning: step "post" has failed: going back to release 1`
	for _, c := range []struct{ log, err, want string }{
		{"1|2|" + at + "error: post: no|hint: try", "post: no", "1|2"},
		{"1|" + old + "error: post: no\\tno|", "post: no\tno", "1"},
		{"1|" + at + "error: " + long[:400] + "…", long, "1"},
		{"1|" + at + "error: fetch: no", "post: no", "1|" + at + "error: fetch: no"},
		{"1|" + at + "error: ", "", "1|" + at + "error: "},
		{"1|" + back + "|2", "post: no", "1"},
		{back + "|1|" + back + "|2", "post: no", back + "|1"},
		{at + "error: post: no|1|" + at + "error: post: no|hint", "post: no", at + "error: post: no|1"},
		{at + `warning: step "x" is old|1|` + at + "error: post: no", "post: no", at + `warning: step "x" is old|1`},
		{at + `warning: step "pre" has failed|1`, "post: no", at + `warning: step "pre" has failed|1`},
		{"", "post: no", ""},
	} {
		if got := strings.Join(UntilFailure(strings.Split(c.log, "|"), "post", c.err), "|"); got != c.want {
			t.Errorf("%.60q: %.60q, want %.60q", c.log, got, c.want)
		}
	}
}
