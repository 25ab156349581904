package fleet

import (
	"testing"
	"time"
)

// TestNoHostYet: a rollout of which no host is known yet is not good, and has not ended.
func TestNoHostYet(t *testing.T) {
	for _, phase := range []Phase{Canary, Open} {
		s := State{Name: "web", ID: "id", Phase: phase}
		if v := s.Verdict(); s.Ended() || v != VerdictGoing {
			t.Errorf("at %s it has ended: %v, and is %s", phase, s.Ended(), v)
		}
	}
	s := State{Name: "web", ID: "id", Phase: Stopped}
	if v := s.Verdict(); !s.Ended() || v != VerdictFailed {
		t.Errorf("stopped it has ended: %v, and is %s", s.Ended(), v)
	}
}

// TestSilence: who should have come and has not has failed; nobody waits for a host that
// is excused, and it changes nothing for the others.
func TestSilence(t *testing.T) {
	good, missing := Host{Node: "a", Standing: HostGood}, Host{Node: "b", Standing: HostMissing}
	excused := Host{Node: "c", Standing: HostMissing, Excused: true}
	for name, c := range map[string]struct {
		hosts  []Host
		before Verdict
		after  Verdict
		ended  bool // before
	}{
		"good":                  {[]Host{good}, VerdictGood, VerdictGood, true},
		"one is missing":        {[]Host{good, missing}, VerdictMissing, VerdictFailed, false},
		"one is excused":        {[]Host{good, excused}, VerdictGood, VerdictGood, true},
		"missing, excused":      {[]Host{missing, excused}, VerdictMissing, VerdictFailed, false},
		"excused, and has come": {[]Host{good, {Standing: HostWaiting, Excused: true}}, VerdictGoing, VerdictGoing, false},
		"excused, and failed":   {[]Host{good, {Standing: HostFailed, Excused: true}}, VerdictFailed, VerdictFailed, true},
	} {
		s := State{Phase: Open, ID: "id", Hosts: c.hosts}
		if s.Verdict() != c.before || s.Ended() != c.ended {
			t.Errorf("%s: %s, ended %v", name, s.Verdict(), s.Ended())
		}
		s.Silence(time.Hour)
		if s.Verdict() != c.after {
			t.Errorf("%s: then it is %s", name, s.Verdict())
		}
		for _, h := range s.Hosts {
			if silent := h.Result.Result == Silent; silent != (h.Node == "b") || silent && h.Result.Error != "silent for 1h" {
				t.Errorf("%s: %+v", name, h)
			}
		}
	}
	if StandingOf(Silent) != HostFailed {
		t.Error("who is silent has not failed")
	}
}
