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
	"path/filepath"
	"strconv"
	"strings"

	"stretcher/internal/disk"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/redact"
	"stretcher/internal/text/yamldoc"
)

// Default is where the host policy is looked for.
const Default = "/etc/stretcher/config.yml"

// maxFile bounds the policy file, in bytes.
const maxFile = 1 << 20

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
