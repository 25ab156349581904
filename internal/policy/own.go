package policy

import (
	"path/filepath"

	"stretcher/internal/text/failure"
)

// Own is a path of the host's own, and what is there.
type Own struct{ What, Path string }

// Own are the host's own files and directories, as far as the policy names them:
// itself and its drop-ins, the keys, and the hooks with what is installed below
// them. Whoever writes there says what runs, and what is allowed.
func (p *Policy) Own() (list []Own) {
	add := func(what string, paths ...string) {
		for _, path := range paths {
			list = append(list, Own{what, path})
		}
	}
	for i, l := range p.layers {
		if add("the host policy", l.name); i == 0 {
			add("the host policy", dropInDir(l.name))
		}
	}
	if dir, _, ok := p.Signed(); ok {
		add("the keys", dir)
	}
	for _, dir := range p.Hooks.Dirs {
		if add("the hooks", dir); filepath.Base(dir) == "exec" { // its links lead to pods beside it
			add("the hooks", filepath.Join(filepath.Dir(filepath.Clean(dir)), "pods"))
		}
	}
	add("the hooks", p.Hooks.OCIDirs...)
	return list
}

// Apart refuses a dest that holds what is there or lies in it.
func (o Own) Apart(dest string) error {
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return failure.Refused("%s %q: %w", o.What, o.Path, err)
	}
	own, real := Real(path), Real(dest)
	if belowPath(own, real) || belowPath(real, own) {
		return failure.Refused("dest %q and %s %q lie in one another", dest, o.What, o.Path)
	}
	return nil
}
