package oci

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"stretcher/internal/hooks"
)

// Dialect is the hooks of JSON definitions as the engine asks for them.
type Dialect struct {
	Definitions []Definition
	BindMounts  bool // a container hook of the manifest mounts the tree
	// Mask is told the name and value of each variable of a definition.
	Mask func(name, value string)
}

// Name is hooks.OCI.
func (*Dialect) Name() string { return hooks.OCI }

// Any tells whether there are definitions.
func (d *Dialect) Any() bool { return len(d.Definitions) > 0 }

// Prepare has nothing to do.
func (*Dialect) Prepare(func(what string) (string, error)) error { return nil }

// Doubts tells of definitions whose program can't be run: where they fire, they
// fail.
func (d *Dialect) Doubts() (doubts []error) {
	for _, def := range d.Definitions {
		if why := def.unfit(); why != "" {
			doubts = append(doubts, fmt.Errorf("hook definition %q: hook.path: %s", def.Source, why))
		}
	}
	return doubts
}

// unfit is why the program of a definition can't be run; "" = it can.
func (d Definition) unfit() string {
	if unix.Access(d.Hook.Path, unix.X_OK) != nil {
		return fmt.Sprintf("%q is not executable", d.Hook.Path)
	}
	return ""
}

// At returns the hooks of a point that fire.
func (d *Dialect) At(p hooks.Point, dep hooks.Deployment) ([]hooks.Hook, []error, error) {
	list, err := Hooks(d.Definitions, p, d.deployment(dep))
	for i := range list { // the rest of it is the definition's own
		for _, kv := range list[i].Env {
			if name, value, ok := strings.Cut(kv, "="); ok {
				d.Mask(name, value)
			}
		}
		list[i].Env = slices.Concat(dep.Own, list[i].Env)
	}
	return list, nil, err
}

// deployment is what conditions and hooks are told. The state must name a
// directory: where there is none yet it is dest, else the root.
func (d *Dialect) deployment(dep hooks.Deployment) Deployment {
	return Deployment{
		ID: dep.Run, Pid: os.Getpid(), Annotations: dep.Annotations, BindMounts: d.BindMounts,
		Commands: dep.Commands, Bundle: cmp.Or(dep.Tree, dep.Dest, "/"),
	}
}

// List explains the definitions that name a stage of the point; one that names
// it twice, which runs twice, stands there twice.
func (d *Dialect) List(p hooks.Point, dep *hooks.Deployment) (list []hooks.Listed, bad []error) {
	for _, stage := range Stages(p) {
		for _, def := range d.Definitions {
			for _, s := range def.Stages {
				if s == stage {
					list = append(list, d.listed(def, p, stage, dep))
				}
			}
		}
	}
	return list, nil
}

func (d *Dialect) listed(def Definition, p hooks.Point, stage string, dep *hooks.Deployment) hooks.Listed {
	l := hooks.Listed{
		Point: string(p), Stage: stage, Dialect: hooks.OCI, Name: def.hookName(),
		Source: def.Source, Required: Stops(p), Why: "depends on the manifest",
	}
	if dep != nil {
		l.Runs, _ = def.When.Match(d.deployment(*dep))
		l.Why = Explain(def, d.deployment(*dep))
	}
	if only := p.Only(); l.Runs && only != "" {
		l.Why += ", " + only
	}
	if why := def.unfit(); why != "" && (l.Runs || dep == nil) {
		l.Runs, l.Why = false, "fails: "+why
	}
	return l
}
