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
	if before == nil || before.Phase != now.Phase || before.Why != now.Why {
		lines = append(lines, printable.Line(Summary(now)))
	}
	for _, h := range now.Hosts {
		last, ok := known[h.Node]
		quiet := !ok && slices.Contains([]fleet.Standing{fleet.HostExpected, fleet.HostMissing, fleet.HostWaiting},
			h.Standing) // all begin so
		quiet = quiet || last.Standing == fleet.HostExpected && h.Standing == fleet.HostMissing // nothing but time went by
		if ok && last.Standing == h.Standing && last.Result == h.Result || quiet {
			continue
		}
		lines = append(lines, printable.Line(Line(now, h)))
	}
	if before != nil && now.Ended() && !before.Ended() && len(lines) > 0 && before.Phase == now.Phase {
		lines = append(lines, printable.Line(Summary(now)))
	}
	return lines
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
