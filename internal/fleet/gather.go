package fleet

import (
	"slices"
	"time"
)

// Heard is what hosts have said for themselves, where no server keeps a rollout.
type Heard struct {
	Results []Result // each with its Node
	Members []string // the hosts that there should be; nil = not known
}

// Names are the names that hosts have told of, in alphabetical order.
func (h Heard) Names() (names []string) {
	for _, r := range h.Results {
		if r.Name != "" && r.Result != "never" && !slices.Contains(names, r.Name) {
			names = append(names, r.Name)
		}
	}
	slices.Sort(names)
	return names
}

// Rollout is how it stands with the hosts by what they say of a name, in this version
// where one is given: whose last run was of another one is missing. A result without
// a name is of a run that came to no manifest, and counts for all.
func (h Heard) Rollout(name, version string) State {
	last := map[string]Result{}
	for _, r := range h.Results {
		if r.Name != "" && r.Name != name {
			continue
		}
		if known, ok := last[r.Node]; !ok || later(r, known) {
			last[r.Node] = r
		}
	}
	s := State{Name: name, Version: version}
	for node, r := range last {
		s.Hosts = append(s.Hosts, hostOf(node, r, version))
	}
	for _, node := range h.Members {
		if _, ok := last[node]; !ok {
			last[node] = Result{}
			s.Hosts = append(s.Hosts, Host{Node: node, Standing: HostMissing})
		}
	}
	if s.Version == "" {
		s.Version = s.commonVersion()
	}
	s.Sort()
	return s
}

// later tells whether a host's result is newer than another one of its own, by its
// own clock.
func later(a, b Result) bool {
	end := func(r Result) time.Time {
		if r.Finished.IsZero() {
			return r.Started
		}
		return r.Finished
	}
	return end(a).After(end(b))
}

// hostOf is a host by its last result.
func hostOf(node string, r Result, version string) Host {
	h := Host{Node: node, Zone: r.Zone, Standing: StandingOf(r.Result), Result: r}
	h.Runs, h.Mixed, _ = r.Has()
	if version != "" && r.Version != version && (r.Version != "" || h.Standing == HostGood) {
		h.Standing = HostMissing
	}
	return h
}

// commonVersion is the version that all results are of; "" when there are several.
func (s *State) commonVersion() (version string) {
	for _, h := range s.Hosts {
		switch v := h.Result.Version; {
		case v == "", v == version:
		case version == "":
			version = v
		default:
			return ""
		}
	}
	return version
}

// Knows tells whether hosts have told of a name, or of none at all: their runs came to
// no manifest.
func (h Heard) Knows(name string) bool {
	names := h.Names()
	return slices.Contains(names, name) || len(names) == 0 &&
		slices.ContainsFunc(h.Results, func(r Result) bool { return r.Result != "never" })
}
