package history

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"stretcher/internal/text/printable"
)

//go:embed page.html
var pageHTML string

// openScript opens the run that the address names, which a browser does not
// do by itself. The page works without it.
const openScript = `function show(){var e=document.getElementById(location.hash.slice(1));` +
	`if(e&&e.tagName==='DETAILS'){e.open=true;e.scrollIntoView()}}addEventListener('hashchange',show);show()`

// results is the order of the summary and the legend, with what each means.
var results = []struct {
	Result Result
	Means  string
}{
	{Good, "deployed"},
	{Failed, "a step failed"},
	{Refused, "not trusted, or over a limit"},
	{Died, "ended without a result"},
	{Running, "goes on"},
	{Skipped, "gave way to a newer event"},
}

// WriteHTML writes one page that needs nothing else, least of all a network:
// a time line with a lane for each dest, and each run, in the order given,
// with a waterfall of its steps. host names the machine; now is the end of the
// time line and of what is still running.
func WriteHTML(w io.Writer, host string, runs []Detail, now time.Time) error {
	t, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return fmt.Errorf("parse history page: %w", err)
	}
	if err := t.Execute(w, newPage(host, runs, now)); err != nil {
		return fmt.Errorf("write history page: %w", err)
	}
	return nil
}

// page is what the template shows. All its strings are escaped for people;
// the template escapes them for HTML.
type page struct {
	Host, Made string
	Script     template.JS
	Policy     string
	Counts     []count
	Ticks      []tick
	Lanes      []lane
	Runs       []runView
}

type count struct {
	Result Result
	Means  string
	N      int
}

type tick struct {
	Left  string // percent
	Label string
}

type lane struct {
	Name, Dest string
	Marks      []mark
}

type mark struct {
	ID, Left, Title string
	Result          Result
}

type runView struct {
	ID, Name, Version, Started, Machine, Duration, Who, Error string
	Result                                                    Result
	Open                                                      bool
	Fields                                                    []field
	Steps                                                     []stepView
	Ticks                                                     []tick
}

type stepView struct {
	Point, Dialect, Name, Left, Width, Duration, At, End string
	OK                                                   bool
}

func newPage(host string, runs []Detail, now time.Time) page {
	hash := sha256.Sum256([]byte(openScript))
	p := page{
		Host:   printable.Line(host),
		Made:   now.Format(timeFormat),
		Script: openScript,
		Policy: "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; " +
			"script-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'",
	}
	p.Counts = counts(runs)
	scale := newScale(runs, now)
	p.Ticks, p.Lanes = scale.ticks(), lanes(runs, scale)
	for i, d := range runs {
		v := newRunView(d, now)
		v.Open = i == 0
		p.Runs = append(p.Runs, v)
	}
	return p
}

func counts(runs []Detail) (all []count) {
	n := map[Result]int{}
	for _, d := range runs {
		n[d.Result]++
	}
	for _, r := range results {
		if n[r.Result] > 0 {
			all = append(all, count{r.Result, r.Means, n[r.Result]})
		}
	}
	return all
}

// lanes puts the runs of a dest in one lane, in the order in which the dests
// were last used; runs without one share a lane.
func lanes(runs []Detail, scale scale) (all []lane) {
	index := map[string]int{}
	for _, d := range runs {
		i, ok := index[d.Dest]
		if !ok {
			i = len(all)
			index[d.Dest] = i
			all = append(all, lane{Name: printable.Line(d.Name), Dest: printable.Line(d.Dest)})
		}
		title := strings.Join(nonEmpty(string(d.Result), d.Name, d.Version, d.Started.Format(timeFormat)), ", ")
		all[i].Marks = append(all[i].Marks,
			mark{ID: printable.Line(d.ID), Left: scale.percent(d.Started), Title: printable.Line(title), Result: d.Result})
	}
	for _, l := range all {
		slices.Reverse(l.Marks) // later ones lie on top, and the tab key goes with time
	}
	return all
}

func newRunView(d Detail, now time.Time) runView {
	r := d.Run
	v := runView{
		ID: printable.Line(r.ID), Name: printable.Line(r.Name), Version: printable.Line(r.Version),
		Started: r.Started.Format(timeFormat), Machine: jsonTime(r.Started), Duration: runDuration(r),
		Who: printable.Line(who(r)), Error: printable.Line(r.Error), Result: r.Result,
	}
	for _, f := range fields(r) {
		if !slices.Contains([]string{"name", "version", "started", "error"}, f.Name) { // in the heading
			v.Fields = append(v.Fields, field{f.Name, printable.Line(f.Value)})
		}
	}
	total := runSpan(d, now)
	for _, s := range d.Steps {
		v.Steps = append(v.Steps, newStepView(s, s.Started.Sub(r.Started), total))
	}
	for i := range 5 {
		part := total * time.Duration(i) / 4
		v.Ticks = append(v.Ticks, tick{percent(part, total), human(part)})
	}
	return v
}

// runSpan is the length of a waterfall: to the end of the run or of its last
// step, and never nothing.
func runSpan(d Detail, now time.Time) time.Duration {
	end := d.Finished
	if d.Result == Running {
		end = now
	}
	for _, s := range d.Steps {
		if e := s.Started.Add(s.Duration); e.After(end) {
			end = e
		}
	}
	return max(end.Sub(d.Started), time.Millisecond)
}

func newStepView(s Step, at, total time.Duration) stepView {
	at = min(max(at, 0), total)
	end := stepEnd(s)
	if s.Signal == "" && s.Exit >= 0 {
		end = "exit " + end
	}
	return stepView{
		Point: printable.Line(s.Point), Dialect: printable.Line(s.Dialect), Name: printable.Line(told(s)),
		Left: percent(at, total), Width: percent(min(max(s.Duration, 0), total-at), total),
		Duration: human(s.Duration), At: human(at), End: printable.Line(end), OK: s.OK(),
	}
}

func nonEmpty(all ...string) []string {
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

func percent(part, total time.Duration) string {
	return fmt.Sprintf("%.2f", 100*float64(part)/float64(total))
}
