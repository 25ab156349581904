package page

import (
	"cmp"
	"slices"
	"time"

	"stretcher/internal/journal/history"
	"stretcher/internal/text/printable"
)

// card tells what is live on a dest, and how its last run went.
type card struct {
	Dest, Name, Version string
	Since, Machine, Age string
	Result              history.Result // of the last run
	Bad                 bool           // it isn't good, and doesn't go on
	Doubt               string         // why what is live is not as it should be; "" = it is
	Note                note           // of the last run, where that is not what is live
	Last                string         // its id; "" = the page doesn't have it
	Rollback            bool           // somebody asked for what was there before
}

// note says in words what a run has to do with what is live.
type note struct{ What, How, Age string }

// lost are runs that ended badly before they came to any dest: no card tells of
// them. The last one speaks for all.
type lost struct {
	heading
	N int
}

// newLost returns those since the last good run; nil when there are none.
func newLost(c Content) (last *lost) {
	for _, d := range c.Runs {
		if d.Result == history.Good {
			break
		}
		if d.Dest != "" || !isBad(d.Result) {
			continue
		}
		if last == nil {
			last = &lost{heading: newHeading(d.Run, c.Now)}
		}
		last.N++
	}
	return last
}

// isBad tells whether somebody has to look at a run that ended so.
func isBad(r history.Result) bool {
	return r == history.Failed || r == history.Refused || r == history.Stopped || r == history.Died
}

// newCards puts what needs somebody first.
func newCards(c Content) []card {
	shown := map[string]bool{}
	for _, d := range c.Runs {
		shown[d.ID] = true
	}
	all := make([]card, 0, len(c.Places))
	for _, p := range c.Places {
		v := newCard(p, c.Now)
		if shown[p.Last.ID] {
			v.Last = printable.Cut(p.Last.ID, maxName)
		}
		all = append(all, v)
	}
	slices.SortStableFunc(all, func(a, b card) int { return cmp.Compare(rank(a), rank(b)) })
	return all
}

func rank(c card) int {
	if c.Bad {
		return 0
	}
	return 1
}

func newCard(p history.Place, now time.Time) card {
	v := card{
		Dest: printable.Cut(p.Dest, maxText), Name: printable.Cut(p.Last.Name, maxName), Result: told(p.Last.Result),
		Bad: isBad(p.Last.Result),
	}
	if live := p.Live; live != nil {
		v.Name, v.Version = printable.Cut(live.Name, maxName), printable.Cut(live.Version, maxName)
		v.Rollback = live.IsRollback()
		v.Since, v.Machine, v.Age = p.Since.Format("2006-01-02 15:04 MST"), machineTime(p.Since), age(p.Since, now)
		v.Doubt = doubt(p)
	}
	if p.Live == nil || p.Last.ID != p.Live.ID {
		what := printable.Cut(cmp.Or(p.Last.Version, p.Last.Name, "a run"), maxName)
		v.Note = note{What: what, How: how(p.Last), Age: age(ended(p.Last), now)}
	}
	return v
}

// doubt says what is wrong with what is live.
func doubt(p history.Place) string {
	switch {
	case p.Mixed != nil:
		return "files of " + printable.Cut(cmp.Or(p.Mixed.Version, "run "+p.Mixed.ID), maxName) + " may be there, too"
	case p.Live.Result == history.Good:
		return ""
	case p.Good == nil:
		return string(told(p.Live.Result)) + inStep(*p.Live) + ", and was left there; none was good before"
	}
	return string(told(p.Live.Result)) + inStep(*p.Live) + ", and was left there; good before: " +
		printable.Cut(cmp.Or(p.Good.Version, "run "+p.Good.ID), maxName)
}

// how says what a run did that is not what is live.
func how(r history.Run) string {
	switch {
	case r.Result == history.Running:
		return "is being deployed" + inStep(r)
	case r.Back != "":
		return string(told(r.Result)) + inStep(r) + " and went back"
	case !r.MayHaveSynced():
		return string(told(r.Result)) + inStep(r) + ", before it changed anything here"
	}
	return string(told(r.Result)) + inStep(r)
}

func inStep(r history.Run) string {
	if r.Step == "" {
		return ""
	}
	return " in " + printable.Cut(r.Step, maxName)
}

// ended is when a run gave its last sign of life.
func ended(r history.Run) time.Time {
	if r.Finished.IsZero() {
		return r.Started
	}
	return r.Finished
}
