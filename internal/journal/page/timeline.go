package page

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"stretcher/internal/journal/history"
	"stretcher/internal/text/printable"
)

// How many slots a lane has, where the window is wide and where it is narrow.
// The style has as many columns, each at least as wide as a mark.
const (
	wideSlots   = 30
	narrowSlots = 10
)

// timeLine has a lane for each dest, in the order in which they were last used;
// runs without one share a lane.
type timeLine struct {
	Lanes []lane
	Ticks []tick
	Zone  string
	index map[string]int // of the lane of a dest
}

type lane struct {
	Index        int
	Name, Dest   string
	Wide, Narrow []mark
}

type tick struct {
	Left  int // in percent
	Label string
}

// mark stands for the runs of a slot, by the worst and last of them.
type mark struct {
	Slot   int // from 1
	Result history.Result
	ID     string
	Title  string
	Counts string // by result, in the order of results, for the script
	N      int
}

func newTimeLine(runs []history.Detail, now time.Time) timeLine {
	scale := newScale(runs, now)
	l := timeLine{Ticks: scale.ticks(), Zone: now.Format("MST"), index: map[string]int{}}
	ofDest := [][]history.Run{}
	for _, d := range runs {
		i, ok := l.index[d.Dest]
		if !ok {
			i = len(l.Lanes)
			l.index[d.Dest] = i
			l.Lanes = append(l.Lanes, newLane(i, d))
			ofDest = append(ofDest, nil)
		}
		ofDest[i] = append(ofDest[i], d.Run)
	}
	for i, runs := range ofDest {
		l.Lanes[i].Wide, l.Lanes[i].Narrow = scale.marks(runs, wideSlots), scale.marks(runs, narrowSlots)
	}
	return l
}

func newLane(i int, d history.Detail) lane {
	if d.Dest == "" {
		return lane{Index: i, Name: "no dest"}
	}
	return lane{Index: i, Name: printable.Cut(d.Name, maxName), Dest: printable.Cut(d.Dest, maxText)}
}

// marks cuts the scale into so many slots, and makes a mark of each in which runs
// began, the first first. The runs are given newest first.
func (s scale) marks(runs []history.Run, slots int) (all []mark) {
	in := make([][]history.Run, slots)
	for _, r := range runs {
		i := s.slot(r.Started, slots)
		in[i] = append(in[i], r)
	}
	for i, runs := range in {
		if len(runs) > 0 {
			all = append(all, newMark(i+1, runs))
		}
	}
	return all
}

func newMark(slot int, runs []history.Run) mark {
	worst := slices.MinFunc(runs, func(a, b history.Run) int { return cmp.Compare(severity(a), severity(b)) })
	m := mark{Slot: slot, Result: told(worst.Result), ID: printable.Cut(worst.ID, maxName), N: len(runs)}
	var numbers, words []string
	for _, r := range results() {
		n := 0
		for _, run := range runs {
			if run.Result == r.Result {
				n++
			}
		}
		numbers = append(numbers, fmt.Sprint(n))
		if n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, r.Result))
		}
	}
	m.Counts = strings.Join(numbers, " ")
	if len(runs) == 1 {
		m.Title = title(worst)
		return m
	}
	m.Title = fmt.Sprintf("%d runs, %s to %s: %s", len(runs), runs[len(runs)-1].Started.Format("2006-01-02 15:04"),
		runs[0].Started.Format(history.TimeFormat), strings.Join(words, ", "))
	return m
}

// Label is the number of a mark's runs, as short as a mark is narrow; "" for one.
func (m mark) Label() string {
	switch {
	case m.N < 2:
		return ""
	case m.N < 1000:
		return fmt.Sprint(m.N)
	}
	return fmt.Sprintf("%dk", m.N/1000)
}

// title tells one run.
func title(r history.Run) string {
	parts := []string{string(r.Result), r.Name, r.Version, r.Started.Format(history.TimeFormat)}
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	return printable.Cut(strings.Join(parts, ", "), maxText)
}

// severity is the place of a run's result among results, which the worst begin.
func severity(r history.Run) int {
	known := results()
	if i := slices.IndexFunc(known, func(m meaning) bool { return m.Result == r.Result }); i >= 0 {
		return i
	}
	return len(known)
}
