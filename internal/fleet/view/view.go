// Package view shows how rollouts stand: as a table for people, as JSON for
// programs, as lines of what has changed, and as one page for a browser.
//
// Its words are those of fleet. All views tell the same, the worst first; texts of
// hosts are escaped for who reads them, and are cut where they are too long.
//
// It imports fleet and internal/text, is given values, and opens nothing.
package view

import (
	"cmp"
	"fmt"
	"strings"

	"stretcher/internal/fleet"
	"stretcher/internal/text/units"
)

// timeFormat is that of times for people, who must know the zone.
const timeFormat = "2006-01-02 15:04:05 MST"

// Title names a rollout: web 42.
func Title(s fleet.State) string {
	return strings.TrimSpace(cmp.Or(s.Name, "(no name)") + " " + s.Version)
}

// Summary is how a rollout stands, in one line.
func Summary(s fleet.State) string {
	text := fmt.Sprintf("%s: %s", Title(s), s.Verdict())
	if s.Phase != "" {
		text += ", " + phase(s)
	}
	if len(s.Hosts) == 0 {
		return text + ", no host"
	}
	text += fmt.Sprintf(", %d of %d %s good", s.Count(fleet.HostGood), len(s.Hosts), plural(len(s.Hosts), "host", "hosts"))
	for _, standing := range fleet.Standings() {
		if n := s.Count(standing); n > 0 && standing != fleet.HostGood {
			text += fmt.Sprintf(", %d %s", n, standing)
		}
	}
	return text
}

// phase is the phase in words.
func phase(s fleet.State) string {
	if s.Why != "" {
		return fmt.Sprintf("%s (%s)", s.Phase, s.Why)
	}
	return string(s.Phase)
}

// limited tells whether the limits of a rollout are known: not of one that could not begin.
func limited(s fleet.State) bool {
	return s.ID != "" && (s.Phase != fleet.Stopped || s.Limits.Parallel > 0)
}

// Limits says what a rollout lets happen; "" where that is not known.
func Limits(s fleet.State) string {
	if !limited(s) {
		return ""
	}
	l := s.Limits
	parts := []string{"all at once"}
	if l.Parallel > 0 {
		parts[0] = fmt.Sprintf("%d at once", l.Parallel)
	}
	if l.Canary > 0 {
		parts = append(parts, fmt.Sprintf("%d first", l.Canary))
	}
	if l.Pause > 0 {
		parts = append(parts, fmt.Sprintf("a pause of %s after them", units.Span(l.Pause)))
	}
	if l.MaxFailed >= 0 {
		parts = append(parts, fmt.Sprintf("at most %d failed", l.MaxFailed))
	}
	return strings.Join(parts, ", ")
}

func plural(n int, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}

// runs is the version that a host has.
func runs(h fleet.Host) string {
	switch {
	case h.Mixed:
		return "(mixed)"
	case h.Standing == fleet.HostDied && h.Runs == "":
		return "?"
	}
	return h.Runs
}

// told is what is said of a host beside its standing.
func told(h fleet.Host) string {
	text := h.Result.Error
	if h.Result.Step != "" && h.Standing != fleet.HostGood && !strings.HasPrefix(text, h.Result.Step+":") {
		text = strings.TrimSuffix("in "+h.Result.Step+": "+text, ": ")
	}
	if text != "" && h.Note != "" {
		return text + " (" + h.Note + ")"
	}
	return text + h.Note
}

// ended is when the run of a host ended, in the reader's zone; "" while it is not over.
func ended(h fleet.Host) string {
	if h.Result.Finished.IsZero() {
		return ""
	}
	return h.Result.Finished.Local().Format(timeFormat)
}
