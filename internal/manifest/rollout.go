package manifest

import (
	"fmt"
	"slices"

	"stretcher/internal/text/yamldoc"
)

// checkRollout checks the key by which a group of hosts deploys.
func (m *Manifest) checkRollout(add func(key, value, message string)) {
	if m.Rollout == nil {
		return
	}
	if m.Name == "" && m.Dest == "" {
		add("name", "", "is required with rollout, where there is no dest")
	}
	m.Rollout.Check(func(key, value, message string) { add(ofRollout(key), value, message) })
}

// idleRollout warns of what of the rollout changes nothing, or is hardly meant so.
func (m *Manifest) idleRollout(rules Rules) (warnings []*yamldoc.Problem) {
	if m.Rollout == nil {
		return nil
	}
	m.Rollout.Idle(func(key, message string) {
		warnings = append(warnings, &yamldoc.Problem{Key: ofRollout(key), Message: message})
	})
	m.Rollout.Doubts(func(key, message string) {
		warnings = append(warnings, &yamldoc.Problem{Key: ofRollout(key), Message: message, Idle: true})
	})
	if m.Rollout.Short() && m.runsBack(rules) {
		warnings = append(warnings, &yamldoc.Problem{Key: "rollout.lease", Idle: true, Message: fmt.Sprintf(
			"leaves %s to the commands that run when a host goes back which has lost its slot; 2m leave 18s",
			m.Rollout.Afterwards())})
	}
	return warnings
}

// runsBack tells whether commands run where a host goes back, by itself or by this manifest.
func (m *Manifest) runsBack(rules Rules) bool {
	kind := rules.kind(m.SyncStrategy)
	if m.Rollback.GoesBack() || kind == nil || !kind.Prunes || m.Rollback.Off {
		return m.Rollback.GoesBack()
	}
	return slices.ContainsFunc(m.Commands.Points(), func(p Point) bool {
		return len(p.Commands) > 0 && slices.Contains(m.Rollback.Points(), p.Name)
	})
}

// ofRollout is the path of a key of the rollout; "" is that of the rollout itself.
func ofRollout(key string) string {
	if key == "" {
		return "rollout"
	}
	return "rollout." + key
}
