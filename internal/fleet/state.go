package fleet

import (
	"cmp"
	"slices"
	"time"

	"stretcher/internal/text/units"
)

// Phase is how far a rollout is.
type Phase string

// The phases of a rollout.
const (
	Canary  Phase = "canary"  // the first hosts are at work, and no others
	Pause   Phase = "pause"   // they are good, and the rest waits
	Open    Phase = "open"    // slots are handed out
	Stopped Phase = "stopped" // too many have failed, or somebody stopped it
	Done    Phase = "done"    // all hosts have ended
)

// Standing is how it stands with a host.
type Standing string

// The standings of a host.
const (
	HostFailed   Standing = "failed"   // its run failed, or was refused
	HostDied     Standing = "died"     // it had a slot, and was heard of no more
	HostMissing  Standing = "missing"  // it is of the group, and was not heard of
	HostStopped  Standing = "stopped"  // it waited when the rollout was stopped: nothing was touched
	HostWorking  Standing = "working"  // it has a slot
	HostWaiting  Standing = "waiting"  // it waits for a slot
	HostExpected Standing = "expected" // it is of the group, and has had no time to come yet
	HostGood     Standing = "good"
)

// Standings is the order in which hosts are told: the worst first.
func Standings() []Standing {
	return []Standing{HostFailed, HostDied, HostMissing, HostStopped, HostWorking, HostWaiting, HostExpected, HostGood}
}

// Refused is the result of a run whose manifest the host does not accept.
const Refused = "refused"

// StandingOf is how it stands with a host whose run ended so, by the words of the
// history.
func StandingOf(result string) Standing {
	switch result {
	case "good", "skipped": // a newer event replaced a skipped one; nothing ran
		return HostGood
	case "running":
		return HostWorking
	case "died":
		return HostDied
	case "stopped":
		return HostStopped
	case "never": // the host was asked, and knows nothing of it
		return HostMissing
	}
	return HostFailed
}

// Bad tells whether somebody has to look at the host.
func (s Standing) Bad() bool { return s == HostFailed || s == HostDied || s == HostMissing }

// Limits are those of a rollout, in hosts.
type Limits struct {
	Parallel  int // so many are at work; 0 = no limit
	MaxFailed int // when more have failed, the rest stop; below 0 = no limit
	Canary    int // so many go first
	Pause     time.Duration
}

// Host is what is known of one host of a rollout.
type Host struct {
	Node     string
	Zone     string // "" = it has none
	Standing Standing
	Runs     string // the version that it has, as it has told last; "" = none that is known
	Mixed    bool   // it has parts of several
	Result   Result // of its run; zero while there is none
	Note     string // what else is known of it, for people; "" = nothing
	Excused  bool   // nobody waits for it as long as it is missing
}

// State is what is known of a rollout and of its hosts.
type State struct {
	Name    string
	Version string
	ID      string // of the rollout; "" = none is known: results alone tell
	Phase   Phase  // "" as long as the id is
	Begins  bool   // who is of the group is not known yet
	Group   string // of which hosts: "service web", ...; "" = not known
	Why     string // it was stopped, or by whom; "" = it was not
	Began   time.Time
	Limits  Limits
	Hosts   []Host // see Sort
}

// Sort puts the hosts into the order in which they are told.
func (s *State) Sort() {
	order := map[Standing]int{}
	for i, standing := range Standings() {
		order[standing] = i
	}
	slices.SortStableFunc(s.Hosts, func(a, b Host) int {
		return cmp.Or(cmp.Compare(order[a.Standing], order[b.Standing]), naturally(a.Zone, b.Zone),
			naturally(a.Node, b.Node))
	})
}

// Count is how many hosts stand so.
func (s *State) Count(standings ...Standing) (n int) {
	for _, h := range s.Hosts {
		if slices.Contains(standings, h.Standing) {
			n++
		}
	}
	return n
}

// Ended tells whether no host will go to work any more.
func (s *State) Ended() bool {
	switch {
	case s.Count(HostWorking) > 0, s.Begins:
		return false
	case s.Phase == Done, s.Phase == Stopped:
		return true
	case len(s.Hosts) == 0: // it has only begun: who is in the group is not known yet
		return false
	}
	return s.Count(HostWaiting, HostExpected)+s.awaited() == 0
}

// awaited is how many hosts are missing that nobody has excused.
func (s *State) awaited() (n int) {
	for _, h := range s.Hosts {
		if h.Standing == HostMissing && !h.Excused {
			n++
		}
	}
	return n
}

// Silent is the result of a host that should have come and has not: others tell it.
const Silent = "silent"

// Silence has those failed that are missing after so long, unless they are excused.
func (s *State) Silence(after time.Duration) {
	for i := range s.Hosts {
		if h := &s.Hosts[i]; h.Standing == HostMissing && !h.Excused {
			h.Standing, h.Result = HostFailed, Result{Node: h.Node, Zone: h.Zone, Result: Silent, Error: SilentFor(after)}
		}
	}
}

// SilentFor says that a host has been silent for so long.
func SilentFor(d time.Duration) string { return "silent for " + units.Span(d) }

// Verdict is how it stands with all of a rollout.
type Verdict string

// The verdicts.
const (
	VerdictGood    Verdict = "good"    // on all hosts
	VerdictFailed  Verdict = "failed"  // on a host, or it was stopped
	VerdictMissing Verdict = "missing" // no host failed, and some were not heard of
	VerdictGoing   Verdict = "going"   // hosts are at work, or wait
)

// Verdict judges the rollout as it is now. Hosts that nobody has heard of may still
// come; they are missing as soon as no other host has anything left to do, and they have
// had the time to come.
func (s *State) Verdict() Verdict {
	switch {
	case s.Count(HostWorking) > 0, s.Phase != Stopped && s.Count(HostWaiting, HostExpected) > 0, s.Begins:
		return VerdictGoing
	case s.Phase == Stopped, s.Count(HostFailed, HostDied, HostStopped) > 0:
		return VerdictFailed
	case s.awaited() > 0:
		return VerdictMissing
	case len(s.Hosts) == 0:
		return VerdictGoing
	}
	return VerdictGood
}
