package manifest

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"stretcher/internal/hooks/porter"
	"stretcher/internal/text/yamldoc"
)

// Rules are what a manifest is checked by that others know.
type Rules struct {
	Src    func(url string) error     // whether an archive can be fetched from a URL at all
	Shared func(paths []string) error // whether releases can share the paths
	Kinds  []Kind                     // of sync strategies, as people are told of them
	Pod    bool                       // a hook pod: it needs no dest, its place is that of the hooks

	base base // of the manifest; the loader sets it
}

// Kind is what must be known of a sync strategy.
type Kind struct {
	Name     string
	Sections []string // keys of manifests that it reads and not every other does
	Patterns bool     // it reads exclude patterns itself, so that each must be one
	Default  bool     // it may be taken for a manifest that names none
	Prunes   bool     // its deployments stand beside one another, and old ones are removed
}

// kind returns the kind of that name, or nil.
func (r Rules) kind(name string) *Kind {
	for i := range r.Kinds {
		if r.Kinds[i].Name == name {
			return &r.Kinds[i]
		}
	}
	return nil
}

// parse reads a manifest whose templates are filled in already, and checks all
// that can be checked before anything is fetched. Warnings name keys that
// nobody reads. The manifest is nil when there is a problem. alone says that
// nothing but the archive has files for its hooks.
func parse(doc *yamldoc.Document, rules Rules, alone bool) (m *Manifest, warnings, problems []*yamldoc.Problem) {
	m, warnings, problems = sift(doc, rules, alone)
	return m.settled(warnings, problems), warnings, problems
}

// settled is the manifest, or nil where there is a problem, which may get a hint
// then.
func (m *Manifest) settled(warnings, problems []*yamldoc.Problem) *Manifest {
	if len(problems) > 0 {
		explain(problems, warnings)
		return nil
	}
	m.dropEmpty()
	if filepath.IsAbs(m.Dest) {
		m.Dest = filepath.Clean(m.Dest) // one name for one dest
	}
	return m
}

// sift is parse without an end: the manifest is there as far as it can be read.
func sift(doc *yamldoc.Document, rules Rules, alone bool) (m *Manifest, warnings, problems []*yamldoc.Problem) {
	m = &Manifest{}
	doc.Relaxed = true
	warnings, problems = doc.Decode(m)
	if !doc.IsMap() {
		return m, warnings, problems
	}
	doubts, wrong := m.Hooks.Check("hooks")
	doubts = append(append(doubts, m.unused(rules)...), m.idleRollout(rules)...)
	doubts = append(doubts, m.unreadGoingBack(doc)...)
	wrong = append(m.check(rules), wrong...)
	if alone {
		ofSrc := func(p *yamldoc.Problem) bool { return topOf(p.Key) == "src" }
		hasSrc := len(m.Src) > 0 || slices.ContainsFunc(problems, ofSrc)
		wrong = append(wrong, m.Hooks.CheckPrograms("hooks", hasSrc)...)
	}
	known := notBelow(problems)
	doubts, wrong = slices.DeleteFunc(doubts, known), slices.DeleteFunc(wrong, known)
	locate(doc, doubts, wrong)
	return m, append(warnings, doubts...), append(problems, wrong...)
}

// nameByDest gives a manifest without a name that of its dest.
func (m *Manifest) nameByDest() {
	if m.Name == "" && m.Dest != "" {
		m.Name = filepath.Base(m.Dest)
	}
}

// explain gives problems the hint of a warning about something below their key.
// It does so for those alone that may be told: there may be thousands of both.
func explain(problems, warnings []*yamldoc.Problem) {
	for _, p := range problems[:min(len(problems), maxTold)] {
		if p.Hint != "" || p.Key == "" {
			continue
		}
		below := p.Key + "."
		for _, w := range warnings {
			if w.Hint != "" && strings.HasPrefix(w.Key, below) {
				p.Hint = w.Hint
				break
			}
		}
	}
}

// dropEmpty drops the elements of lists that hold nothing: warnings have named
// them. Until then they keep the places of the others.
func (m *Manifest) dropEmpty() {
	m.Excludes = nonEmpty(m.Excludes)
	if m.Rollback.Rerun != nil {
		*m.Rollback.Rerun = nonEmpty(*m.Rollback.Rerun)
	}
	for _, commands := range []*[]Command{
		&m.Commands.Pre, &m.Commands.Post, &m.Commands.Verify, &m.Commands.Success, &m.Commands.Failure,
	} {
		*commands = slices.DeleteFunc(*commands, func(c Command) bool { return c == Command{} })
	}
	for name, list := range m.Hooks {
		m.Hooks[name] = slices.DeleteFunc(list, porter.Entry.IsEmpty)
	}
}

// nonEmpty is a list without what is empty in it.
func nonEmpty(list []string) []string {
	return slices.DeleteFunc(list, func(s string) bool { return s == "" })
}

// notBelow tells of what comes of values that could not be read: it is said of
// them already.
func notBelow(unread []*yamldoc.Problem) func(*yamldoc.Problem) bool {
	return func(p *yamldoc.Problem) bool {
		return slices.ContainsFunc(unread[:min(len(unread), maxTold)], func(u *yamldoc.Problem) bool {
			return isBelow(p.Key, u.Key) || isBelow(u.Key, p.Key) || slices.Contains(comesOf(p.Key), topOf(u.Key))
		})
	}
}

// comesOf are the keys that another key is judged by.
func comesOf(key string) []string {
	return map[string][]string{
		"checksum": {"src"}, "dest": {"src"}, "index": {"src"},
		"serial": {"name", "dest", "src"}, "rollout": {"name", "dest", "src"},
		"releases": {"sync_strategy"}, "rollback": {"sync_strategy"}, "native": {"sync_strategy"},
		"hooks.pre_prune": {"sync_strategy"}, "hooks.post_prune": {"sync_strategy"},
	}[key]
}

// isBelow tells whether a key is another one, or stands below it. "" is above all.
func isBelow(key, above string) bool {
	rest, ok := strings.CutPrefix(key, above)
	return ok && (above == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}

// topOf is the key at the top that a key stands below.
func topOf(key string) string {
	if i := strings.IndexAny(key, ".["); i > 0 {
		return key[:i]
	}
	return key
}

// locate says where problems stand: at their key, or at the nearest one above it
// that has a line of its own, since a list of one may stand without its brackets.
func locate(doc *yamldoc.Document, lists ...[]*yamldoc.Problem) {
	places := doc.Places()
	for _, p := range slices.Concat(lists...) {
		for key := p.Key; key != "" && p.Line == 0; key = key[:max(0, strings.LastIndexAny(key, ".["))] {
			var name yamldoc.Place
			name, p.Spot = places(key)
			p.Line, p.Column = name.Line, name.Column
		}
	}
}

// check returns what is wrong with a manifest whose values are well-formed.
func (m *Manifest) check(rules Rules) []*yamldoc.Problem {
	var problems []*yamldoc.Problem
	add := func(key, value, message string) {
		problems = append(problems, &yamldoc.Problem{Key: key, Value: value, Message: message})
	}
	m.Src, m.Releases.Shared = nonEmpty(m.Src), nonEmpty(m.Releases.Shared)
	problems = append(problems, m.checkSrc(rules)...)
	if len(m.Src) > 0 {
		m.checkTarget(add, !rules.Pod)
	}
	if err := rules.words().Check(m.SyncStrategy); err != nil {
		add("sync_strategy", m.SyncStrategy, err.Error())
	}
	m.checkReleases(add, rules.Shared)
	m.checkExcludes(add, rules.kind(m.SyncStrategy))
	if f := m.ExcludeFrom; f != "" && !filepath.IsLocal(f) {
		add("exclude_from", f, "is not a path inside the archive")
	}
	for name, value := range m.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			add("env", name, "is not a variable name")
		} else if value != nil && len(name)+len("=")+len(*value) > maxArgument {
			add("env."+name, "", fmt.Sprintf("is longer than the %d bytes that a program can be started with", maxArgument))
		}
	}
	if m.Config.Node != nil && !m.Config.IsMap() {
		add("config", "", "is not a mapping")
	}
	addNumber(add, "strip_components", m.Strip, stripRange())
	addNumber(add, "limits.files", m.Limits.Files, filesRange())
	m.checkCommands(add)
	m.checkSerial(add)
	m.checkRollout(add)
	m.checkGoingBack(add)
	m.checkIndex(add)
	m.checkText(add)
	return problems
}

// maxStrip is how deep the names of an archive may be.
const maxStrip = 1000

// checkTarget checks what a manifest with src needs.
func (m *Manifest) checkTarget(add func(key, value, message string), needsDest bool) {
	if m.Checksum.Algorithm == "" {
		add("checksum", "", "is required with src")
	}
	if m.Dest != "" || needsDest {
		m.checkDest(add, "src")
	}
}

// checkDest checks the dest that a key needs.
func (m *Manifest) checkDest(add func(key, value, message string), with string) {
	switch {
	case m.Dest == "":
		add("dest", "", "is required with "+with)
	case !filepath.IsAbs(m.Dest):
		add("dest", m.Dest, "is not an absolute path")
	case filepath.Clean(m.Dest) == "/":
		add("dest", m.Dest, "is the root of the file system")
	case strings.ContainsRune(m.Dest, 0):
		add("dest", m.Dest, "has a NUL in it")
	}
}

// checkIndex wants an index to be known by SHA-256, and to be of an archive.
func (m *Manifest) checkIndex(add func(key, value, message string)) {
	switch algorithm := m.Index.Algorithm; {
	case algorithm == "":
	case algorithm != "sha256":
		add("index", algorithm, "is no algorithm for an index: sha256 is")
	case len(m.Src) == 0:
		add("index", "", "is of no archive: there is no src")
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
	check("rollback.to", m.Rollback.To)
	check("rollback.from", m.Rollback.From)
	for i, pattern := range m.Excludes {
		check(fmt.Sprintf("excludes[%d]", i), pattern)
	}
	for name, value := range m.Env {
		if value != nil && strings.ContainsRune(*value, 0) {
			add("env."+name, "", "has a NUL in it")
		}
	}
	for _, p := range m.Commands.Points() {
		for i, c := range p.Commands {
			check(fmt.Sprintf("commands.%s[%d]", p.Name, i), c.Run)
			check(fmt.Sprintf("commands.%s[%d].cwd", p.Name, i), c.Cwd)
		}
	}
}

// maxArgument is the longest argument or variable that Linux starts a program
// with, in bytes: MAX_ARG_STRLEN less its end.
const maxArgument = 128<<10 - 1

func (m *Manifest) checkCommands(add func(key, value, message string)) {
	for _, p := range m.Commands.Points() {
		for i, c := range p.Commands {
			key := fmt.Sprintf("commands.%s[%d]", p.Name, i)
			switch {
			case c != (Command{}) && strings.TrimSpace(c.Run) == "":
				add(key, "", "has nothing to run")
			case len(c.Run) > maxArgument:
				add(key, "", fmt.Sprintf("is longer than the %d bytes that a program can be started with", maxArgument))
			case strings.HasPrefix(c.Cwd, "~"):
				add(key+".cwd", c.Cwd, "begins with ~, which only a shell knows: write the whole path")
			}
		}
	}
}
