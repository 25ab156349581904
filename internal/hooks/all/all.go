// Package all joins the dialects: which hooks a host and a manifest have, at
// which point, and in which order.
//
// Its words: a set is the dialects that one run has hooks in; the host's hooks
// are those of the policy's directories, the manifest's those below its hooks
// key. A dialect is registered by one line of dialects, and known here alone.
//
// It may import the dialects, the policy that names their directories, and the
// engine. It runs nothing: the engine's Runner does.
package all

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"stretcher/internal/hooks"
	"stretcher/internal/hooks/oci"
	"stretcher/internal/hooks/p2"
	"stretcher/internal/hooks/porter"
	"stretcher/internal/policy"
	"stretcher/internal/process"
)

// Options say where hooks come from.
type Options struct {
	Host       policy.Hooks
	Lists      porter.Lists  // the manifest's; nil = none
	Content    p2.Content    // of the manifest, for the files that hooks of directories are told of
	Run        string        // id
	Environ    []string      // NAME=value: the environment this program was started with
	PluginDir  string        // a cache of plugins; "" = there is none that outlasts the run
	User       *process.User // whom the manifest's hooks run as; nil = the caller
	Containers bool          // containers may run that do not run by themselves
	Mask       func(name, value string)
	// Never says why the manifest never comes to a point, "" where it may; for
	// List alone. nil = it may come to all.
	Never func(p hooks.Point) string
}

// Set is the hooks of one run.
type Set struct {
	dialects []hooks.Dialect
	porter   *porter.Dialect
	mask     func(name, value string)
	mounts   bool
	host     policy.Hooks
	never    func(p hooks.Point) string
}

// New finds the hooks of a host and a manifest. There is an error for each
// definition that can't be read; it hides no other.
func New(o Options) (*Set, []error) {
	s := &Set{mask: o.Mask, mounts: o.Lists.Mounts(), host: o.Host, never: o.Never}
	definitions, err := oci.Load(o.Host.OCIDirs)
	s.porter = &porter.Dialect{
		Lists: o.Lists, Key: "hooks", Run: o.Run, Engine: Engine(o.Host, o.Environ), Mask: o.Mask,
		Plugins: &porter.Plugins{Environ: o.Environ, Dir: o.PluginDir}, Mounts: s.mounts || o.Containers,
		User: o.User,
	}
	directories := &p2.Dialect{Options: p2.Options{Dirs: Dirs(o.Host, p2.DefaultDir), Required: o.Host.Required},
		Content: o.Content}
	directories.Term, directories.Kill = o.Host.Times()
	directories.Pod.Node, _ = os.Hostname()
	s.dialects = []hooks.Dialect{ // in the order in which their hooks run at one point
		directories,
		&oci.Dialect{Definitions: definitions, BindMounts: s.mounts, Mask: o.Mask},
		s.porter,
	}
	return s, hooks.Split(err)
}

// Engine is what containers are built and run by on a host.
func Engine(h policy.Hooks, environ []string) *porter.Engine {
	cfg := porter.Config{Engine: string(h.Engine), EngineArgs: h.EngineArgs, BuildArgs: h.BuildArgs, RunArgs: h.RunArgs}
	return porter.NewEngine(cfg, environ, 0)
}

// engineTime bounds the removal of what runs that died have left.
const engineTime = time.Minute

// Remover removes the containers of runs that died, by their ids.
func Remover(ctx context.Context, h policy.Hooks, environ []string) func(run string) error {
	return func(run string) error {
		ctx, cancel := context.WithTimeout(ctx, engineTime)
		defer cancel()
		return Engine(h, environ).RemoveRun(ctx, run)
	}
}

// Dirs are a host's directories of executables: those of its policy, and p2's
// own where it exists or somebody else may have taken it away, with the hooks
// that were installed below it.
func Dirs(h policy.Hooks, own string) []string {
	dirs := slices.Clone(h.Dirs)
	if info, err := os.Stat(own); err == nil && info.IsDir() || p2.Exposed(own) {
		for _, dir := range []string{own, p2.ExecDir(own)} {
			if !slices.Contains(dirs, dir) {
				dirs = append(dirs, dir)
			}
		}
	}
	return dirs
}

// Programs are what a host's definitions run, or would run if it were there.
func Programs(h policy.Hooks) (list []policy.Own) {
	for _, path := range oci.Programs(h.OCIDirs) {
		list = append(list, policy.Own{What: "the program of a hook", Path: path})
	}
	return list
}

// May tells whether there may be hooks at all, by looking at less than New
// does.
func May(h policy.Hooks, lists porter.Lists) bool {
	return len(h.OCIDirs)+len(h.Required)+len(lists) > 0 || len(Dirs(h, p2.DefaultDir)) > 0
}

// Doubts tells what of the host looks like a mistake: a name that was mistyped
// runs nothing, and nobody would see it.
func (s *Set) Doubts() (doubts []error) {
	missing := func(key string, dirs []string) {
		for _, dir := range dirs {
			if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
				doubts = append(doubts, fmt.Errorf("host policy: %s: %q does not exist", key, dir))
			}
		}
	}
	missing("hooks.dirs", s.host.Dirs)
	missing("hooks.oci_dirs", s.host.OCIDirs)
	for _, d := range s.dialects {
		doubts = append(doubts, d.Doubts()...)
	}
	return doubts
}

// Allowed tells whether a deployment with these hooks would be refused, as far
// as that can be known before.
func (s *Set) Allowed() error {
	for _, d := range s.dialects {
		if judge, ok := d.(interface{ Allowed() error }); ok && d.Any() {
			if err := judge.Allowed(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Prepare makes what the hooks need, in private directories that dir makes.
func (s *Set) Prepare(dir func(what string) (string, error)) error {
	for _, d := range s.dialects {
		if !d.Any() {
			continue
		}
		if err := d.Prepare(dir); err != nil {
			return err
		}
	}
	return nil
}

// PrepareNamed is Prepare for those hooks alone that Named returns.
func (s *Set) PrepareNamed(dir func(what string) (string, error)) error {
	return s.porter.PrepareNamed(dir)
}

// Mounts tells whether a container runs by itself during a deployment.
func (s *Set) Mounts() bool { return s.mounts }

// Late tells whether hooks of the manifest name files of the archive that are
// needed after the sync.
func (s *Set) Late() bool { return s.porter.Lists.Late() }

// At returns the hooks of a point in the order in which they run. Doubts hide
// none of them; an error ends the run.
func (s *Set) At(p hooks.Point, d hooks.Deployment) (list []hooks.Hook, doubts []error, err error) {
	for _, dialect := range s.dialects {
		if !dialect.Any() {
			continue
		}
		found, doubt, derr := dialect.At(p, d)
		list, doubts, err = append(list, found...), append(doubts, doubt...), cmp.Or(err, derr)
	}
	return list, doubts, err
}

// HasAt tells whether hooks run at one of points, or might.
func (s *Set) HasAt(d hooks.Deployment, points ...hooks.Point) bool {
	return slices.ContainsFunc(points, func(p hooks.Point) bool {
		list, _, err := s.At(p, d)
		return err != nil || len(list) > 0
	})
}

// Named returns the hooks that the manifest has under a name. file is the
// environment of --env-file; nil is none.
func (s *Set) Named(name string, d hooks.Deployment, file porter.Environment) ([]hooks.Hook, error) {
	return s.porter.Named(name, d, file)
}

// List tells of the hooks of all points in the order in which they run, then
// of those that run only when asked for; d is nil where there is no manifest.
// The errors say what can't be read.
func (s *Set) List(d *hooks.Deployment) (list []hooks.Listed, bad []error) {
	points := []hooks.Point{}
	for _, n := range hooks.Points() {
		points = append(points, n.Point)
	}
	said := map[string]bool{} // a directory is read for each point
	for _, p := range append(points, "") {
		for _, dialect := range s.dialects {
			found, errs := dialect.List(p, d)
			list = append(list, s.told(p, found)...)
			for _, err := range errs {
				if !said[err.Error()] {
					said[err.Error()] = true
					bad = append(bad, err)
				}
			}
		}
	}
	return list, bad
}

// told is a list of a point as it is for the manifest.
func (s *Set) told(p hooks.Point, list []hooks.Listed) []hooks.Listed {
	if s.never == nil || p == "" || s.never(p) == "" {
		return list
	}
	for i := range list {
		if list[i].Runs {
			list[i].Runs, list[i].Why = false, "skipped: "+s.never(p)
		}
	}
	return list
}

// Watch calls onChange when a definition of the host has changed, until ctx
// ends.
func (s *Set) Watch(ctx context.Context, onChange func()) error {
	return oci.Watch(ctx, s.host.OCIDirs, onChange)
}
