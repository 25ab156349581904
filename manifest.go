package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"stretcher/internal/fetch/checksum"
	"stretcher/internal/hooks/porter"
	"stretcher/internal/policy"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/units"
	"stretcher/internal/text/yamldoc"
)

// Manifest is what a deployment is: docs/manifest.md describes every key.
type Manifest struct {
	Src          []string           `yaml:"src"` // mirrors, in order; none = commands only
	Checksum     checksum.Checksum  `yaml:"checksum"`
	Dest         string             `yaml:"dest"`
	DestMode     *units.Mode        `yaml:"dest_mode"`
	SyncStrategy string             `yaml:"sync_strategy"`
	Excludes     []string           `yaml:"excludes"`
	ExcludeFrom  string             `yaml:"exclude_from"`
	Env          map[string]*string `yaml:"env"` // nil = passed through from the caller
	Commands     Commands           `yaml:"commands"`
	Hooks        porter.Lists       `yaml:"hooks"`
	Config       yamldoc.Raw        `yaml:"config"` // for hooks alone; a map

	Name        string            `yaml:"name"`
	Version     string            `yaml:"version"`
	Annotations map[string]string `yaml:"annotations"`

	Native   NativeKeys   `yaml:"native"`   // for the strategy of that name
	Releases ReleaseKeys  `yaml:"releases"` // for the strategy of that name
	Rollback RollbackKeys `yaml:"rollback"` // for releases

	Extract policy.Extract `yaml:"extract"` // no looser than the host policy's
	Limits  ArchiveLimits  `yaml:"limits"`  // no looser than the host policy's
}

// ArchiveLimits are the largest archive that is accepted; 0 = no limit.
type ArchiveLimits struct {
	Archive  units.Size `yaml:"archive"`  // bytes as fetched
	Unpacked units.Size `yaml:"unpacked"` // bytes as unpacked
	Files    int64      `yaml:"files"`    // entries
}

// tightened returns the smaller of each of l's and the host's limits.
func (l ArchiveLimits) tightened(host policy.Limits) ArchiveLimits {
	t := host.Tightest(policy.Limits{Archive: l.Archive, Unpacked: l.Unpacked, Files: l.Files})
	return ArchiveLimits{t.Archive, t.Unpacked, t.Files}
}

// Commands are the user's commands by the point at which they run.
type Commands struct {
	Pre     []CommandLine `yaml:"pre"`
	Post    []CommandLine `yaml:"post"`
	Verify  []CommandLine `yaml:"verify"`
	Success []CommandLine `yaml:"success"`
	Failure []CommandLine `yaml:"failure"`
}

// CommandLine is one command, run by sh -c.
type CommandLine struct {
	Run     string         `yaml:"run"`
	Timeout units.Duration `yaml:"timeout"` // 0 = none
	Cwd     string         `yaml:"cwd"`     // "" = the caller's working directory
}

// FromScalar reads a command written as a plain string.
func (c *CommandLine) FromScalar(s string) error {
	c.Run = s
	return nil
}

// Strategies by which a staged tree becomes the destination.
const (
	strategyRsync    = "rsync"
	strategyMv       = "mv"
	strategyNative   = "native"
	strategyReleases = "releases"
)

func strategies() []string {
	return []string{strategyRsync, strategyMv, strategyNative, strategyReleases}
}

const defaultDestMode = 0o755

// ParseManifest reads a manifest whose templates are expanded already, and
// checks all that can be checked before anything is fetched. checkSrc says
// whether a src URL can be fetched at all. Warnings name keys that nobody
// reads. The error is failure.ErrMalformed and says every problem.
func ParseManifest(data []byte, checkSrc func(string) error) (*Manifest, []*yamldoc.Problem, error) {
	return parseManifest(data, checkSrc, true)
}

// ParsePod is ParseManifest for a hook pod, which needs no dest: its place is
// that of the hooks.
func ParsePod(data []byte, checkSrc func(string) error) (*Manifest, []*yamldoc.Problem, error) {
	return parseManifest(data, checkSrc, false)
}

func parseManifest(data []byte, checkSrc func(string) error, needsDest bool) (*Manifest, []*yamldoc.Problem, error) {
	var m Manifest
	warnings, problems := yamldoc.Decode(data, &m)
	if len(problems) == 0 {
		lines := yamldoc.Lines(data)
		doubts, wrong := m.Hooks.Check("hooks")
		doubts = append(doubts, m.unused()...)
		problems = append(m.check(checkSrc, needsDest), wrong...)
		for _, p := range slices.Concat(doubts, problems) {
			p.Line = lineOf(lines, p.Key)
		}
		warnings = append(warnings, doubts...)
	}
	if len(problems) > 0 {
		return nil, warnings, manifestError(data, problems)
	}
	if filepath.IsAbs(m.Dest) {
		m.Dest = filepath.Clean(m.Dest) // one name for one dest
	}
	if m.Name == "" && m.Dest != "" {
		m.Name = filepath.Base(m.Dest)
	}
	return &m, warnings, nil
}

// lineOf is the line of a key, or of the nearest one above it that has a line
// of its own: a list of one may stand without its brackets.
func lineOf(lines func(key string) int, key string) int {
	for key != "" {
		if n := lines(key); n > 0 {
			return n
		}
		key = key[:max(0, strings.LastIndexAny(key, ".["))]
	}
	return 0
}

// manifestError says all problems in one line, and what they may come from.
func manifestError(data []byte, problems []*yamldoc.Problem) error {
	text := make([]string, len(problems))
	hint := ""
	for i, p := range problems {
		text[i] = p.Error()
		if hint == "" {
			hint = p.Hint
		}
	}
	if strings.HasPrefix(strings.TrimSpace(string(data)), "<") {
		hint = "this looks like an HTML page: does the URL lead to the manifest itself?"
	}
	return failure.Hinted(hint, failure.Malformed("%s", strings.Join(text, "; ")))
}

// check returns what is wrong with a manifest whose values are well-formed.
func (m *Manifest) check(checkSrc func(string) error, needsDest bool) []*yamldoc.Problem {
	var problems []*yamldoc.Problem
	add := func(key, value, message string) {
		problems = append(problems, &yamldoc.Problem{Key: key, Value: value, Message: message})
	}
	m.Src = slices.DeleteFunc(m.Src, func(s string) bool { return s == "" })
	for _, src := range m.Src {
		if err := checkSrc(src); err != nil {
			add("src", "", err.Error())
		}
	}
	if len(m.Src) > 0 {
		m.checkTarget(add, needsDest)
	}
	if s := m.SyncStrategy; s != "" && !slices.Contains(strategies(), s) {
		add("sync_strategy", s, "is not rsync, mv, native or releases")
	}
	m.checkReleases(add)
	m.checkExcludes(add)
	if f := m.ExcludeFrom; f != "" && !filepath.IsLocal(f) {
		add("exclude_from", f, "is not a path inside the archive")
	}
	for name := range m.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			add("env", name, "is not a variable name")
		}
	}
	if m.Config.Node != nil && !m.Config.IsMap() {
		add("config", "", "is not a mapping")
	}
	if n := m.Limits.Files; n < 0 {
		add("limits.files", strconv.FormatInt(n, 10), "is negative")
	}
	m.checkCommands(add)
	m.checkText(add)
	return problems
}

// checkTarget checks what a manifest with src needs.
func (m *Manifest) checkTarget(add func(key, value, message string), needsDest bool) {
	if m.Checksum.Algorithm == "" {
		add("checksum", "", "is required with src")
	}
	switch {
	case m.Dest == "" && !needsDest:
	case m.Dest == "":
		add("dest", "", "is required with src")
	case !filepath.IsAbs(m.Dest):
		add("dest", m.Dest, "is not an absolute path")
	case filepath.Clean(m.Dest) == "/":
		add("dest", m.Dest, "is the root of the file system")
	case strings.ContainsRune(m.Dest, 0):
		add("dest", m.Dest, "has a NUL in it")
	}
}

// checkText refuses NUL where a value becomes an argument or a variable of
// another program: none can have it.
func (m *Manifest) checkText(add func(key, value, message string)) {
	check := func(key, value string) {
		if strings.ContainsRune(value, 0) {
			add(key, value, "has a NUL in it")
		}
	}
	check("name", m.Name)
	check("version", m.Version)
	check("exclude_from", m.ExcludeFrom)
	for i, pattern := range m.Excludes {
		check(fmt.Sprintf("excludes[%d]", i), pattern)
	}
	for name, value := range m.Env {
		if value != nil && strings.ContainsRune(*value, 0) {
			add("env."+name, "", "has a NUL in it")
		}
	}
	for _, p := range m.Commands.points() {
		for i, c := range p.lines {
			check(fmt.Sprintf("commands.%s[%d]", p.name, i), c.Run)
			check(fmt.Sprintf("commands.%s[%d].cwd", p.name, i), c.Cwd)
		}
	}
}

func (m *Manifest) checkCommands(add func(key, value, message string)) {
	for _, p := range m.Commands.points() {
		for i, c := range p.lines {
			if strings.TrimSpace(c.Run) == "" {
				add(fmt.Sprintf("commands.%s[%d]", p.name, i), "", "has nothing to run")
			}
		}
	}
}

// commandPoint is a point of the process with the commands that run there.
type commandPoint struct {
	name  string
	lines []CommandLine
}

// points lists the commands in the order in which they may run.
func (c *Commands) points() []commandPoint {
	return []commandPoint{
		{"pre", c.Pre}, {"post", c.Post}, {"verify", c.Verify}, {"success", c.Success}, {"failure", c.Failure},
	}
}

// at returns the commands of one point.
func (c *Commands) at(point string) []CommandLine {
	for _, p := range c.points() {
		if p.name == point {
			return p.lines
		}
	}
	return nil
}

// isPoint reports whether a step is made of commands.
func isPoint(step string) bool {
	for _, p := range new(Commands).points() {
		if p.name == step {
			return true
		}
	}
	return false
}

// warningText is a warning with its hint.
func warningText(w *yamldoc.Problem) string {
	if w.Hint == "" {
		return w.Error()
	}
	return w.Error() + ", " + w.Hint
}
