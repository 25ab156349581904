package oci

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// When holds the conditions on which a definition fires.
type When struct {
	Always        *bool
	Annotations   []Pair
	Commands      []*regexp.Regexp
	HasBindMounts *bool
	Any           bool // one condition is enough (0.1.0); else all must hold (1.0.0)
}

// Pair is a condition on an annotation: some key matches Key and its value
// matches Value.
type Pair struct{ Key, Value *regexp.Regexp }

func newPair(key, value string) (p Pair, err error) {
	if p.Key, err = compileOne(key); err != nil {
		return Pair{}, err
	}
	p.Value, err = compileOne(value)
	return p, err
}

// verdict is how one condition turned out.
type verdict struct {
	met bool
	why string
}

// Match tells whether the conditions hold for the deployment, and why.
//
// The rules are the reference implementation's: commands come last and, when
// there are any, decide alone once the earlier conditions have not refused;
// hasBindMounts: false never holds; no condition at all never fires.
func (w When) Match(d Deployment) (fires bool, why string) {
	var not []string
	met := verdict{why: "has no condition"}
	for _, v := range w.verdicts(d) {
		switch {
		case v.met && w.Any:
			return true, v.why
		case v.met:
			met = v
		case !w.Any:
			return false, v.why
		default:
			not = append(not, v.why)
		}
	}
	if len(not) > 0 {
		return false, strings.Join(not, ", ")
	}
	return met.met, met.why
}

// Explain says whether a definition fires for the deployment and why:
// "runs: always is true", "skipped: annotation team does not match ^web$".
func Explain(def Definition, d Deployment) string {
	fires, why := def.When.Match(d)
	if fires {
		return "runs: " + printable(why)
	}
	return "skipped: " + printable(why)
}

// printable keeps what is shown on one line, and terminals safe.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// verdicts tests all conditions, in the order in which they are considered.
func (w When) verdicts(d Deployment) (all []verdict) {
	if w.Always != nil {
		all = append(all, verdict{*w.Always, fmt.Sprintf("always is %t", *w.Always)})
	}
	if w.HasBindMounts != nil {
		all = append(all, w.bindMounts(d))
	}
	for _, p := range w.Annotations {
		all = append(all, p.match(d.Annotations))
	}
	if len(w.Commands) > 0 {
		all = append(all, w.command(d.Commands))
	}
	return all
}

func (w When) bindMounts(d Deployment) verdict {
	switch {
	case !*w.HasBindMounts:
		return verdict{false, "hasBindMounts is false, which never holds"}
	case d.BindMounts:
		return verdict{true, "a container hook mounts the tree"}
	default:
		return verdict{false, "no container hook mounts the tree"}
	}
}

// match tests the pair on all annotations.
func (p Pair) match(annotations map[string]string) verdict {
	var near []string
	for _, key := range sortedKeys(annotations) {
		if !p.Key.MatchString(key) {
			continue
		}
		if p.Value.MatchString(annotations[key]) {
			return verdict{true, fmt.Sprintf("annotation %s matches %s", key, p.Value)}
		}
		near = append(near, key)
	}
	switch {
	case len(near) > 0:
		return verdict{false, fmt.Sprintf("annotation %s does not match %s", strings.Join(near, ", "), p.Value)}
	case p.Key.String() == "":
		return verdict{false, "there are no annotations"}
	default:
		return verdict{false, fmt.Sprintf("no annotation's name matches %s", p.Key)}
	}
}

func (w When) command(commands []string) verdict {
	for _, re := range w.Commands {
		for _, c := range commands {
			if re.MatchString(c) {
				return verdict{true, fmt.Sprintf("command %s matches %s", c, re)}
			}
		}
	}
	var patterns []string
	for _, re := range w.Commands {
		patterns = append(patterns, re.String())
	}
	return verdict{false, "no command matches " + strings.Join(patterns, ", ")}
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
