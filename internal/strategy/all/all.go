// Package all joins the strategies. It is the only one that knows them by
// name: to add a strategy is to write its package and its line here.
//
// Its words are those of package strategy. It imports the strategies.
package all

import (
	"fmt"
	"slices"

	"stretcher/internal/disk"
	"stretcher/internal/strategy"
	"stretcher/internal/strategy/mv"
	"stretcher/internal/strategy/native"
	"stretcher/internal/strategy/releases"
	"stretcher/internal/strategy/rsync"
)

// List are the strategies that there are, the default first.
func List() Set {
	return Set{
		rsync.Definition(),
		mv.Definition(),
		native.Definition(),
		releases.Definition(),
	}
}

// Set is a list of strategies.
type Set []strategy.Definition

// Find returns the definition of a name.
func (s Set) Find(name string) (strategy.Definition, bool) {
	i := slices.IndexFunc(s, func(d strategy.Definition) bool { return d.Name == name })
	if i < 0 {
		return strategy.Definition{}, false
	}
	return s[i], true
}

// New makes a strategy by its name.
func (s Set) New(name string, t strategy.Target) (strategy.Strategy, error) {
	d, ok := s.Find(name)
	if !ok {
		return nil, fmt.Errorf("there is no sync_strategy %q", name)
	}
	t.Strategy = name
	t.Others = func() []strategy.Deployments { return s.others(name, t.Dest) }
	return d.New(t)
}

// others are what strategies but the one of that name have at dest. What only
// looks so is an application's own.
func (s Set) others(name string, dest *disk.Dest) (all []strategy.Deployments) {
	for _, d := range s {
		if d.Name == name {
			continue
		}
		if found, err := find(d, dest); err == nil && found.Sure {
			all = append(all, found)
		}
	}
	return all
}

// Deployments are those that stand beside one another at dest, of the first
// strategy that has some there.
func (s Set) Deployments(dest *disk.Dest) (strategy.Deployments, error) {
	for _, d := range s {
		found, err := find(d, dest)
		if err != nil || len(found.All) > 0 {
			return found, err
		}
	}
	return strategy.Deployments{}, nil
}

func find(d strategy.Definition, dest *disk.Dest) (strategy.Deployments, error) {
	if d.Deployments == nil || dest.Dir == nil {
		return strategy.Deployments{}, nil
	}
	found, err := d.Deployments(dest)
	found.Strategy = d.Name
	return found, err
}

// Alike tells whether a dest that one strategy has deployed to is one that
// the other finds its way in: both keep deployments beside one another, or
// neither does.
func (s Set) Alike(one, other string) bool {
	if one == other {
		return true
	}
	a, _ := s.Find(one)
	b, _ := s.Find(other)
	return a.Deployments == nil && b.Deployments == nil
}

// Settle chooses a strategy where a manifest names none: rsync, as v1.x, or
// what does the same without it where it is not installed. why is said then.
func (s Set) Settle() (name, why string) {
	if rsync.Installed() == nil {
		return rsync.Name, ""
	}
	return native.Name, "rsync is not installed: sync_strategy is " + native.Name
}

// CheckShared checks the paths that deployments share which stand beside one
// another.
func CheckShared(paths []string) error { return releases.CheckShared(paths) }
