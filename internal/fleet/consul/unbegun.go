package consul

import (
	"context"
	"fmt"

	"stretcher/internal/fleet"
	"stretcher/internal/text/failure"
)

// cannotBegin is why a rollout does not begin: who is in its group is not known. Nobody
// may take it for a group of one then.
type cannotBegin struct{ why, hint string }

// Error says why.
func (c cannotBegin) Error() string { return "it could not begin: " + c.why }

// begun tells whether a rollout has shards: hosts may have had slots of it.
func (h *head) begun() bool { return h.Phase != beginning && h.Phase != unbegun }

// nobodyIn is the error of a group that Consul does not know.
func nobodyIn(r fleet.Rollout) error {
	if r.Service != "" {
		return cannotBegin{fmt.Sprintf("consul knows no instance of %s", r.Group()),
			"check its name, and that the token may read it; the first deployment, before the service is registered, " +
				"lists its nodes, as rollout: {hosts: [web-1, web-2]}"}
	}
	return cannotBegin{fmt.Sprintf("consul knows no %s", r.Group()),
		"check the key and the value, and that the token may read nodes; rollout: {hosts: [web-1, web-2]} lists them"}
}

// mayNotSee is the error of a group of which Consul keeps hosts from the token.
func mayNotSee(r fleet.Rollout, right string) error {
	return cannotBegin{fmt.Sprintf("consul does not show all of %s to this token: it lacks %s", r.Group(), right),
		"docs/fleet.md has the rights of hosts; when they are there, the same event begins the rollout"}
}

// stopped is the error of hosts that a rollout which is stopped has no slot for.
func (h *head) stopped() error {
	return failure.Hinted(h.Hint, fmt.Errorf("%w: %s", fleet.ErrStopped, h.Why))
}

// giveUp leaves word that the rollout can't begin, so that not each host tries it in
// turn. Hosts that get its event later do.
func (l *ledger) giveUp(ctx context.Context, h *head, index uint64, cannot cannotBegin) error {
	h.Phase, h.Why, h.Hint = unbegun, cut(cannot.Error()), cut(cannot.hint)
	won, err := l.commit(ctx, casOp(l.headKey(), encode(h), index))
	if err != nil || !won {
		return err
	}
	return h.stopped()
}
