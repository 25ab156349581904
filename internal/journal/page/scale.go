package page

import (
	"time"

	"stretcher/internal/journal/history"
)

const (
	day      = 24 * time.Hour
	maxTicks = 5
)

// tickSteps are the steps that a time line may be marked in.
func tickSteps() []time.Duration {
	return []time.Duration{
		time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour,
		3 * time.Hour, 6 * time.Hour, 12 * time.Hour, day, 2 * day, 7 * day, 14 * day, 30 * day, 90 * day, 365 * day,
	}
}

// scale maps times to places on the time line.
type scale struct{ from, to time.Time }

// newScale reaches from the first start to now, or to the last start when a
// clock was wrong.
func newScale(runs []history.Detail, now time.Time) scale {
	s := scale{now, now}
	for _, r := range runs {
		if r.Started.Before(s.from) {
			s.from = r.Started
		}
		if r.Started.After(s.to) {
			s.to = r.Started
		}
	}
	if s.to.Sub(s.from) < time.Minute {
		s.from = s.to.Add(-time.Minute)
	}
	return s
}

func (s scale) percent(t time.Time) int { return percent(t.Sub(s.from), s.to.Sub(s.from)) }

// slot is the one of so many equal parts in which t lies, from 0.
func (s scale) slot(t time.Time, slots int) int {
	i := int(float64(slots) * float64(t.Sub(s.from)) / float64(s.to.Sub(s.from)))
	return min(max(i, 0), slots-1)
}

// ticks marks round local times: full hours, midnights. The right end is left
// to the word "now".
func (s scale) ticks() (all []tick) {
	step, room := s.step(), time.Duration(12)
	if step < time.Minute {
		room = 8 // its labels are longer
	}
	end := s.to.Add(-s.to.Sub(s.from) / room)
	for t := s.firstTick(step); t.Before(end); t = next(t, step) {
		format := "15:04"
		if step < time.Minute {
			format = "15:04:05"
		}
		if h, m, sec := t.Clock(); h+m+sec == 0 {
			format = "2 Jan"
		}
		if step >= 365*day {
			format = "Jan 2006"
		}
		all = append(all, tick{s.percent(t), t.Format(format)})
	}
	return all
}

func (s scale) step() time.Duration {
	for _, step := range tickSteps() {
		if s.to.Sub(s.from) <= maxTicks*step {
			return step
		}
	}
	return s.to.Sub(s.from) / maxTicks
}

// firstTick is the first round time within the scale.
func (s scale) firstTick(step time.Duration) time.Time {
	y, m, d := s.from.Date()
	t := time.Date(y, m, d, 0, 0, 0, 0, s.from.Location())
	if step < day {
		t = t.Add(s.from.Sub(t).Truncate(step))
	}
	for t.Before(s.from) {
		t = next(t, min(step, day))
	}
	return t
}

// next goes by the calendar from a day up: a day may have 23 or 25 hours.
func next(t time.Time, step time.Duration) time.Time {
	if step < day {
		return t.Add(step)
	}
	return t.AddDate(0, 0, int(step/day))
}
