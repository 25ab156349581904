package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"stretcher/internal/hooks/porter"
	"stretcher/internal/strategy/filter"
	"stretcher/internal/text/keys"
	"stretcher/internal/text/yamldoc"
)

// NativeKeys are the manifest's keys for the native strategy.
type NativeKeys struct {
	Checksum bool `yaml:"checksum"` // compare content, not size and time
}

// ReleaseKeys are the manifest's keys for the releases strategy.
type ReleaseKeys struct {
	Keep   *int64   `yaml:"keep"`   // good releases; nil = defaultKeep
	Shared []string `yaml:"shared"` // paths that all releases share
	Link   string   `yaml:"link"`   // how unchanged files share their room: reflink ("" too), hard or none
}

// defaultKeep is how many good releases stay.
const defaultKeep = 5

// KeepCount is how many good releases stay, the new one included.
func (k ReleaseKeys) KeepCount() int {
	if k.Keep == nil {
		return defaultKeep
	}
	return int(*k.Keep)
}

// RollbackKeys say what happens when the release that was switched to fails
// its post or verify commands; or that the host shall go back, in the place of src.
type RollbackKeys struct {
	Off   bool      `yaml:"-"`     // it stays
	To    string    `yaml:"to"`    // the version that the host goes back to, or previous; "" = it does not
	From  string    `yaml:"from"`  // only where this version is; "" = wherever
	Rerun *[]string `yaml:"rerun"` // commands to run again for the release that is switched back to; nil = post
}

// GoesBack tells whether the manifest brings nothing: the host goes back to what it
// had before.
func (k RollbackKeys) GoesBack() bool { return k.To != "" }

// Goal is the version that the manifest brings; "" where each host finds out by itself.
func (m *Manifest) Goal() string {
	switch m.Rollback.To {
	case "":
		return m.Version
	case Previous:
		return ""
	}
	return m.Rollback.To
}

// Previous stands for the version before, whichever that is on a host.
const Previous = "previous"

// String says where a host goes back to.
func (k RollbackKeys) String() string {
	text := "to the version before"
	if k.To != Previous {
		text = fmt.Sprintf("to version %q", k.To)
	}
	if k.From != "" {
		text += fmt.Sprintf(", where version %q is", k.From)
	}
	return text
}

// checkGoingBack checks a manifest that brings nothing.
func (m *Manifest) checkGoingBack(add func(key, value, message string)) {
	if !m.Rollback.GoesBack() {
		if m.Rollback.From != "" {
			add("rollback.from", m.Rollback.From, "goes with rollback.to")
		}
		return
	}
	if len(m.Src) > 0 {
		add("rollback.to", m.Rollback.To, "goes with no src: a host goes back to what it has")
		return
	}
	m.checkDest(add, "rollback.to")
}

// FromScalar reads `rollback: false`.
func (k *RollbackKeys) FromScalar(s string) error {
	on, err := strconv.ParseBool(s)
	if err != nil {
		return errors.New("is not false, true or a mapping with rerun")
	}
	k.Off = !on
	return nil
}

// Points are the points whose commands run again.
func (k RollbackKeys) Points() []string {
	if k.Rerun == nil {
		return []string{"post"}
	}
	return *k.Rerun
}

// checkReleases checks the keys of the releases strategy.
func (m *Manifest) checkReleases(add func(key, value, message string), checkShared func([]string) error) {
	if k := m.Releases.Keep; k != nil {
		addNumber(add, "releases.keep", *k, keepRange())
	}
	if err := linkWords().Check(m.Releases.Link); err != nil {
		add("releases.link", m.Releases.Link, err.Error())
	}
	if err := checkShared(m.Releases.Shared); err != nil {
		add("releases.shared", "", err.Error())
	}
	for i, name := range m.Rollback.Points() {
		if err := rerunWords().Check(name); err != nil && name != "" {
			add(fmt.Sprintf("rollback.rerun[%d]", i), name, err.Error())
		}
	}
}

// addNumber tells of a number that is not in its range.
func addNumber(add func(key, value, message string), key string, n int64, within keys.Number) {
	if err := within.Check(n); err != nil {
		add(key, strconv.FormatInt(n, 10), err.Error())
	}
}

// checkExcludes finds patterns that only rsync could make something of.
func (m *Manifest) checkExcludes(add func(key, value, message string), kind *Kind) {
	if n := filter.Wild(strings.Join(m.Excludes, "\n")); n > filter.MaxWild {
		add("excludes", "", fmt.Sprintf("has %d bytes of patterns with wildcards, %d are allowed", n, filter.MaxWild))
	}
	if kind == nil || !kind.Patterns {
		return
	}
	for i, pattern := range m.Excludes {
		if _, _, err := filter.Parse(pattern); err != nil {
			add(fmt.Sprintf("excludes[%d]", i), "", err.Error())
		}
	}
}

// unused warns of keys that the strategy does not read. One that is not named
// may turn out to be any of those that are taken by default.
func (m *Manifest) unused(rules Rules) (warnings []*yamldoc.Problem) {
	r := m.Releases
	for _, section := range []struct {
		key string
		set bool
	}{
		{"releases", r.Keep != nil || len(r.Shared) > 0 || r.Link != ""},
		{"rollback", m.Rollback.Off || m.Rollback.Rerun != nil},
		{"native", m.Native.Checksum},
	} {
		var readers []string
		reads := false
		for _, k := range rules.Kinds {
			if slices.Contains(k.Sections, section.key) {
				readers = append(readers, k.Name)
				reads = reads || k.Name == m.SyncStrategy || k.Default && m.SyncStrategy == ""
			}
		}
		if section.set && !reads {
			warnings = append(warnings, &yamldoc.Problem{Key: section.key,
				Message: "is read by sync_strategy " + keys.OneOf(readers).String() + " only"})
		}
	}
	return append(warnings, m.unpruned(rules)...)
}

// unpruned warns of hooks around the removal of old deployments where the
// strategy keeps none.
func (m *Manifest) unpruned(rules Rules) (warnings []*yamldoc.Problem) {
	var pruners []string
	for _, k := range rules.Kinds {
		if !k.Prunes {
			continue
		}
		if k.Name == m.SyncStrategy {
			return nil
		}
		pruners = append(pruners, k.Name)
	}
	for _, list := range []string{porter.Prune.Pre(), porter.Prune.Post()} {
		if len(m.Hooks[list]) > 0 {
			warnings = append(warnings, &yamldoc.Problem{Key: "hooks." + list,
				Message: "runs with sync_strategy " + keys.OneOf(pruners).String() + " only: others keep nothing that is removed"})
		}
	}
	return warnings
}
