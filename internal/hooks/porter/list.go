package porter

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"stretcher/internal/hooks"
)

// Sorted are the names of the lists: those with a meaning in the order in
// which they run, then the user's own.
func (l Lists) Sorted() []string {
	names := slices.Sorted(maps.Keys(l))
	known := append(running(), Bootstrap)
	place := func(name string) int {
		if i := slices.Index(known, name); i >= 0 {
			return i
		}
		return len(known)
	}
	slices.SortStableFunc(names, func(a, b string) int { return place(a) - place(b) })
	return names
}

// List tells of the hooks of a point; of those that run only when asked for
// at the point "".
func (d *Dialect) List(p hooks.Point, dep *hooks.Deployment) (list []hooks.Listed, bad []error) {
	if dep == nil {
		return nil, nil
	}
	if p == "" {
		for _, name := range d.Lists.Sorted() {
			if UserDefined(name) {
				list = append(list, d.Lists.list(name, "")...)
			}
		}
		return list, hooks.Split(d.Allowed())
	}
	names, _ := hooks.Lookup(p)
	for _, name := range names.Lists() {
		list = append(list, d.Lists.list(name, p)...)
	}
	return list, nil
}

// list lists the hooks of one name.
func (l Lists) list(name string, p hooks.Point) (list []hooks.Listed) {
	step := stepBefore(name)
	for i, e := range l[name] {
		at := fmt.Sprintf("%s[%d]", name, i)
		h := hooks.Listed{
			Point: string(p), Stage: name, Dialect: hooks.Porter, Name: at, Source: "hooks." + at,
			Required: p != "" && stops(p), Runs: p != "", Why: "runs",
		}
		switch c := cmp.Or(hooks.Condition(e.RunCondition), standing(p)); {
		case p == "":
			h.Why = "skipped: runs by stretcher hooks run " + name
		case step == "":
			if only := p.Only(); only != "" {
				h.Why = "runs: " + only
			}
		case c == hooks.Fail:
			h.Runs, h.Why = false, "runs: only when "+step+" has failed"
		case c == hooks.Always:
			h.Why = "runs: also when " + step + " has failed"
		default:
			h.Why = "runs: unless " + step + " has failed"
		}
		h.Why += " (" + strings.Join(strings.Fields(e.What()), " ") + ")"
		list = append(list, h)
	}
	return list
}
