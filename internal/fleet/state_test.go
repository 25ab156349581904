package fleet

import "testing"

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
