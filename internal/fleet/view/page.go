package view

import (
	"cmp"
	_ "embed" // for the parts of the page
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"stretcher/internal/fleet"
	"stretcher/internal/text/webpage"
)

// The parts of the page.
var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
)

// Bounds of texts, in bytes after they were escaped for people.
const (
	maxName = 100
	maxText = 1200
)

// page is what the template shows.
type page struct {
	Title, Made, Policy string
	Style               template.CSS
	Rollouts            []rolloutView
}

// rolloutView is one rollout.
type rolloutView struct {
	Index                   int
	Title, Summary, Verdict string // the last one is a class
	Facts                   []fact
	Bar                     []part
	All                     int
	Counts                  []count
	Bad                     []hostView // of all zones
	Zones                   []zoneView
}

// fact is a line about a rollout.
type fact struct{ Name, Value string }

// part is a piece of the bar, in hosts.
type part struct {
	Class   string
	From, N int
}

// count is how many hosts stand so.
type count struct {
	Class, Standing string
	N               int
}

// zoneView is the hosts of a zone.
type zoneView struct {
	Name, Told string
	Hosts      []hostView
}

// hostView is one host.
type hostView struct {
	Node, Zone, Standing, Class, Runs, Told, Ended, Run string
}

// WritePage writes the rollouts as one page for a browser, which asks for nothing
// else, and has no script. The time is that of the states.
func WritePage(w io.Writer, all []fleet.State, now time.Time) error {
	t, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return fmt.Errorf("parse fleet page: %w", err)
	}
	style := webpage.Style() + pageCSS
	p := page{
		Title: "Rollouts", Made: now.Format(timeFormat), Style: template.CSS(style), Policy: webpage.Policy(style, ""),
	}
	if len(all) == 1 {
		p.Title = webpage.Cut(Title(all[0]), maxName)
	}
	for i := range all {
		p.Rollouts = append(p.Rollouts, newRolloutView(i, all[i]))
	}
	if err := t.Execute(w, p); err != nil {
		return fmt.Errorf("write fleet page: %w", err)
	}
	return nil
}

func newRolloutView(i int, s fleet.State) rolloutView {
	_, rest, _ := strings.Cut(Summary(s), Title(s)+": ")
	v := rolloutView{
		Index: i, Title: webpage.Cut(Title(s), maxName), Summary: webpage.Cut(rest, maxText), All: len(s.Hosts),
		Verdict: verdictClass(s.Verdict()), Facts: facts(s),
	}
	for _, standing := range slices.Backward(fleet.Standings()) { // the bar begins with what is done
		if n := s.Count(standing); n > 0 {
			last := part{}
			if len(v.Bar) > 0 {
				last = v.Bar[len(v.Bar)-1]
			}
			v.Bar = append(v.Bar, part{class(standing), last.From + last.N, n})
			v.Counts = append([]count{{class(standing), string(standing), n}}, v.Counts...)
		}
	}
	for _, h := range s.Hosts {
		if h.Standing.Bad() {
			v.Bad = append(v.Bad, newHostView(h))
		}
	}
	v.Zones = zones(s)
	return v
}

// facts are what is known of a rollout beside its hosts.
func facts(s fleet.State) (all []fact) {
	began := ""
	if !s.Began.IsZero() {
		began = s.Began.Local().Format(timeFormat)
	}
	for _, f := range []fact{
		{"phase", phase(s)}, {"began", began}, {"hosts", s.Group}, {"limits", Limits(s)}, {"rollout", s.ID},
	} {
		if f.Value != "" {
			all = append(all, fact{f.Name, webpage.Cut(f.Value, maxText)})
		}
	}
	return all
}

// zones puts those first that have hosts which somebody has to look at.
func zones(s fleet.State) (all []zoneView) {
	index := map[string]int{}
	good, bad := map[string]int{}, map[string]int{}
	for _, h := range s.Hosts { // the worst first
		i, ok := index[h.Zone]
		if !ok {
			i = len(all)
			index[h.Zone] = i
			all = append(all, zoneView{Name: h.Zone})
		}
		all[i].Hosts = append(all[i].Hosts, newHostView(h))
		switch {
		case h.Standing == fleet.HostGood:
			good[h.Zone]++
		case h.Standing.Bad():
			bad[h.Zone]++
		}
	}
	slices.SortStableFunc(all, func(a, b zoneView) int {
		return cmp.Or(cmp.Compare(bad[b.Name], bad[a.Name]), cmp.Compare(a.Name, b.Name))
	})
	for i := range all {
		z := &all[i]
		z.Told = fmt.Sprintf("%d of %d good", good[z.Name], len(z.Hosts))
		z.Name = webpage.Cut(cmp.Or(z.Name, "no zone"), maxName)
	}
	return all
}

func newHostView(h fleet.Host) hostView {
	v := hostView{
		Node: webpage.Cut(cmp.Or(h.Node, "(no name)"), maxName), Zone: webpage.Cut(h.Zone, maxName),
		Standing: string(h.Standing), Class: class(h.Standing), Runs: webpage.Cut(runs(h), maxName),
		Told: webpage.Cut(told(h), maxText), Ended: ended(h), Run: webpage.Cut(h.Result.Run, maxName),
	}
	return v
}

// class is the colour and the shape of a standing.
func class(s fleet.Standing) string {
	switch s {
	case fleet.HostWorking:
		return "running"
	case fleet.HostWaiting, fleet.HostExpected:
		return "skipped"
	}
	return string(s)
}

func verdictClass(v fleet.Verdict) string {
	if v == fleet.VerdictGoing {
		return "running"
	}
	return string(v)
}
