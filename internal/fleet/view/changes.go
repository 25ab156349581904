package view

import (
	"fmt"
	"slices"

	"stretcher/internal/fleet"
	"stretcher/internal/text/printable"
)

// Changes tells, a line each, what has changed with a rollout since it stood so
// before. Of a rollout that was not known before it tells all that has happened yet.
func Changes(before *fleet.State, now fleet.State) (lines []string) {
	known := map[string]fleet.Host{}
	if before != nil && before.ID == now.ID && before.Version == now.Version && before.Name == now.Name {
		for _, h := range before.Hosts {
			known[h.Node] = h
		}
	} else {
		before = nil
	}
	ended := now.Ended() && (before == nil || !before.Ended())
	sum := before == nil || before.Phase != now.Phase || before.Why != now.Why
	if sum && !ended {
		lines = append(lines, printable.Line(Summary(now)))
	}
	var begin []string // who has ended made room for these
	for _, h := range now.Hosts {
		last, ok := known[h.Node]
		if !news(last, h, ok) {
			continue
		}
		line := printable.Line(Line(now, h))
		if h.Standing == fleet.HostWorking {
			begin = append(begin, line)
		} else {
			lines = append(lines, line)
		}
	}
	lines = append(lines, begin...)
	if ended && (sum || len(lines) > 0) {
		lines = append(lines, printable.Line(Summary(now)))
	}
	return lines
}

// news tells whether a host is told of: it was known to stand otherwise, or was not known.
func news(last, h fleet.Host, known bool) bool {
	switch {
	case !known: // all begin so
		return !slices.Contains([]fleet.Standing{fleet.HostExpected, fleet.HostMissing, fleet.HostWaiting}, h.Standing)
	case last.Standing != h.Standing: // nothing but time goes by until it is missing
		return last.Standing != fleet.HostExpected || h.Standing != fleet.HostMissing
	case h.Standing == fleet.HostDied: // others may say so in other words
		return false
	}
	return last.Result != h.Result
}

// Line tells of one host.
func Line(s fleet.State, h fleet.Host) string {
	text := fmt.Sprintf("%s: %s %s", Title(s), h.Node, h.Standing)
	if h.Zone != "" {
		text = fmt.Sprintf("%s: %s (%s) %s", Title(s), h.Node, h.Zone, h.Standing)
	}
	if t := told(h); t != "" {
		text += ": " + t
	}
	return text
}
