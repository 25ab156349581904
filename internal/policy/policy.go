// Package policy is what the owner of a host allows: who may deploy which
// manifests, from where, to where, how large, how strict, and who must vouch
// for them.
//
// Its words: the host policy is what one or several YAML files say that only
// root or the caller can write. Each file is a layer; drop-ins are the layers
// after the first. A rule is a key of a layer that can refuse, a ruling what
// it says of one thing. A limit is the most that is accepted, 0 for as much as
// there is; a prefix allows the URL or path itself and what is below it. What
// comes later tightens what came before: a drop-in the file, a manifest the
// policy. Neither loosens it.
//
// It may import internal/disk, internal/fleet for its words, and the packages
// below internal/text. It
// decides; it fetches, verifies, unpacks and deploys nothing.
package policy

import (
	"errors"
	"fmt"
	"strings"

	"stretcher/internal/fleet"
	"stretcher/internal/text/failure"
)

// Default is where the host policy is looked for.
const Default = "/etc/stretcher/config.yml"

// ErrRefused: the policy does not allow it, or can't be trusted itself.
var ErrRefused = errors.New("refused by the host policy")

// Policy is the host policy: what all its layers say together. The zero value
// restricts nothing.
type Policy struct {
	Limits       Limits
	Extract      Extract
	Fetch        Fetch
	Hooks        Hooks
	History      History
	Cache        Cache
	Rollout      fleet.Bounds
	Metrics      string // file that each run leaves metrics in; "" = none
	RequireState bool   // no deployment without a usable state directory
	// Told, if set, is told of all that is asked, and of the answers.
	Told func(all []Ruling)

	name   string // of the file that was looked for; "" = none was
	layers []layer
	trust  Trust
	runAs  string
}

// String says which policy it is, for the log: its files, each with the digest
// of its content.
func (p *Policy) String() string {
	if len(p.layers) == 0 {
		return "none"
	}
	var files []string
	for _, l := range p.layers {
		files = append(files, fmt.Sprintf("%q sha256:%s", l.name, l.digest))
	}
	return strings.Join(files, ", ")
}

// Holds tells whether there is a policy at all.
func (p *Policy) Holds() bool { return len(p.layers) > 0 }

// Manifest tells whether the manifest at a URL may be deployed.
func (p *Policy) Manifest(url string) error { return Refusal(p.Ask(Manifest, url)) }

// Source tells whether an archive may come from a URL.
func (p *Policy) Source(url string) error { return Refusal(p.Ask(Source, url)) }

// Redirect tells whether an archive that was asked for at first may come from
// next, where a server has sent us. Under a list what was asked for by https
// does not come by http, though both may be allowed.
func (p *Policy) Redirect(first, next string) error {
	all := p.ask(Source, next)
	if IsDowngrade(first, next) {
		for i := range all {
			all[i].deny("http after https")
		}
	}
	return Refusal(p.told(all))
}

// Dest tells whether dest may be deployed to: under the name it is given by
// and where its symlinks lead.
func (p *Policy) Dest(dest string) error { return Refusal(p.Ask(Dest, dest)) }

// Name tells whether this host expects a manifest of that name.
func (p *Policy) Name(name string) error { return Refusal(p.Ask(Name, name)) }

// Strategy tells whether a sync strategy may be used.
func (p *Policy) Strategy(name string) error { return Refusal(p.Ask(Strategy, name)) }

// User tells whether a user may start deployments.
func (p *Policy) User(name string) error { return Refusal(p.Ask(User, name)) }

// Variable tells whether a template may read a variable of the environment.
func (p *Policy) Variable(name string) error { return Refusal(p.Ask(Variable, name)) }

// Commands tells whether manifests may have commands and hooks.
func (p *Policy) Commands() error { return Refusal(p.Ask(Commands, "")) }

// Rollback tells whether what was deployed before may be deployed again.
func (p *Policy) Rollback() error { return Refusal(p.Ask(Rollback, "")) }

// RunAs is the user whom the manifest's commands and hooks run as; "" = the
// caller.
func (p *Policy) RunAs() string { return p.runAs }

// Signed tells whether manifests must be signed: by how many of the keys in
// which directory.
func (p *Policy) Signed() (dir string, threshold int, ok bool) {
	if p.trust.Keys == "" {
		return "", 0, false
	}
	return string(p.trust.Keys), p.trust.threshold(), true
}

// Places says where a key is written, in all files that have it and do not say
// less than what holds; "" = in none.
func (p *Policy) Places(key string) string {
	var places []string
	for _, l := range p.layers {
		if n := l.lines(key); n > 0 && p.binds(l, key) {
			places = append(places, placeOf(n, l.name))
		}
	}
	return strings.Join(places, ", ")
}

// Said adds to an error where the keys are written that it is for.
func (p *Policy) Said(err error, keys ...string) error {
	var said []string
	for _, key := range keys {
		if at := p.Places(key); at != "" {
			said = append(said, key+", "+at)
		}
	}
	if len(said) == 0 {
		return err
	}
	return failure.Hinted("the host policy says so: "+strings.Join(said, "; "), err)
}

// binds tells whether what holds is what a layer says.
func (p *Policy) binds(l layer, key string) bool {
	switch key {
	case "limits.manifest":
		return l.Limits.Manifest == p.Limits.Manifest
	case "limits.archive":
		return l.Limits.Archive == p.Limits.Archive
	case "limits.unpacked":
		return l.Limits.Unpacked == p.Limits.Unpacked
	case "limits.files":
		return l.Limits.Files == p.Limits.Files
	case "extract":
		return l.Extract == Strict || p.Extract != Strict
	case "require_state":
		return l.RequireState
	case "rollout.required":
		return l.Rollout.Required
	case "trust.threshold":
		return l.trust().threshold() == p.trust.threshold()
	}
	return true
}

// Variables are the variables that templates may read; all tells that they may
// read any.
func (p *Policy) Variables() (names []string, all bool) {
	all = true
	for _, l := range p.layers {
		if l.Env == nil {
			continue
		}
		if all {
			names, all = l.Env, false
			continue
		}
		names = both(names, l.Env)
	}
	return names, all
}
