package page

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"stretcher/internal/journal/history"
	"stretcher/internal/journal/page/pagetest"
)

// Clocks jump; a page is made of it anyway.
func TestWaterfallStaysInside(t *testing.T) {
	now := pagetest.Now()
	d := history.Detail{Run: history.Run{ID: "a", Started: now, Finished: now.Add(-time.Hour), Result: history.Good},
		Steps: []history.Step{
			{Started: now.Add(-time.Minute), Duration: time.Second},
			{Started: now.Add(time.Minute), Duration: time.Minute},
			{Started: now.Add(time.Second), Duration: -time.Second},
			{},
		}}
	left := budget(maxWhole)
	v := newRunView(d, Content{Now: now}, &left)
	for i, want := range [][2]int{{0, 0}, {50, 50}, {0, 0}, {0, 0}} {
		if s := v.Steps[i]; s.Left != want[0] || s.Width != want[1] {
			t.Errorf("step %d: at %d%%, %d%% wide; want %d", i, s.Left, s.Width, want)
		}
	}
}

func TestOutput(t *testing.T) {
	steps := []history.Step{{Offset: 0}, {Offset: 10}, {Offset: 10}, {Offset: 30}}
	for i, want := range [][2]int64{{0, 10}, {10, 30}, {10, 30}, {30, -1}} {
		if from, to := output(steps, i); from != want[0] || to != want[1] {
			t.Errorf("step %d: from %d to %d, want %d", i, from, to, want)
		}
	}
}

// TestExcerpt: which part of which log is asked for, and what becomes of it.
func TestExcerpt(t *testing.T) {
	now := pagetest.Now()
	asked := ""
	logs := func(run string, from, to int64, n int) ([]string, bool, error) {
		asked += fmt.Sprint(run, " ", from, " ", to, " ", n, ";")
		return []string{"2026/11/20 16:42:05 said\tso", "2026-11-20T16:42:05+01:00 error: no", "bare"}, true, nil
	}
	failed := history.Step{Point: "post", Exit: 1, Offset: 5}
	for _, c := range []struct {
		result history.Result
		steps  []history.Step
		want   string
	}{
		{history.Good, []history.Step{{}}, ""},
		{history.Good, []history.Step{failed, {Offset: 9}}, "r 5 9 28;"},
		{history.Failed, []history.Step{failed}, "r 5 -1 28;"},
		{history.Died, []history.Step{{}}, "r 0 -1 28;"},
		{history.Refused, nil, "r 0 -1 28;"},
		{history.Running, nil, ""},
		{history.Skipped, nil, ""},
	} {
		asked = ""
		left := budget(maxWhole)
		d := history.Detail{Run: history.Run{ID: "r", Started: now, Result: c.result}, Steps: c.steps}
		newRunView(d, Content{Now: now, Logs: logs}, &left)
		if asked != c.want {
			t.Errorf("%s with %d steps: asked for %q, want %q", c.result, len(c.steps), asked, c.want)
		}
	}
	left := budget(maxWhole)
	got := fmt.Sprint(excerptOf(logs, history.Run{}, "", 0, -1, &left).Lines)
	if want := "[{2026/11/20 16:42:05 said    so} {2026-11-20 16:42:05+01:00 error: no} {  bare}]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	broken := func(string, int64, int64, int) ([]string, bool, error) { return nil, false, errors.New("no disk") }
	if l := excerptOf(broken, history.Run{}, "", 0, -1, &left); l.Why != "no disk" {
		t.Errorf("%+v", l)
	}
}

// A step that follows the way back is told apart from the one before it.
func TestWayBack(t *testing.T) {
	now := pagetest.Now()
	d := history.Detail{Run: history.Run{ID: "a", Started: now, Result: history.Failed, Back: "b"}, Steps: []history.Step{
		{Point: "post"}, {Point: "verify", Exit: 1}, {Point: history.WayBack, Dialect: "stretcher"}, {Point: "post"},
		{Point: "failure"},
	}}
	for version, want := range map[string]string{"": "release b", "7": "7"} {
		left := budget(maxWhole)
		v := newRunView(d, Content{Now: now}, &left)
		v.tellBack("b", map[string]string{"b": version})
		got := ""
		for _, s := range v.Steps {
			got += fmt.Sprint(s.Point, "/", s.Back, "/", s.Again, " ")
		}
		want = "post// verify// rollback/" + want + "/ post//again, for what is live again failure//after going back "
		if got != want || !v.Back {
			t.Error(got)
		}
	}
}
