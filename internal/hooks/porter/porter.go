// Package porter is the hook dialect of the manifest: the lists below its
// hooks key, in the words and with the rules of porter's deployment hooks
// (https://github.com/adobe-platform/porter/blob/master/docs/detailed_design/deployment-hooks.md).
//
// Its words: a list is the hooks of one name, in the order they run; an entry
// is one of them, a container (built from a dockerfile of the deployed tree,
// or of a plugin) or a program of the host (run, path); a plugin is a git
// repository at a ref; a step is what stands between the pre and the post
// hooks of a name: pack, provision, promote, prune; a condition says after
// which outcome of its step a post hook runs; a user-defined list has any
// other name and runs only when it is asked for.
//
// It reads no manifest: package yamldoc fills its types. Outcomes go to the
// caller; what hooks print goes through the engine, to the log.
package porter

import "slices"

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

// UserDefined reports whether a list of that name runs only when asked for.
func UserDefined(name string) bool {
	return name == Bootstrap || !slices.Contains(Names(), name)
}

// stepOf is the step that the list name runs after; "" for any other list.
func stepOf(name string) Step {
	for _, s := range steps {
		if s.Post() == name {
			return s
		}
	}
	return ""
}
