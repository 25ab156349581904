package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"stretcher/internal/strategy/filter"
	"stretcher/internal/strategy/releases"
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

func (k ReleaseKeys) keep() int {
	if k.Keep == nil {
		return defaultKeep
	}
	return int(*k.Keep)
}

// RollbackKeys say what happens when the release that was switched to fails
// its post or verify commands.
type RollbackKeys struct {
	Off   bool      `yaml:"-"`     // it stays
	Rerun *[]string `yaml:"rerun"` // commands to run again for the release that is switched back to; nil = post
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

func (k RollbackKeys) rerun() []string {
	if k.Rerun == nil {
		return []string{"post"}
	}
	return *k.Rerun
}

// checkReleases checks the keys of the releases strategy.
func (m *Manifest) checkReleases(add func(key, value, message string)) {
	if k := m.Releases.Keep; k != nil && (*k < 1 || *k > 10000) {
		add("releases.keep", strconv.FormatInt(*k, 10), "is not a number from 1 to 10000")
	}
	if l := m.Releases.Link; !slices.Contains([]string{"", "reflink", "hard", "none"}, l) {
		add("releases.link", l, "is not reflink, hard or none")
	}
	if err := releases.CheckShared(m.Releases.Shared); err != nil {
		add("releases.shared", "", err.Error())
	}
	for i, name := range m.Rollback.rerun() {
		if name != "post" && name != "verify" {
			add(fmt.Sprintf("rollback.rerun[%d]", i), name, "is not post or verify")
		}
	}
}

// checkExcludes finds patterns that only rsync could make something of.
func (m *Manifest) checkExcludes(add func(key, value, message string)) {
	if m.SyncStrategy != strategyNative && m.SyncStrategy != strategyReleases {
		return
	}
	for i, pattern := range m.Excludes {
		if _, _, err := filter.Parse(pattern); err != nil {
			add(fmt.Sprintf("excludes[%d]", i), "", err.Error())
		}
	}
}

// unused warns of keys that the strategy does not read.
func (m *Manifest) unused() (warnings []*yamldoc.Problem) {
	warn := func(key, strategy string) {
		warnings = append(warnings, &yamldoc.Problem{Key: key, Message: "is read by sync_strategy " + strategy + " only"})
	}
	k := m.Releases
	if m.SyncStrategy != strategyReleases {
		if k.Keep != nil || len(k.Shared) > 0 || k.Link != "" {
			warn("releases", strategyReleases)
		}
		if m.Rollback.Off || m.Rollback.Rerun != nil {
			warn("rollback", strategyReleases)
		}
	}
	if m.Native.Checksum && !slices.Contains([]string{"", strategyNative}, m.SyncStrategy) {
		warn("native", strategyNative)
	}
	return warnings
}
