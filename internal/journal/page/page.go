// Package page writes the history as one page for a browser: what is live on
// each dest, a time line, and the runs with their steps.
//
// Its words: a card tells what is live on a dest; a lane is a dest's line in the
// time line; a slot is one of the equal parts that a lane is cut into; a mark
// stands for the runs that began in a slot; an excerpt is what a step wrote last
// into the log of its run.
//
// The page is one file that asks for nothing else, and is whole without its
// script, which only chooses what is shown. Its policy allows that script and
// that style alone. All its strings are escaped for people here and for HTML by
// the template, and are cut where they are too long. What all steps and excerpts
// may take is bounded, too.
//
// It imports history, runlog, which knows what is in a log, and internal/text: it is
// given values, and opens nothing.
package page

import (
	_ "embed" // for the parts of the page
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"stretcher/internal/journal/history"
	"stretcher/internal/text/printable"
	"stretcher/internal/text/webpage"
)

// The parts of the page.
var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string
)

// Content is what the page tells.
type Content struct {
	Host   string           // the name of this machine
	Now    time.Time        // the end of the time line, and what ages are counted to
	Runs   []history.Detail // newest first
	Older  int              // so many more there are
	Places []history.Place
	Logs   Excerpter // nil = there are none
}

// Excerpter returns the last n lines, or fewer, that stand in the log of a run
// between two offsets, in bytes, of which a negative second one is the end. More
// tells that there are lines before them.
type Excerpter func(run string, from, to int64, n int) (lines []string, more bool, err error)

// Write writes the page.
func Write(w io.Writer, c Content) error {
	t, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return fmt.Errorf("parse history page: %w", err)
	}
	if err := t.Execute(w, newPage(c)); err != nil {
		return fmt.Errorf("write history page: %w", err)
	}
	return nil
}

// meaning is what a result means.
type meaning struct {
	Result history.Result
	Means  string
}

// results is the order of the filters, the worst first.
func results() []meaning {
	return []meaning{
		{history.Failed, "a step failed"},
		{history.Died, "ended without a result"},
		{history.Refused, "not trusted, or over a limit"},
		{history.Stopped, "its rollout ended before its turn"},
		{history.Running, "goes on"},
		{history.Good, "deployed"},
		{history.Skipped, "gave way to a newer event"},
	}
}

// page is what the template shows.
type page struct {
	Host, Made, Policy string
	Style              template.CSS
	Script             template.JS
	Lost               *lost
	Bad                int // of the cards
	Cards              []card
	Counts             []count
	Line               timeLine
	Days               []dayView
	Shown, Older       int
}

// count is how many runs have a result.
type count struct {
	Result history.Result
	Means  string
	N      int
}

// dayView holds the runs that began on a day.
type dayView struct {
	Title string
	Runs  []runView
}

func newPage(c Content) page {
	style := webpage.Style() + pageCSS + places()
	p := page{
		Host: printable.Cut(c.Host, maxName), Made: c.Now.Format(history.TimeFormat),
		Style: template.CSS(style), Script: template.JS(pageJS),
		Policy: webpage.Policy(style, pageJS),
		Lost:   newLost(c), Cards: newCards(c), Counts: counts(c.Runs), Shown: len(c.Runs), Older: c.Older,
	}
	for _, card := range p.Cards {
		if card.Bad {
			p.Bad++
		}
	}
	p.Line = newTimeLine(c.Runs, c.Now)
	p.Days = newDays(c, p.Line.index)
	return p
}

// places are the classes by which an element lies where its numbers say: percents
// and columns. The page's policy lets none have a style of its own.
func places() string {
	var b strings.Builder
	for n := range 101 {
		fmt.Fprintf(&b, ".l%d{left:%d%%}.w%d{width:%d%%}\n", n, n, n, n)
	}
	for n := range wideSlots {
		fmt.Fprintf(&b, ".c%d{grid-column:%d}\n", n+1, n+1)
	}
	return b.String()
}

func counts(runs []history.Detail) (all []count) {
	n := map[history.Result]int{}
	for _, d := range runs {
		n[d.Result]++
	}
	for _, r := range results() {
		if n[r.Result] > 0 {
			all = append(all, count{r.Result, r.Means, n[r.Result]})
		}
	}
	return all
}

// Bounds of texts, in bytes after they were escaped for people.
const (
	maxName  = 200
	maxText  = 1000
	maxLine  = 500
	maxWhole = 16 << 20 // of all steps and excerpts, roughly, as they stand in the page
	maxSteps = 100      // of a run
	excerpt  = 20       // lines
)

// told is a result as it is written; one of a newer program may be any text.
func told(r history.Result) history.Result { return history.Result(printable.Cut(string(r), maxName)) }

// budget is what steps and excerpts may still take, in bytes.
type budget int

// take takes what a text and its markup will be in the page, if that is left.
func (b *budget) take(texts ...string) bool {
	n := 0
	for _, text := range texts {
		n += len(template.HTMLEscapeString(text)) + markup
	}
	if n > int(*b) {
		return false
	}
	*b -= budget(n)
	return true
}

// markup is about what stands around a text of a step.
const markup = 60

// age is how long ago t was, in words.
func age(t, now time.Time) string {
	switch d := now.Sub(t); {
	case d < 0:
		return "in the future"
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%d h ago", d/time.Hour)
	default:
		return fmt.Sprintf("%d days ago", d/day)
	}
}

// machineTime is a time for programs.
func machineTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }
