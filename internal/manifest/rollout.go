package manifest

import (
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
func (m *Manifest) idleRollout() (warnings []*yamldoc.Problem) {
	if m.Rollout == nil {
		return nil
	}
	m.Rollout.Idle(func(key, message string) {
		warnings = append(warnings, &yamldoc.Problem{Key: ofRollout(key), Message: message})
	})
	m.Rollout.Doubts(func(key, message string) {
		warnings = append(warnings, &yamldoc.Problem{Key: ofRollout(key), Message: message, Idle: true})
	})
	return warnings
}

// ofRollout is the path of a key of the rollout; "" is that of the rollout itself.
func ofRollout(key string) string {
	if key == "" {
		return "rollout"
	}
	return "rollout." + key
}
