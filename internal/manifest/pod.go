package manifest

import (
	"bytes"
	"slices"

	"stretcher/internal/text/failure"
)

// CheckPod tells whether a manifest is one of a hook pod's, and which of its keys mean
// nothing there.
func (l *Loaded) CheckPod() (unused []string, err error) {
	switch {
	case len(l.Src) == 0:
		return nil, failure.Hinted(l.likeP2(), failure.Malformed("manifest: src: a hook pod has one"))
	case l.Name == "":
		return nil, failure.Malformed("manifest: name: a hook pod has one")
	}
	return l.unusedByPod(), nil
}

// likeP2 is what to do about a hook pod's manifest that p2 would read.
func (l *Loaded) likeP2() string {
	if !bytes.Contains(l.Raw, []byte("launchables:")) {
		return ""
	}
	return "this looks like a manifest of p2's: write name for its id, and src and checksum for its launchable's location"
}

// unusedByPod are the keys of a hook pod's manifest that mean nothing there.
func (m *Manifest) unusedByPod() (keys []string) {
	for _, key := range []struct {
		name string
		set  bool
	}{
		{"dest", m.Dest != ""},
		{"commands", slices.ContainsFunc(m.Commands.Points(), func(p Point) bool { return len(p.Commands) > 0 })},
		{"env", len(m.Env) > 0},
		{"config", m.Config.Node != nil},
		{"hooks", len(m.Hooks) > 0},
	} {
		if key.set {
			keys = append(keys, key.name)
		}
	}
	return keys
}
