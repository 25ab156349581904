// Package manifest is what a deployment is: the keys of a manifest, what can
// be checked of them before anything is fetched, and the one way to get one.
//
// Its words: a manifest is the YAML document that an event names; its
// templates are filled with values of the environment; a kind is what must be
// known of a sync strategy to check the manifest; the raw bytes are those
// that were fetched, which are kept and, where templates stand in them, filled
// anew each time. Loader is the one way from a URL, or from kept bytes, to a
// manifest that has been checked.
//
// It may import hooks/porter (whose lists are a key), fleet, policy,
// fetch/checksum, strategy/filter and the packages below text. It fetches nothing itself and
// knows no strategy by name.
package manifest

import (
	"fmt"
	"slices"
	"strings"

	"stretcher/internal/fetch/checksum"
	"stretcher/internal/fleet"
	"stretcher/internal/hooks/porter"
	"stretcher/internal/policy"
	"stretcher/internal/text/units"
	"stretcher/internal/text/yamldoc"
)

// Manifest is what a deployment is: docs/manifest.md describes every key.
type Manifest struct {
	Src          []string           `yaml:"src"` // mirrors, in order; none = commands only
	Dest         string             `yaml:"dest"`
	DestMode     *units.Mode        `yaml:"dest_mode"`
	SyncStrategy string             `yaml:"sync_strategy"`
	Env          map[string]*string `yaml:"env"` // nil = passed through from the caller
	Commands     Commands           `yaml:"commands"`
	Hooks        porter.Lists       `yaml:"hooks"`
	Config       yamldoc.Raw        `yaml:"config"`  // for hooks alone; a map
	Rollout      *fleet.Rollout     `yaml:"rollout"` // nil: each host deploys when it is told to

	Excluding
	Digests
	About
	Freshness
	StrategyKeys
	Bounds
}

// Excluding says what of dest is left alone.
type Excluding struct {
	Excludes    []string `yaml:"excludes"`
	ExcludeFrom string   `yaml:"exclude_from"`
}

// Digests are those of what is fetched.
type Digests struct {
	Checksum checksum.Checksum `yaml:"checksum"` // of the archive
	Index    checksum.Checksum `yaml:"index"`    // of the archive's index, by SHA-256; the zero value is none
}

// About is what people know a deployment by.
type About struct {
	Name        string            `yaml:"name"`
	Version     string            `yaml:"version"`
	Annotations map[string]string `yaml:"annotations"`

	guesses guesses // keys whose value nobody knows here
}

// Freshness tells an old manifest from a new one.
type Freshness struct {
	Serial  Serial `yaml:"serial"`  // 0 = none
	Expires Expiry `yaml:"expires"` // zero = never
}

// StrategyKeys are the keys that one strategy reads alone.
type StrategyKeys struct {
	Native   NativeKeys   `yaml:"native"`   // for the strategy of that name
	Releases ReleaseKeys  `yaml:"releases"` // for the strategy of that name
	Rollback RollbackKeys `yaml:"rollback"` // for releases
}

// Bounds are what an archive may be and hold, and how it may be fetched, no
// looser than the host policy's, and what of its names does not count.
type Bounds struct {
	Fetch   policy.Fetch   `yaml:"fetch"`
	Extract policy.Extract `yaml:"extract"`
	Limits  Limits         `yaml:"limits"`
	Strip   int64          `yaml:"strip_components"` // how many leading components names lose
}

// Title is the deployment's name and version.
func (m *Manifest) Title() string {
	if m.Version == "" {
		return fmt.Sprintf("%q", m.Name)
	}
	return fmt.Sprintf("%q version %q", m.Name, m.Version)
}

// Limits are the largest archive that is accepted; 0 = no limit.
type Limits struct {
	Archive  units.Size `yaml:"archive"`  // bytes as fetched
	Unpacked units.Size `yaml:"unpacked"` // bytes as unpacked
	Files    int64      `yaml:"files"`    // entries
}

// Rulings are what the rules of the host policy say of the manifest, in the
// order in which a deployment asks. Whether dest is allowed is asked once more
// when it has been opened.
func (m *Manifest) Rulings(host *policy.Policy) []policy.Ruling {
	var all []policy.Ruling
	if !m.Guessed("name", m.Name) {
		all = host.Ask(policy.Name, m.Name)
	}
	for i, src := range m.Src {
		if !m.Guessed(fmt.Sprintf("src[%d]", i), src) {
			all = append(all, host.Ask(policy.Source, src)...)
		}
	}
	programs := m.programs()
	needed := len(m.Src) > 0 || len(programs) == 0 && !m.Rollback.GoesBack() // commands alone need none
	if m.SyncStrategy != "" && needed && !m.Guessed("sync_strategy", "") {
		all = append(all, host.Ask(policy.Strategy, m.SyncStrategy)...)
	}
	if m.Rollback.GoesBack() {
		all = append(all, host.Ask(policy.Rollback, "")...)
	}
	if n := len(programs); n > 0 {
		what := programs[0]
		if n > 1 {
			what += fmt.Sprintf(" and %d more", n-1)
		}
		all = append(all, host.Ask(policy.Commands, what)...)
	}
	if m.Hooks.Mounts() {
		all = append(all, host.Ask(policy.Container, "")...)
	}
	for _, name := range m.passedOn() {
		all = append(all, host.Ask(policy.Variable, name)...)
	}
	if m.Guessed("dest", m.Dest) {
		return all
	}
	return append(all, host.Ask(policy.Dest, m.Dest)...)
}

// programs are the keys of the commands and hooks that the manifest has.
func (m *Manifest) programs() (keys []string) {
	for _, p := range m.Commands.Points() {
		if len(p.Commands) > 0 {
			keys = append(keys, "commands."+p.Name)
		}
	}
	for _, name := range m.Hooks.Sorted() {
		if len(m.Hooks[name]) > 0 {
			keys = append(keys, "hooks."+name)
		}
	}
	return keys
}

// passedOn are the names of the variables that the manifest passes on from the
// caller's environment to commands and hooks, sorted.
func (m *Manifest) passedOn() []string {
	names := m.Hooks.PassedOn()
	for name, value := range m.Env {
		if value == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Restrict tightens what the manifest allows to what the host policy does.
func (m *Manifest) Restrict(host *policy.Policy) {
	m.Extract = host.Extract.Tighter(m.Extract)
	m.Fetch.Connections = m.Fetch.Connections.Restricted(host.Fetch.Connections)
	t := host.Limits.Tightest(policy.Limits{Archive: m.Limits.Archive, Unpacked: m.Limits.Unpacked, Files: m.Limits.Files})
	m.Limits = Limits{t.Archive, t.Unpacked, t.Files}
	if m.Rollout != nil {
		m.Rollout = m.Rollout.Within(host.Rollout)
	}
}

// Commands are the user's commands by the point at which they run.
type Commands struct {
	Pre     []Command `yaml:"pre"`
	Post    []Command `yaml:"post"`
	Verify  []Command `yaml:"verify"`
	Success []Command `yaml:"success"`
	Failure []Command `yaml:"failure"`
}

// Command is one command, run by sh -c.
type Command struct {
	Run     string         `yaml:"run"`
	Timeout units.Duration `yaml:"timeout"` // 0 = none
	Cwd     string         `yaml:"cwd"`     // "" = the caller's working directory
}

// FromScalar reads a command written as a plain string.
func (c *Command) FromScalar(s string) error {
	c.Run = s
	return nil
}

// Point is a point of the process with the commands that run there.
type Point struct {
	Name     string
	Commands []Command
}

// Points lists the commands in the order in which they may run.
func (c *Commands) Points() []Point {
	return []Point{
		{"pre", c.Pre}, {"post", c.Post}, {"verify", c.Verify}, {"success", c.Success}, {"failure", c.Failure},
	}
}

// At returns the commands of one point.
func (c *Commands) At(point string) []Command {
	for _, p := range c.Points() {
		if p.Name == point {
			return p.Commands
		}
	}
	return nil
}

// Programs are the first words of all commands.
func (c *Commands) Programs() (names []string) {
	for _, point := range c.Points() {
		for _, one := range point.Commands {
			if words := strings.Fields(one.Run); len(words) > 0 {
				names = append(names, words[0])
			}
		}
	}
	return names
}

// IsPoint reports whether a step is made of commands.
func IsPoint(step string) bool {
	for _, p := range new(Commands).Points() {
		if p.Name == step {
			return true
		}
	}
	return false
}
