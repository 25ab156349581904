package consul

import (
	"fmt"
	"time"

	"stretcher/internal/fleet"
)

// tellLine tells how many are at work, and how many are before the host in its line,
// as its shard said when it came.
func tellLine(p *Place, s shard) {
	where := ""
	if p.shard == canaryShard {
		where = " of the canaries"
	} else if p.head.Shards > 1 {
		where = fmt.Sprintf(", one of %d", p.head.Shards)
	}
	p.info("waiting: %d of %d at work, %d before this host in the line%s; %d in the group; %s", len(s.Held), s.Cap,
		max(0, p.ticket-s.Serving), where, p.head.Members, inPhase(p.head))
}

// tellPhase tells how far the rollout is.
func tellPhase(p *Place) { p.info("waiting: %s", inPhase(p.head)) }

// inPhase is what a phase means for who waits.
func inPhase(h *head) string {
	switch h.Phase {
	case fleet.Canary:
		return "the canaries go first"
	case fleet.Pause:
		return fmt.Sprintf("the canaries are good, and there is a pause of %s",
			time.Duration(h.Limits.PauseMS)*time.Millisecond)
	case draining:
		return "hosts of the rollout before are still at work"
	case fleet.Open:
		return "slots are handed out"
	}
	return fmt.Sprintf("the rollout is %s", h.Phase)
}
