package page

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"time"

	"stretcher/internal/journal/history"
	"stretcher/internal/journal/runlog"
	"stretcher/internal/text/printable"
)

// runView is one run.
type runView struct {
	heading
	Lane   int
	Open   bool
	Fields []history.Field
	Steps  []stepView
	Total  string // the length of the steps' time line
	Hidden int    // steps that the page leaves out
	Last   lines  // of the log, where no step tells why the run ended
}

// heading is what is seen of a run that isn't open.
type heading struct {
	ID, Name, Version, Dest string
	Clock, Machine, Age     string // when it began
	Took, Error             string
	Result                  history.Result
	Rollback, Back          bool // somebody asked for what was there before; it went back by itself
}

func newHeading(r history.Run, now time.Time) heading {
	why := r.Error
	if r.Result == history.Died && why == "" {
		why = "died" + inStep(r)
	}
	return heading{
		ID: printable.Cut(r.ID, maxName), Name: printable.Cut(cmp.Or(r.Name, r.URL), maxName),
		Version: printable.Cut(r.Version, maxName),
		Dest:    printable.Cut(r.Dest, maxText),
		Clock:   r.Started.Format("15:04:05 MST"), Machine: machineTime(r.Started), Age: age(r.Started, now),
		Took: r.Took(), Error: printable.Cut(why, maxText), Result: told(r.Result),
		Rollback: r.IsRollback(), Back: r.Back != "",
	}
}

// stepView is one step. Left and Width are percents.
type stepView struct {
	Point, Name, Took, At, End string
	Left, Width                int
	Bad, Turn                  bool   // Turn: the run goes back here
	Back, Again                string // where to; what the step is for, after that
	Lines                      lines
}

// lines is an excerpt.
type lines struct {
	Lines []line
	More  bool
	Why   string // why there are none; "" = nobody asked
}

// line is a line of a log: its time, as it stands there, and the rest.
type line struct{ Date, Clock, Text string }

// newDays groups the runs by the days on which they began. Of each dest the last
// run is open when it isn't good.
func newDays(c Content, lanes map[string]int) (days []dayView) {
	left, versions := budget(maxWhole), map[string]string{}
	for _, d := range c.Runs {
		versions[d.ID] = d.Version
	}
	open := map[string]bool{}
	for _, p := range c.Places {
		if isBad(p.Last.Result) && len(open) < 3 {
			open[p.Last.ID] = true
		}
	}
	for _, d := range c.Runs {
		title := d.Started.Format("Monday, 2 January 2006")
		if len(days) == 0 || days[len(days)-1].Title != title {
			days = append(days, dayView{Title: title})
		}
		v := newRunView(d, c, &left)
		v.tellBack(d.Back, versions)
		v.Lane, v.Open = lanes[d.Dest], open[d.ID]
		last := &days[len(days)-1]
		last.Runs = append(last.Runs, v)
	}
	return days
}

func newRunView(d history.Detail, c Content, left *budget) runView {
	r := d.Run
	v := runView{heading: newHeading(r, c.Now)}
	for _, f := range history.Fields(r) {
		if !slices.Contains([]string{"name", "version", "dest", "error"}, f.Name) { // in the heading
			v.Fields = append(v.Fields, history.Field{Name: f.Name, Value: printable.Cut(f.Value, maxText)})
		}
	}
	v.addSteps(d, c, left)
	return v
}

// addSteps adds the steps as far as there is room, with what those that failed
// have written last.
func (v *runView) addSteps(d history.Detail, c Content, left *budget) {
	total := runSpan(d, c.Now)
	v.Total = history.Human(total)
	told, turn := false, slices.IndexFunc(d.Steps, isTurn)
	for i, s := range d.Steps {
		step := newStepView(s, s.Started.Sub(d.Started), total)
		step.Turn = i == turn
		if turn >= 0 && i > turn {
			step.Again = again(d.Steps[:turn], s)
		}
		if i >= maxSteps || !left.take(step.Name, step.Point, step.Took, step.End) {
			v.Hidden = len(d.Steps) - i
			break
		}
		if step.Bad {
			told = true
			from, to := output(d.Steps, i)
			step.Lines = excerptOf(c.Logs, d.Run, s.Point, from, to, left)
		}
		v.Steps = append(v.Steps, step)
	}
	if isBad(d.Result) && !told {
		v.Last = excerptOf(c.Logs, d.Run, "", 0, -1, left)
	}
}

// tellBack says where the run went back to, by its version where it is known.
func (v *runView) tellBack(to string, versions map[string]string) {
	what := printable.Cut(cmp.Or(versions[to], "release "+to), maxName)
	if to == "" {
		what = "what was live before"
	}
	for i := range v.Steps {
		if v.Steps[i].Turn {
			v.Steps[i].Back = what
		}
	}
}

// isTurn tells whether a run goes back by this step.
func isTurn(s history.Step) bool { return s.Point == history.WayBack && s.Dialect == "stretcher" }

// again says what a step is for that follows the way back.
func again(before []history.Step, s history.Step) string {
	if slices.ContainsFunc(before, func(b history.Step) bool { return b.Point == s.Point }) {
		return "again, for what is live again"
	}
	return "after going back"
}

// output tells where in the log the output of a step begins, and where that of
// the next one does; -1 is the end.
func output(steps []history.Step, i int) (from, to int64) {
	from, to = steps[i].Offset, -1
	for _, s := range steps {
		if s.Offset > from && (to < 0 || s.Offset < to) {
			to = s.Offset
		}
	}
	return from, to
}

// after is how many lines there may be behind those of a step, of which the first
// is the error that the run ended with.
const after = 8

// excerptOf is what stands last in a part of a run's log, before the run's error:
// that is in its heading.
func excerptOf(
	logs Excerpter, run history.Run, point string, from, to int64, left *budget,
) (all lines) {
	if logs == nil {
		return lines{Why: "its log is not kept"}
	}
	text, more, err := logs(run.ID, from, to, excerpt+after)
	if err != nil {
		return lines{Why: printable.Cut(err.Error(), maxText)}
	}
	text = runlog.UntilFailure(text, point, run.Error)
	for i, s := range text {
		text[i] = printable.CutOutput(s, maxLine)
	}
	if len(text) > excerpt {
		text, more = text[len(text)-excerpt:], true
	}
	all.More = more
	if !left.take(text...) {
		return lines{Why: "there is no room for them in this page"}
	}
	all.Lines = newLines(text)
	return all
}

// timed is a line of a log that begins with its time, in whatever zone.
const timed = `^(\d{4}[-/]\d\d[-/]\d\d)[ T](\d\d:\d\d:\d\d[^ ]*(?: (?:[A-Z]{1,5}|[-+]\d{2,4}))?) (.*)$`

// newLines takes the times from the beginnings of lines.
func newLines(text []string) (all []line) {
	pattern := regexp.MustCompile(timed)
	for _, s := range text {
		if m := pattern.FindStringSubmatch(s); m != nil {
			all = append(all, line{m[1], m[2], m[3]})
			continue
		}
		all = append(all, line{Text: s})
	}
	return all
}

// runSpan is the length of a run's time line: to its end or that of its last
// step, and never nothing.
func runSpan(d history.Detail, now time.Time) time.Duration {
	end := d.Finished
	if d.Result == history.Running {
		end = now
	}
	for _, s := range d.Steps {
		if e := s.Started.Add(s.Duration); e.After(end) {
			end = e
		}
	}
	return max(end.Sub(d.Started), time.Millisecond)
}

func newStepView(s history.Step, at, total time.Duration) stepView {
	at = min(max(at, 0), total)
	v := stepView{
		Point: printable.Cut(s.Point, maxName), Name: printable.Cut(s.Told(), maxText), Took: history.Human(s.Duration),
		At:   history.Human(at),
		Left: percent(at, total), Width: percent(min(max(s.Duration, 0), total-at), total), Bad: !s.OK(),
	}
	if s.Dialect == "stretcher" {
		v.Name = "" // it is its point's
	}
	if v.Bad {
		v.End = s.End()
		if s.Signal == "" && s.Exit >= 0 {
			v.End = fmt.Sprintf("exit %s", v.End)
		}
		v.End = printable.Cut(v.End, maxName)
	}
	return v
}

func percent(part, total time.Duration) int { return int(100 * float64(part) / float64(total)) }
