package policy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode"

	"stretcher/internal/fleet"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/yamldoc"
)

// File is what one file of the host policy says.
type File struct {
	Allow        Allow        `yaml:"allow"`
	Trust        *Trust       `yaml:"trust"` // nil = it is not written
	Limits       Limits       `yaml:"limits"`
	Extract      Extract      `yaml:"extract"`
	Fetch        Fetch        `yaml:"fetch"`
	Hooks        Hooks        `yaml:"hooks"`
	History      History      `yaml:"history"`
	Cache        Cache        `yaml:"cache"`
	Metrics      Text         `yaml:"metrics"` // file that each run leaves metrics in; "" = none
	RequireState bool         `yaml:"require_state"`
	Rollback     Verdict      `yaml:"rollback"`
	Rollout      fleet.Bounds `yaml:"rollout"`
	HTTP         []HTTP       `yaml:"http"` // what servers of http and https get

	Programs
}

// Programs says what of a manifest's runs, and how.
type Programs struct {
	Commands Verdict `yaml:"commands"` // of the manifest, its hooks included
	RunAs    Text    `yaml:"run_as"`   // whom the manifest's commands and hooks run as; "" = the caller
	Env      List    `yaml:"env"`      // what templates may read
}

// Allow lists what is allowed: prefixes of URLs and paths, or names.
type Allow struct {
	Manifests  List `yaml:"manifests"`
	Sources    List `yaml:"sources"`
	Dests      List `yaml:"dests"`
	Names      List `yaml:"names"`
	Strategies List `yaml:"strategies"`
	Users      List `yaml:"users"` // who starts the program
}

// List is what is allowed. Nil is no list, and allows everything; one that is
// written and empty allows nothing, since whatever made it meant to list what
// is allowed.
type List []string

// FromList keeps apart what is empty and what is not there.
func (l *List) FromList(items []string) error {
	*l = append(List{}, items...)
	return nil
}

// Trust says who must vouch for a manifest.
type Trust struct {
	Keys      Text   `yaml:"keys"`      // directory of public keys; "" = nobody must
	Threshold *int64 `yaml:"threshold"` // how many of them must; nil = 1
}

func (t Trust) threshold() int {
	if t.Threshold == nil {
		return 1
	}
	return int(*t.Threshold)
}

// trust is Trust, and where it is not written, the zero value.
func (f *File) trust() Trust {
	if f.Trust == nil {
		return Trust{}
	}
	return *f.Trust
}

// Text is text that is not empty where it is written.
type Text string

// UnmarshalText accepts what says something.
func (t *Text) UnmarshalText(b []byte) error {
	if len(strings.TrimSpace(string(b))) == 0 {
		return errors.New("is empty")
	}
	*t = Text(b)
	return nil
}

// Verdict allows a thing or denies it; "" allows.
type Verdict string

// What a verdict can be.
const (
	Permit Verdict = "allow"
	Deny   Verdict = "deny"
)

// UnmarshalText accepts allow and deny.
func (v *Verdict) UnmarshalText(b []byte) error {
	*v = Verdict(b)
	return verdicts().Check(string(b))
}

// layer is a file of the policy with where its keys stand.
type layer struct {
	File
	name   string
	digest string // hex of SHA-256
	lines  func(key string) int

	manifests, sources []prefix // of Allow
	servers            []prefix // of HTTP, in its order
}

// line is the line of a key, or of the nearest key above it that is written
// out; 0 = not known.
func (l layer) line(key string) int {
	for {
		if n := l.lines(key); n > 0 {
			return n
		}
		i := strings.LastIndexByte(key, '.')
		if i < 0 {
			return 0
		}
		key = key[:i]
	}
}

// place says where a key stands.
func (l layer) place(key string) string { return placeOf(l.line(key), l.name) }

func placeOf(line int, name string) string {
	if line == 0 {
		return fmt.Sprintf("%q", name)
	}
	return fmt.Sprintf("line %d of %q", line, name)
}

// parse reads a file of the policy.
func parse(name string, data []byte) (layer, error) {
	sum := sha256.Sum256(data)
	l := layer{name: name, digest: hex.EncodeToString(sum[:]), lines: func(string) int { return 0 }}
	if len(strings.TrimSpace(string(data))) == 0 {
		return l, failure.Hinted("a policy without a rule is {}",
			errors.New("the file is empty: it may be about to be written"))
	}
	doc, problem := yamldoc.Parse(data)
	if problem != nil {
		return l, asError(problem)
	}
	l.lines = doc.Lines()
	unknown, problems := doc.Decode(&l.File)
	if wrong := append(unknown, problems...); len(wrong) > 0 {
		return l, asError(wrong[0])
	}
	if keys := doc.Empty(); len(keys) > 0 {
		return l, fmt.Errorf("line %d: %s: is empty: take it away, or say what it is", l.line(keys[0]), keys[0])
	}
	if err := l.check(); err != nil {
		return l, l.at(err)
	}
	for _, h := range l.HTTP {
		l.servers = append(l.servers, prefixesOf([]string{string(h.URL)})...)
	}
	l.manifests, l.sources = prefixesOf(l.Allow.Manifests), prefixesOf(l.Allow.Sources)
	return l, nil
}

// mistake is the error of a key's value.
type mistake struct {
	key string
	error
}

// Error says the key, too.
func (m mistake) Error() string { return m.key + ": " + m.error.Error() }

// Unwrap gives the error without the key.
func (m mistake) Unwrap() error { return m.error }

// at adds to a mistake the line that it is on.
func (l layer) at(err error) error {
	var m mistake
	if !errors.As(err, &m) || l.line(m.key) == 0 {
		return err
	}
	return fmt.Errorf("line %d: %w", l.line(m.key), err)
}

func asError(p *yamldoc.Problem) error {
	if p.Hint != "" {
		return fmt.Errorf("%w, %s", p, p.Hint)
	}
	return p
}

// check judges values that can be read and mean nothing.
func (f *File) check() error {
	if err := countRange().Check(f.Limits.Files); err != nil {
		return mistake{"limits.files", fmt.Errorf("%d %w", f.Limits.Files, err)}
	}
	if n := f.Cache.Archives; n != nil && countRange().Check(*n) != nil {
		return mistake{"cache.archives", fmt.Errorf("%d %w", *n, countRange().Check(*n))}
	}
	if err := f.checkTrust(); err != nil {
		return err
	}
	for _, l := range f.lists() {
		for _, entry := range l.entries {
			if err := l.check(entry); err != nil {
				return mistake{l.key, err}
			}
		}
	}
	if err := cmp.Or(absoluteAt("history.json", f.History.JSON), absoluteAt("metrics", f.Metrics)); err != nil {
		return err
	}
	if key, err := f.Rollout.Check(); err != nil {
		return mistake{"rollout." + key, err}
	}
	if err := f.checkHTTP(); err != nil {
		return err
	}
	return f.Hooks.check()
}

// MaxThreshold bounds how many keys may be demanded.
const MaxThreshold = 100

func (f *File) checkTrust() error {
	if n := f.trust().Threshold; n != nil && thresholds().Check(*n) != nil {
		return mistake{"trust.threshold", fmt.Errorf("%d %w", *n, thresholds().Check(*n))}
	}
	if name := string(f.trust().Keys); name != "" {
		if err := absolute(name); err != nil {
			return mistake{"trust.keys", err}
		}
	}
	return nil
}

// list is a list of a file and what its entries must be.
type list struct {
	key     string
	entries []string
	check   func(entry string) error
}

// lists are the lists of a file.
func (f *File) lists() []list {
	return []list{
		{"allow.manifests", f.Allow.Manifests, checkPrefix},
		{"allow.sources", f.Allow.Sources, checkPrefix},
		{"allow.dests", f.Allow.Dests, directory},
		{"allow.names", f.Allow.Names, named},
		{"allow.strategies", f.Allow.Strategies, named},
		{"allow.users", f.Allow.Users, named},
		{"env", f.Env, variable},
		{"hooks.dirs", f.Hooks.Dirs, directory},
		{"hooks.oci_dirs", f.Hooks.OCIDirs, directory},
	}
}

// absoluteAt is absolute for a key, where it is written.
func absoluteAt(key string, name Text) error {
	if name == "" {
		return nil
	}
	if err := absolute(string(name)); err != nil {
		return mistake{key, err}
	}
	return nil
}

func absolute(name string) error {
	if !filepath.IsAbs(name) {
		return fmt.Errorf("%q is not an absolute path", name)
	}
	return nil
}

// directory is absolute for what would stand for itself in a pattern.
func directory(name string) error {
	if strings.Contains(name, "*") {
		return fmt.Errorf("%q %s", name, starred)
	}
	return absolute(name)
}

// starred is said of what looks like a pattern.
const starred = "has a *, which stands for itself: what is named allows what is below it"

func named(name string) error {
	switch {
	case strings.TrimSpace(name) != name || name == "":
		return fmt.Errorf("%q is not a name", name)
	case strings.Contains(name, "*"):
		return fmt.Errorf("%q has a *, which stands for itself: names are compared to the letter", name)
	}
	return nil
}

func variable(name string) error {
	if named(name) != nil || strings.ContainsAny(name, "=*?\x00") || strings.ContainsFunc(name, unicode.IsSpace) {
		return fmt.Errorf("%q is not the name of a variable", name)
	}
	return nil
}
