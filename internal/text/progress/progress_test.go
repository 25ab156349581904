package progress

import (
	"bytes"
	"math"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

// TestLineFits: whatever a step is called and has done, its line has no more
// columns than there are, says what the step is, and holds nothing that a terminal
// would obey, nor more than ASCII where that is all it has.
func TestLineFits(t *testing.T) {
	labels := []string{
		"fetch", "extract", "a rather long label of a step", "naïve", "日本語の名前", "x\x1b[2J\r\ny",
		"\u202eevil", "bad\xff",
	}
	amounts := [][2]int64{
		{0, -1}, {0, 0}, {1, 2}, {999, 1000}, {5 << 30, 6 << 30}, {7, 3}, {-1, 5},
		{math.MaxInt64, math.MaxInt64}, {math.MaxInt64, -1}, {1, math.MaxInt64},
	}
	began := time.Now()
	for _, label := range labels {
		for _, amount := range amounts {
			for _, unit := range []Unit{Bytes, Paths} {
				for _, utf8 := range []bool{false, true} {
					b := &Bar{screen: &Screen{on: Terminal{UTF8: utf8}}, label: label, unit: unit, began: began,
						counting: true, done: amount[0], total: amount[1]}
					checkFits(t, b, began)
				}
			}
		}
	}
}

func checkFits(t *testing.T, b *Bar, began time.Time) {
	t.Helper()
	for width := MinColumns - 1; width < 200; width++ {
		for _, spent := range []time.Duration{0, time.Second, 100 * time.Hour, math.MaxInt64} {
			text, columns := b.line(width, began.Add(spent))
			if columns > width || Columns(text) != columns {
				t.Fatalf("%q on %d columns has %d, %d", text, width, columns, Columns(text))
			}
			if !utf8.ValidString(text) || strings.ContainsAny(text, "\x1b\r\n\u202e") ||
				!strings.HasPrefix(text, string([]rune(b.shown(3)))) {
				t.Fatalf("%q of %q", text, b.label)
			}
			if !b.screen.on.UTF8 && strings.ContainsFunc(text, func(r rune) bool { return r >= 0x80 }) {
				t.Fatalf("%q is not ASCII", text)
			}
		}
	}
}

// TestLine: the more columns, the more is told.
func TestLine(t *testing.T) {
	began := time.Now()
	fetch := Bar{label: "fetch", done: 3 << 20, total: 12 << 20}
	extract := Bar{label: "extract", done: 3 << 20, total: -1}
	sync := Bar{label: "sync", unit: Paths, done: 1, total: 2}
	rsync := Bar{label: "sync", unit: Paths, done: 12, total: -1}
	for _, tc := range []struct {
		bar   Bar
		width int
		want  string
	}{
		{fetch, 19, "fetch  25% 0:09    "[:15]},
		{fetch, 39, "fetch  25% 3.0 MiB/12 MiB 1.0 MiB/s 0:09"[:35]},
		{fetch, 60, "fetch  25% [===>             ] 3.0 MiB/12 MiB 1.0 MiB/s 0:09"},
		{extract, 19, "extract 3.0 MiB"},
		{extract, 39, "extract 3.0 MiB 1.0 MiB/s 0:03"},
		{sync, 19, "sync  50% 0:03"},
		{sync, 30, "sync  50% [=====>       ] 0:03"},
		{rsync, 19, "sync 12 paths 0:03"},
	} {
		b := tc.bar
		b.screen, b.counting, b.began = &Screen{}, true, began
		if got, _ := b.line(tc.width, began.Add(3*time.Second)); got != tc.want {
			t.Errorf("on %d columns %q, want %q", tc.width, got, tc.want)
		}
	}
	idle := &Bar{screen: &Screen{}, label: "sync", total: -1, began: began}
	if got, _ := idle.line(40, began.Add(75*time.Second)); got != "sync 1:15" {
		t.Errorf("%q", got)
	}
}

// TestScreen: a log line stands on a line of its own, a terminal that gets another
// size gets lines of that, one that is too small gets none, and nothing is left in
// the end.
func TestScreen(t *testing.T) {
	var out bytes.Buffer
	columns := 10
	s := New(&out, Terminal{Columns: func() int { return columns }})
	outer := s.Counting("outer", Paths)
	b := s.Bar("fetch")
	b.Set(1, 10)
	for i, width := range []int{10, 20, 40, 80, 200} {
		columns = width
		_, _ = s.Write([]byte{byte('a' + i), '\n'})
	}
	b.Close()
	b.Close()
	outer.Close()
	outer.Set(1, 2)
	if got := shownOn(out.String()); got != "a\nb\nc\nd\ne\n" || !strings.Contains(out.String(), "fetch  10%") {
		t.Errorf("%q leaves %q", out.String(), got)
	}
	b = s.Bar("fetch")
	for _, width := range []int{80, 30, 20, 10} {
		columns = width
		out.Reset()
		_, _ = s.Write([]byte("line\n"))
		for part := range strings.FieldsFuncSeq(out.String(), func(r rune) bool { return r == '\r' || r == '\n' }) {
			if len(part) >= width {
				t.Errorf("%q on %d columns", part, width)
			}
		}
	}
	b.Close()
	out.Reset()
	none := New(&out, Terminal{})
	bar := none.Bar("fetch")
	bar.Set(1, 2)
	_, _ = none.Write([]byte("one\n"))
	bar.Close()
	if out.String() != "one\n" || none.Progress() != nil {
		t.Errorf("without a terminal: %q", out.String())
	}
}

// shownOn is what a terminal shows in the end that gets a text.
func shownOn(text string) string {
	var all strings.Builder
	for line := range strings.SplitAfterSeq(text, "\n") {
		row := []rune{}
		at := 0
		for _, r := range strings.TrimSuffix(line, "\n") {
			if r == '\r' {
				at = 0
				continue
			}
			if at == len(row) {
				row = append(row, ' ')
			}
			row[at] = r
			at++
		}
		all.WriteString(strings.TrimRight(string(row), " "))
		if strings.HasSuffix(line, "\n") {
			all.WriteByte('\n')
		}
	}
	return all.String()
}

// TestConcurrent: whoever counts, and whoever logs, may do so at once.
func TestConcurrent(t *testing.T) {
	var out bytes.Buffer
	s := New(&out, Terminal{Columns: func() int { return 60 }})
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			b := s.Bar("step")
			count := s.Progress()
			for k := range int64(200) {
				b.Set(k, 200)
				count(k, -1)
				if k%50 == int64(i) {
					_, _ = s.Write([]byte("line\n"))
				}
			}
			b.Close()
		})
	}
	all.Wait()
	if got := strings.Count(shownOn(out.String()), "line\n"); got != 16 {
		t.Errorf("%d lines, want 16", got)
	}
}
