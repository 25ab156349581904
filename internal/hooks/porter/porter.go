// Package porter is the hook dialect of the manifest: the lists below its
// hooks key, in the words and with the rules of porter's deployment hooks
// (https://github.com/adobe-platform/porter/blob/master/docs/detailed_design/deployment-hooks.md).
//
// Its words: a list is the hooks of one name, in the order they run; an entry
// is one of them, a container (built from a dockerfile of the archive, or of a
// plugin) or a program (run: a command of the host's shell; path: a file of the
// archive); a plugin is a git repository at a ref; a step is what stands between
// the pre and the post hooks of a name: pack, provision, promote, prune; a
// condition says after which outcome of its step a post hook runs. A list of a
// point's own name runs there, after porter's. A user-defined list has any other
// name and runs only when it is asked for. Where there is no archive yet, the
// directory that holds a manifest in a file takes its part.
//
// It reads no manifest: package yamldoc fills its types. Outcomes go to the
// caller; what hooks print goes through the engine, to the log.
package porter

import "stretcher/internal/hooks"

// Step is a part of the deployment that hooks stand around.
type Step string

// The steps, in the order in which they run. The design's table says what
// each holds.
const (
	Pack      Step = "pack"      // fetch, check, pre commands, extract
	Provision Step = "provision" // sync
	Promote   Step = "promote"   // post and verify commands
	Prune     Step = "prune"     // removal of old releases
)

// Bootstrap is the name whose list runs only when asked for, and whose output
// is a script for a new machine.
const Bootstrap = "ec2_bootstrap"

var steps = [...]Step{Pack, Provision, Promote, Prune}

// Pre is the name of the list that runs before the step.
func (s Step) Pre() string { return "pre_" + string(s) }

// Post is the name of the list that runs after the step.
func (s Step) Post() string { return "post_" + string(s) }

// Names are the nine names that have a meaning, in the order in which they
// run; Bootstrap, which does not run by itself, is the last.
func Names() []string {
	var names []string
	for _, s := range steps {
		names = append(names, s.Pre(), s.Post())
	}
	return append(names, Bootstrap)
}

// running are the names that run by themselves, in the order in which they do.
func running() (names []string) {
	for _, n := range hooks.Points() {
		names = append(names, n.Lists()...)
	}
	return names
}

// UserDefined reports whether a list of that name runs only when asked for.
func UserDefined(name string) bool {
	_, runs := hooks.ByList(name)
	return !runs
}

// stepBefore says what the list name runs after, and may depend on; "" = on
// nothing.
func stepBefore(name string) string {
	for _, s := range steps {
		if s.Post() == name {
			return string(s)
		}
	}
	switch hooks.Point(name) {
	case hooks.PostExtract:
		return string(Pack)
	case hooks.PostSync:
		return string(Provision)
	case hooks.PostLaunch:
		return string(Promote)
	case hooks.Finish:
		return "the run"
	}
	return ""
}

// stops tells whether a failing hook stops what there is to stop: at the points
// that a run comes to when it is decided, there is nothing.
func stops(p hooks.Point) bool { return p != hooks.Finish && p != hooks.AuthFail }

// standing is the condition of an entry that has none: those of a point that
// is there for either outcome run.
func standing(p hooks.Point) hooks.Condition {
	if p == hooks.Finish || p == hooks.AuthFail {
		return hooks.Always
	}
	return hooks.Pass
}
