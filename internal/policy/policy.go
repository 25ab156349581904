// Package policy is what the owner of a host allows: which manifests,
// sources and destinations, how large, how strict.
//
// Its words: the host policy is a YAML file that only root or the caller can
// write; a limit is the most that is accepted, 0 for as much as there is; a
// prefix allows the URL or path itself and what is below it. A manifest may
// tighten a limit, never loosen it.
//
// It may import internal/disk, internal/text/yamldoc, internal/text/redact and
// internal/text/units. It decides; it fetches, unpacks and deploys nothing.
package policy

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"stretcher/internal/disk"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/redact"
	"stretcher/internal/text/units"
	"stretcher/internal/text/yamldoc"
)

// Default is where the host policy is looked for.
const Default = "/etc/stretcher/config.yml"

// maxFile bounds the policy file, in bytes.
const maxFile = 1 << 20

// defaultKeep is how long runs are remembered.
const defaultKeep = 90 * 24 * time.Hour

// ErrRefused: the policy does not allow it, or can't be trusted itself.
var ErrRefused = errors.New("refused by the host policy")

// Policy is the host policy. The zero value restricts nothing.
type Policy struct {
	Allow        Allow   `yaml:"allow"`
	Limits       Limits  `yaml:"limits"`
	Extract      Extract `yaml:"extract"`
	Hooks        Hooks   `yaml:"hooks"`
	History      History `yaml:"history"`
	Cache        Cache   `yaml:"cache"`
	RequireState bool    `yaml:"require_state"` // no deployment without a usable state directory

	from string // the file that it was read from; "" = there is none
}

// String says which policy it is, for the log.
func (p *Policy) String() string {
	if p.from == "" {
		return "none"
	}
	return strconv.Quote(p.from)
}

// Allow lists prefixes; an empty list allows everything.
type Allow struct {
	Manifests []string `yaml:"manifests"`
	Sources   []string `yaml:"sources"`
	Dests     []string `yaml:"dests"`
}

// Limits are the largest sizes accepted, in bytes, and the largest number of
// entries in an archive; 0 = no limit. Rate is the one that is a least.
type Limits struct {
	Manifest units.Size `yaml:"manifest"`
	Archive  units.Size `yaml:"archive"`
	Unpacked units.Size `yaml:"unpacked"`
	Files    int64      `yaml:"files"`
	// Rate is the least that a server must bring, in bytes per second; nil =
	// 1 KiB, 0 = no limit. A manifest has none.
	Rate *units.Size `yaml:"rate"`
}

// defaultRate is the least rate of a server, in bytes per second.
const defaultRate = 1 << 10

// LeastRate is the least that a server must bring, in bytes per second; 0 = no
// limit.
func (l Limits) LeastRate() int64 {
	if l.Rate == nil {
		return defaultRate
	}
	return int64(*l.Rate)
}

// History says how long runs are remembered, and who else is told.
type History struct {
	Keep Days       `yaml:"keep"` // 0 = 90 days
	JSON string     `yaml:"json"` // file that gets a line for each hook and command; "" = none
	Log  units.Size `yaml:"log"`  // bytes from which on a run's log keeps no output; 0 = 64 MiB
}

// KeepFor is how long runs are remembered.
func (h History) KeepFor() time.Duration {
	if h.Keep > 0 {
		return time.Duration(h.Keep)
	}
	return defaultKeep
}

// Cache says what is kept for rollbacks.
type Cache struct {
	Archives *int64     `yaml:"archives"` // of each dest, the live one included; nil = 2
	Size     units.Size `yaml:"size"`     // bytes of all archives together; 0 = no bound
}

// defaultArchives is how many archives of each dest are kept.
const defaultArchives = 2

// KeepArchives is how many archives of each dest are kept.
func (c Cache) KeepArchives() int {
	if c.Archives == nil {
		return defaultArchives
	}
	return int(max(0, *c.Archives))
}

// Days is a time span: a Go duration, or a number of days such as 90d.
type Days time.Duration

// UnmarshalText reads 90d, 36h and the like.
func (d *Days) UnmarshalText(b []byte) error {
	text, day := string(b), time.Duration(1)
	if n, ok := strings.CutSuffix(text, "d"); ok {
		text, day = n+"h", 24
	}
	v, err := time.ParseDuration(text)
	if err != nil || v <= 0 || v > 100*365*24*time.Hour {
		return errors.New("is not a time span such as 90d or 36h")
	}
	*d = Days(v * day)
	return nil
}

// Extract says how archives are unpacked; see package archive.
type Extract string

// The ways to unpack, from the looser to the tighter.
const (
	Compat Extract = "compat"
	Strict Extract = "strict"
)

// UnmarshalText accepts compat and strict.
func (e *Extract) UnmarshalText(b []byte) error {
	if *e = Extract(b); *e != Compat && *e != Strict {
		return errors.New("is not compat or strict")
	}
	return nil
}

// Load reads the host policy at name. Without the file there are no
// restrictions, unless must says that it has been asked for by name. Any doubt
// about the file, and whether somebody else may have changed it or taken it
// away, is an error that wraps ErrRefused: a policy that is not understood must
// not be taken for one that allows.
func Load(name string, must bool) (*Policy, error) {
	f, err := disk.OpenTrusted(name)
	if errors.Is(err, fs.ErrNotExist) && !must && !dangles(name) {
		return &Policy{}, nil
	}
	if err != nil {
		return nil, doubt(name, err, must)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("larger than %d bytes", maxFile)
	}
	if err != nil {
		return nil, doubt(name, err, must)
	}
	p, err := parse(data)
	if err != nil {
		return nil, doubt(name, err, must)
	}
	p.from = name
	return p, nil
}

// dangles tells whether there is a symlink where nothing is: a policy was
// meant to be there.
func dangles(name string) bool {
	f, err := disk.OpenRegular(name, os.O_RDONLY, 0)
	if err == nil { // since then
		_ = f.Close()
	}
	return !errors.Is(err, fs.ErrNotExist)
}

// doubt is the error of a policy that can't be obeyed.
func doubt(name string, err error, must bool) error {
	hint := failure.Hint(err)
	if must && errors.Is(err, fs.ErrNotExist) {
		hint = "--config must name a file that is there; without it, " + Default + " counts where there is one"
	}
	return failure.Hinted(hint, fmt.Errorf("%w: config %q: %w", ErrRefused, name, err))
}

func parse(data []byte) (*Policy, error) {
	var p Policy
	if len(strings.TrimSpace(string(data))) == 0 {
		return &p, nil
	}
	unknown, problems := yamldoc.Decode(data, &p)
	if wrong := append(unknown, problems...); len(wrong) > 0 {
		if hint := wrong[0].Hint; hint != "" {
			return nil, fmt.Errorf("%w, %s", wrong[0], hint)
		}
		return nil, wrong[0]
	}
	if p.Limits.Files < 0 {
		return nil, fmt.Errorf("limits.files: %d is negative", p.Limits.Files)
	}
	if n := p.Cache.Archives; n != nil && *n < 0 {
		return nil, fmt.Errorf("cache.archives: %d is negative", *n)
	}
	for _, u := range append(p.Allow.Manifests, p.Allow.Sources...) {
		if parsed, err := url.Parse(u); err != nil || parsed.Scheme == "" {
			return nil, fmt.Errorf("allow: %q is not the beginning of a URL", redact.URL(u))
		}
	}
	for key, names := range map[string][]string{
		"allow.dests": p.Allow.Dests, "hooks.dirs": p.Hooks.Dirs, "hooks.oci_dirs": p.Hooks.OCIDirs,
	} {
		for _, name := range names {
			if !filepath.IsAbs(name) {
				return nil, fmt.Errorf("%s: %q is not an absolute path", key, name)
			}
		}
	}
	if name := p.History.JSON; name != "" && !filepath.IsAbs(name) {
		return nil, fmt.Errorf("history.json: %q is not an absolute path", name)
	}
	return &p, p.Hooks.check()
}

// Manifest tells whether the manifest at raw may be deployed.
func (p *Policy) Manifest(raw string) error { return allowURL("manifest", raw, p.Allow.Manifests) }

// Source tells whether an archive may come from raw.
func (p *Policy) Source(raw string) error { return allowURL("src", raw, p.Allow.Sources) }

func allowURL(what, raw string, prefixes []string) error {
	if len(prefixes) == 0 {
		return nil
	}
	u, err := url.Parse(raw)
	if err == nil && !ambiguous(u) {
		for _, prefix := range prefixes {
			if below(u, prefix) {
				return nil
			}
		}
	}
	return fmt.Errorf("%w: %s %q is not allowed", ErrRefused, what, redact.URL(raw))
}

// ambiguous reports whether a server might take the path for another one: it
// may decode it once more or not at all, take a backslash for a slash, and cut
// off what follows a semicolon.
func ambiguous(u *url.URL) bool {
	for _, element := range strings.Split(u.Path, "/") {
		if name, _, _ := strings.Cut(element, ";"); name == ".." || name == "." {
			return true
		}
	}
	if !isHTTP(u) {
		return false // decoded once, by us; the rest is a name
	}
	sent := strings.ToLower(u.EscapedPath())
	for _, code := range []string{"%2f", "%5c", "%2e", "%25", "%3b", "%00", "\\"} {
		if strings.Contains(sent, code) {
			return true
		}
	}
	return strings.Contains(u.Path, "\\")
}

func isHTTP(u *url.URL) bool { return u.Scheme == "http" || u.Scheme == "https" }

// below reports whether u is the URL prefix or below it. Scheme and host must
// be equal, so that "https://a" does not allow "https://a.example". Upper and
// lower case are one in the names of hosts, and two in those of buckets.
func below(u *url.URL, prefix string) bool {
	p, err := url.Parse(prefix)
	if err != nil || u.Scheme != p.Scheme || u.Opaque != "" {
		return false
	}
	if u.Host != p.Host && !(isHTTP(u) && strings.EqualFold(u.Host, p.Host)) {
		return false
	}
	name := u.Path
	if u.Scheme == "s3" || u.Scheme == "gs" { // a key never begins with a slash
		name = "/" + strings.TrimLeft(name, "/")
	}
	return belowPath(name, path.Join("/", p.Path))
}

func belowPath(name, prefix string) bool {
	return prefix == "/" || name == prefix || strings.HasPrefix(name, prefix+"/")
}

// Dest tells whether dest may be deployed to: under the name it is given by
// and where its symlinks lead.
func (p *Policy) Dest(dest string) error {
	if len(p.Allow.Dests) == 0 || dest == "" {
		return nil
	}
	for _, name := range []string{filepath.Clean(dest), Real(dest)} {
		if !allowedPath(name, p.Allow.Dests) {
			return fmt.Errorf("%w: dest %q is not allowed", ErrRefused, name)
		}
	}
	return nil
}

func allowedPath(name string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if belowPath(name, filepath.Clean(prefix)) || belowPath(name, Real(prefix)) {
			return true
		}
	}
	return false
}

// maxLinks bounds the dangling symlinks that Real follows, as Linux does.
const maxLinks = 40

// Real resolves the symlinks of as much of an absolute path as exists, and
// those that lead to what does not exist yet.
func Real(name string) string {
	name = filepath.Clean(name)
	for range maxLinks {
		at, rest := name, ""
		for {
			if real, err := filepath.EvalSymlinks(at); err == nil {
				return filepath.Join(real, rest)
			}
			if target, err := os.Readlink(at); err == nil {
				if !filepath.IsAbs(target) {
					target = filepath.Join(filepath.Dir(at), target)
				}
				name = filepath.Join(target, rest)
				break
			}
			if at == "/" || at == "." {
				return filepath.Join(at, rest)
			}
			at, rest = filepath.Dir(at), filepath.Join(filepath.Base(at), rest)
		}
	}
	return name
}

// Tightest returns, of each limit, the smaller that is set.
func (l Limits) Tightest(other Limits) Limits {
	return Limits{
		Manifest: smaller(l.Manifest, other.Manifest),
		Archive:  smaller(l.Archive, other.Archive),
		Unpacked: smaller(l.Unpacked, other.Unpacked),
		Files:    smaller(l.Files, other.Files),
	}
}

func smaller[T units.Size | int64](a, b T) T {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// Tighter returns the stricter of two ways to unpack.
func (e Extract) Tighter(other Extract) Extract {
	if e == Strict || other == Strict {
		return Strict
	}
	return Compat
}
