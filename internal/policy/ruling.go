package policy

import (
	"fmt"
	"slices"

	"stretcher/internal/text/failure"
	"stretcher/internal/text/redact"
)

// Subject is what the policy can be asked about.
type Subject string

// What the policy can be asked about. The texts are what is said of it.
const (
	Manifest  Subject = "manifest"
	Source    Subject = "src"
	Dest      Subject = "dest"
	Name      Subject = "name"
	Strategy  Subject = "sync_strategy"
	User      Subject = "user"
	Variable  Subject = "variable"
	Commands  Subject = "a command or hook of the manifest"
	Container Subject = "a container of the manifest's"
	Rollback  Subject = "a rollback"
	Rollout   Subject = "a manifest without rollout"
)

// Ruling is what one rule says of one thing.
type Ruling struct {
	Rule    string // the key
	File    string // that it stands in
	Line    int    // 0 = not known
	Subject Subject
	Value   string // that was asked about, without secrets; "" = there is none
	Allowed bool
	Why     string
	hint    string
}

// Place says where the rule stands.
func (r Ruling) Place() string { return placeOf(r.Line, r.File) }

// Err is nil where the rule allows, or the refusal.
func (r Ruling) Err() error {
	if r.Allowed {
		return nil
	}
	what := string(r.Subject)
	switch {
	case r.hasValue():
		what += fmt.Sprintf(" %q", r.Value)
	case r.Value != "":
		what += fmt.Sprintf(" (%q)", r.Value)
	}
	return failure.Hinted(r.hint, fmt.Errorf("%w: %s is not allowed: %s, %s", ErrRefused, what, r.Rule, r.Place()))
}

// hasValue tells whether the rule is about a value, were it an empty one. Others
// may have one that says more.
func (r Ruling) hasValue() bool {
	return r.Subject != Commands && r.Subject != Container && r.Subject != Rollback && r.Subject != Rollout
}

// Refusal is the error of the first ruling that does not allow, nil when all
// do.
func Refusal(all []Ruling) error {
	for _, r := range all {
		if err := r.Err(); err != nil {
			return err
		}
	}
	return nil
}

// Ask asks each rule that there is about a subject. Without one all is
// allowed.
func (p *Policy) Ask(s Subject, value string) []Ruling { return p.told(p.ask(s, value)) }

// told tells who wants to know of rulings.
func (p *Policy) told(all []Ruling) []Ruling {
	if p.Told != nil {
		p.Told(all)
	}
	return all
}

func (p *Policy) ask(s Subject, value string) []Ruling {
	switch s {
	case Manifest:
		return p.askURL(s, value, "allow.manifests", func(l layer) []prefix { return l.manifests })
	case Source:
		return p.askURL(s, value, "allow.sources", func(l layer) []prefix { return l.sources })
	case Dest:
		return p.askDest(value)
	case Name:
		return p.askName(s, value, "allow.names", func(f File) List { return f.Allow.Names })
	case Strategy:
		return p.askName(s, value, "allow.strategies", func(f File) List { return f.Allow.Strategies })
	case User:
		return p.askName(s, value, "allow.users", func(f File) List { return f.Allow.Users })
	case Variable:
		return p.askName(s, value, "env", func(f File) List { return f.Env })
	case Commands:
		return p.askVerdict(s, value, "commands", func(f File) Verdict { return f.Commands })
	case Container:
		return p.askRunAs(s)
	case Rollback:
		return p.askVerdict(s, value, "rollback", func(f File) Verdict { return f.Rollback })
	case Rollout:
		return p.askRollout(s)
	}
	return []Ruling{{Subject: s, Value: value, Why: "nobody knows what that is"}}
}

// ruling is what a layer's rule says: that it allows, with the reason, or that
// it does not.
func (l layer) ruling(s Subject, value, rule string, allowed bool, why string) Ruling {
	return Ruling{
		Rule: rule, File: l.name, Line: l.line(rule), Subject: s, Value: value, Allowed: allowed, Why: why,
	}
}

// deny makes it a refusal, whatever the list says.
func (r *Ruling) deny(why string) {
	r.Allowed, r.Why, r.hint = false, why, "under a list of prefixes "+why+" is not allowed"
}

// none is why a list does not allow.
const none = "no entry of the list allows it"

// askURL asks lists of prefixes about a URL.
func (p *Policy) askURL(s Subject, url, rule string, list func(layer) []prefix) (all []Ruling) {
	for _, l := range p.layers {
		prefixes := list(l)
		if prefixes == nil {
			continue
		}
		r := l.ruling(s, redact.URL(url), rule, false, none)
		at, why := placeAt(url)
		if why != "" {
			r.deny(why)
		}
		for _, prefix := range prefixes {
			if why == "" && at.below(prefix) {
				r.Allowed, r.Why = true, fmt.Sprintf("it is below %q", prefix.text)
				break
			}
		}
		all = append(all, r)
	}
	return all
}

// askName asks lists of names about one.
func (p *Policy) askName(s Subject, name, rule string, list func(File) List) (all []Ruling) {
	for _, l := range p.layers {
		names := list(l.File)
		if names == nil {
			continue
		}
		r := l.ruling(s, name, rule, false, none)
		if slices.Contains(names, name) {
			r.Allowed, r.Why = true, "it is in the list"
		}
		all = append(all, r)
	}
	return all
}

// askVerdict asks the layers that say something.
func (p *Policy) askVerdict(s Subject, value, rule string, verdict func(File) Verdict) (all []Ruling) {
	for _, l := range p.layers {
		if v := verdict(l.File); v != "" {
			all = append(all, l.ruling(s, value, rule, v == Permit, fmt.Sprintf("it says %s", v)))
		}
	}
	return all
}

// askRunAs asks about what the user of run_as can't run.
func (p *Policy) askRunAs(s Subject) (all []Ruling) {
	for _, l := range p.layers {
		if l.RunAs != "" {
			all = append(all, l.ruling(s, "", "run_as", false, fmt.Sprintf("it would not run as %q", l.RunAs)))
		}
	}
	return all
}

// askRollout asks about a manifest that has none.
func (p *Policy) askRollout(s Subject) (all []Ruling) {
	for _, l := range p.layers {
		if l.Rollout.Required {
			all = append(all, l.ruling(s, "", "rollout.required", false, "each manifest needs one"))
		}
	}
	return all
}

// askDest asks about each name of a dest: that it is given by and the one
// that its symlinks lead to.
func (p *Policy) askDest(dest string) (all []Ruling) {
	if dest == "" {
		return nil
	}
	for _, l := range p.layers {
		if l.Allow.Dests != nil {
			all = append(all, l.dest(dest))
		}
	}
	return all
}
