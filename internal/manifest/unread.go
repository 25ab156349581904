package manifest

import (
	"fmt"

	"stretcher/internal/text/yamldoc"
)

// unreadGoingBack warns of what nobody reads of a manifest by which hosts go back: how
// to deploy, the manifest says that deployed what they go back to.
func (m *Manifest) unreadGoingBack(doc *yamldoc.Document) (warnings []*yamldoc.Problem) {
	if !m.Rollback.GoesBack() {
		return nil
	}
	warn := func(key, message string) {
		warnings = append(warnings, &yamldoc.Problem{Key: key, Message: message, Idle: true})
	}
	for _, point := range m.Commands.Points() {
		for i := range point.Commands {
			key := fmt.Sprintf("commands.%s[%d]", point.Name, i)
			if point.Name == "failure" {
				warn(key, "runs where a host finds nothing to go back to, and never else")
				continue
			}
			warn(key, "never runs: hosts that go back run the commands of the version that they go back to")
		}
	}
	lines := doc.Lines()
	for _, key := range []string{
		"dest_mode", "sync_strategy", "env", "hooks", "config", "excludes", "exclude_from", "native", "releases", "fetch",
		"extract", "limits", "strip_components",
	} {
		if lines(key) > 0 {
			warn(key, "is not read: hosts that go back do so by the manifest of the version that they go back to")
		}
	}
	if m.Rollback.Rerun != nil {
		warn("rollback.rerun", "is not read with to")
	}
	return warnings
}
