package page

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"stretcher/internal/journal/history"
	"stretcher/internal/journal/page/pagetest"
)

func TestTicks(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 10, 28, 12, 0, 0, 0, berlin) // clocks go back on the 25th
	for _, c := range []struct {
		span time.Duration
		want string
	}{
		{0, "11:59:00 11:59:15 11:59:30 11:59:45"},
		{4 * time.Minute, "11:56 11:57 11:58 11:59"},
		{50 * time.Minute, "11:15 11:30 11:45"},
		{20 * time.Hour, "18:00 28 Oct 06:00"},
		{5 * day, "24 Oct 25 Oct 26 Oct 27 Oct 28 Oct"},
		{60 * day, "30 Aug 13 Sep 27 Sep 11 Oct"},
		{1000 * day, "Feb 2024 Feb 2025 Feb 2026"},
	} {
		s := newScale([]history.Detail{{Run: history.Run{Started: now.Add(-c.span)}}}, now)
		var got []string
		for _, tick := range s.ticks() {
			got = append(got, tick.Label)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v: %q, want %q", c.span, strings.Join(got, " "), c.want)
		}
	}
	future := newScale([]history.Detail{{Run: history.Run{Started: now.Add(time.Hour)}}}, now)
	if got := future.percent(now.Add(time.Hour)); got != 100 {
		t.Errorf("a start in the future is at %d%%", got)
	}
}

// TestMarks: each slot has one mark, whatever began in it, and no run is lost.
func TestMarks(t *testing.T) {
	c := sample(300)
	for _, l := range newTimeLine(c.Runs, c.Now).Lanes {
		for slots, marks := range map[int][]mark{wideSlots: l.Wide, narrowSlots: l.Narrow} {
			runs, last := 0, 0
			for _, m := range marks {
				runs += m.N
				if m.Slot <= last || m.Slot > slots {
					t.Errorf("%s: a mark in slot %d of %d, after %d", l.Dest, m.Slot, slots, last)
				}
				last = m.Slot
			}
			want := 0
			for _, d := range c.Runs {
				if d.Dest == l.Dest {
					want++
				}
			}
			if runs != want {
				t.Errorf("%s: %d runs in %d slots, want %d", l.Dest, runs, slots, want)
			}
		}
	}
}

// A mark shows the worst of its runs, and tells how many of each there are.
func TestMark(t *testing.T) {
	now := pagetest.Now()
	runs := []history.Run{
		{ID: "a", Started: now, Result: history.Good},
		{ID: "b", Started: now.Add(-time.Minute), Result: history.Failed},
		{ID: "c", Started: now.Add(-time.Hour), Result: history.Failed},
	}
	m := newMark(3, runs)
	want := `{3 failed b 3 runs, 2026-11-20 15:42 to 2026-11-20 16:42:05 CET: 2 failed, 1 good 2 0 0 0 0 1 0 3}`
	if got := fmt.Sprint(m); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for n, want := range map[int]string{1: "", 2: "2", 999: "999", 1000: "1k", 12345: "12k"} {
		if got := (mark{N: n}).Label(); got != want {
			t.Errorf("%d runs: %q, want %q", n, got, want)
		}
	}
	m = newMark(1, runs[:1])
	if want := "good, 2026-11-20 16:42:05 CET"; m.Title != want || m.N != 1 {
		t.Errorf("%+v", m)
	}
}
