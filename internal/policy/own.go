package policy

import (
	"os"
	"path/filepath"
	"slices"

	"stretcher/internal/disk"
	"stretcher/internal/text/failure"
)

// Own is a path of the host's own, and what is there.
type Own struct {
	What, Path string
	// Entries tells that what symlinks in it lead to counts, too.
	Entries bool
}

// Reserved are the host's own files and directories that nothing is deployed to.
// Where manifests must be signed they are what says so: the policy, its drop-ins
// and the keys. Where manifests are bound, not to run what they like as the
// caller, these are it, and all that the host runs: the hooks, in hookDirs as
// well, which are read as soon as they are there, and this program.
func (p *Policy) Reserved(bound bool, hookDirs ...string) (list []Own) {
	keys, _, signed := p.Signed()
	if !signed && !bound {
		return nil
	}
	for _, name := range slices.Compact([]string{p.name, Default}) {
		list = append(list, Own{"the host policy", name, false}, Own{"the host policy", dropInDir(name), true})
	}
	if signed {
		list = append(list, Own{"the keys", keys, true})
	}
	if bound {
		list = append(list, p.ownFiles()...)
		list = append(list, p.Hooks.own(hookDirs)...)
		if self, err := os.Executable(); err == nil {
			list = append(list, Own{"this program", self, false})
		}
	}
	return list
}

// own are the directories of hooks, with what is installed beside them.
func (h Hooks) own(more []string) (list []Own) {
	for _, dir := range slices.Concat(h.Dirs, more) {
		list = append(list, Own{"the hooks", dir, true})
		if filepath.Base(dir) == "exec" { // its links lead to pods beside it
			list = append(list, Own{"the hooks", filepath.Join(filepath.Dir(filepath.Clean(dir)), "pods"), false})
		}
	}
	for _, dir := range h.OCIDirs {
		list = append(list, Own{"the hooks", dir, true})
	}
	return list
}

// Apart refuses a dest by which somebody could change what is there: dest holds
// it, lies in it, or is a directory that its name leads through.
func (o Own) Apart(name string, dest disk.Way, m *disk.Mounts) error {
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return failure.Refused("%s %q: %w", o.What, o.Path, err)
	}
	ways := []disk.Way{disk.WayTo(path)}
	if o.Entries {
		ways = append(ways, disk.WaysIn(path)...)
	}
	for _, way := range ways {
		if way.Holds(dest, m) {
			return failure.Refused("dest %q and %s %q lie in one another", name, o.What, o.Path)
		}
	}
	return nil
}
