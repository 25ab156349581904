package porter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"stretcher/internal/hooks"
	"stretcher/internal/process"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
)

// Dialect makes hooks of the lists of one manifest, for one run. No method
// but those of its Engine and Plugins may be called concurrently.
type Dialect struct {
	Lists   Lists
	Key     string        // where the lists stand in the manifest: "hooks"
	Run     string        // id of the run; containers carry it
	Engine  *Engine       // for hooks that are containers
	Plugins *Plugins      // for those with a repo
	Mounts  bool          // containers run
	Grace   time.Duration // from TERM to KILL of programs; 0 = process.DefaultGrace
	User    *process.User // whom programs run as; nil = the caller, who alone has containers

	// Mask is told the name and value of each variable that may be a secret,
	// before a hook that has it is returned. nil = nobody is told.
	Mask func(name, value string)
}

// Name is hooks.Porter.
func (*Dialect) Name() string { return hooks.Porter }

// Any tells whether the manifest has hooks.
func (d *Dialect) Any() bool { return len(d.Lists) > 0 }

// Doubts has nothing to tell: Lists.Check does.
func (*Dialect) Doubts() []error { return nil }

// Allowed refuses containers that run by themselves and whose engine others may write.
func (d *Dialect) Allowed() error {
	if !d.Lists.Mounts() {
		return nil
	}
	return d.Engine.Allowed()
}

// Files is what the directory holds that Prepare asks for when containers run:
// their private files, and what podman unpacks on its way to an image.
const Files = "files of containers"

// Prepare is Allowed, and PrepareNamed.
func (d *Dialect) Prepare(dir func(what string) (string, error)) error {
	if err := d.Allowed(); err != nil {
		return err
	}
	return d.PrepareNamed(dir)
}

// PrepareNamed gives the plugins a directory that goes with the run where the host
// has none for them, and the files of containers another.
func (d *Dialect) PrepareNamed(dir func(what string) (string, error)) (err error) {
	if d.Plugins.Dir == "" {
		if d.Plugins.Dir, err = dir("plugins"); err != nil {
			return err
		}
	}
	if d.Mounts {
		d.Engine.Temp, err = dir(Files)
	}
	return err
}

// At returns the hooks of a point, in the order in which they run. They are
// good for that point of this run only.
func (d *Dialect) At(p hooks.Point, dep hooks.Deployment) (list []hooks.Hook, _ []error, _ error) {
	names, _ := hooks.Lookup(p)
	for _, name := range names.Lists() {
		list = append(list, d.hooks(name, p, scope{Deployment: dep.OfManifest()})...)
	}
	return list, nil, nil
}

// ErrContainer: the container engine is the caller's, and so are its containers.
var ErrContainer = errors.New("a container would run as whoever runs stretcher")

// ErrNoList: the manifest has no hooks of that name.
var ErrNoList = errors.New("no such hooks")

// Named returns the hooks of the list name, whatever their condition: no step
// has run that it could speak of. file is the environment of --env-file; nil is
// none. The error is ErrNoList and says which there are.
func (d *Dialect) Named(name string, dep hooks.Deployment, file Environment) ([]hooks.Hook, error) {
	if len(d.Lists[name]) == 0 {
		there := "the manifest has none"
		if len(d.Lists) > 0 {
			names := d.Lists.names()
			for i := range names {
				names[i] = printable.Text(names[i])
			}
			there = "the manifest has " + strings.Join(names, ", ")
		}
		return nil, fmt.Errorf("%q: %w: %s", name, ErrNoList, there)
	}
	point, _ := hooks.ByList(name)
	list := d.hooks(name, point, scope{dep.OfManifest(), file})
	for i := range list {
		list[i].Condition, list[i].Required = hooks.Always, true
	}
	return list, nil
}

// Mounts reports whether a container runs by itself during a deployment, and
// so has the tree mounted.
func (l Lists) Mounts() bool {
	for name, list := range l {
		for i := range list {
			if !UserDefined(name) && list[i].Container() {
				return true
			}
		}
	}
	return false
}

// MakeTree are the names of the lists that may change what is deployed, sorted.
func (l Lists) MakeTree() []string {
	return slices.DeleteFunc(l.names(), func(name string) bool {
		p, _ := hooks.ByList(name)
		return len(l[name]) == 0 || !p.MakesTree()
	})
}

func (d *Dialect) hooks(name string, p hooks.Point, s scope) []hooks.Hook {
	list := make([]hooks.Hook, 0, len(d.Lists[name]))
	for i := range d.Lists[name] {
		e := &d.Lists[name][i]
		at := fmt.Sprintf("%s[%d]", name, i)
		h := hooks.Hook{
			Dialect: hooks.Porter, Name: at, Source: d.Key + "." + at, Point: p, Stage: name,
			Timeout: time.Duration(e.Timeout), Grace: d.Grace, Required: stops(p),
			Concurrent: e.Concurrent, Condition: cmp.Or(hooks.Condition(e.RunCondition), standing(p)),
		}
		if d.User != nil {
			h.Timeout = cmp.Or(h.Timeout, process.UserTimeout)
		}
		d.fill(&h, e, s)
		list = append(list, h)
	}
	return list
}

// fill says what the hook runs.
func (d *Dialect) fill(h *hooks.Hook, e *Entry, s scope) {
	mask := d.Mask
	if mask == nil {
		mask = func(string, string) {}
	}
	env := s.added(e, mask)
	if !e.Container() {
		env = last(append(s.Base[:len(s.Base):len(s.Base)], env...))
	}
	hook := h.Name
	switch {
	case e.Container() && d.User != nil:
		h.Problem = failure.Refused("%w: run_as: %q", ErrContainer, d.User.Name)
	case s.origin().dir == "" && e.Repo == "" && e.Run == "":
		h.Problem = fmt.Errorf("%q is a file of the archive, and that is not unpacked at this point: use repo or run",
			e.What())
	case e.Container():
		h.Detached, h.Judge = true, s.origin().judging(e)
		h.Run = func(ctx context.Context, st hooks.Streams) (process.Result, error) {
			return d.contain(ctx, st, hook, e, s, env)
		}
	case e.Run != "":
		h.Path, h.Args, h.Env, h.Dir, h.User = "sh", []string{"-c", e.Run}, env, s.Tree, d.User
	default:
		// Not resolved before it runs: an earlier hook may make it.
		h.Judge = s.origin().judging(e)
		h.Run = func(ctx context.Context, st hooks.Streams) (process.Result, error) {
			return d.program(ctx, st, e.Path, s, env)
		}
	}
}

// program runs an executable of the archive, in the tree.
func (d *Dialect) program(
	ctx context.Context, st hooks.Streams, name string, s scope, env []string,
) (process.Result, error) {
	path, mode, err := s.origin().file(name)
	if err != nil {
		return process.Result{Exit: -1}, err
	}
	if mode&0o111 == 0 {
		return process.Result{Exit: -1}, fmt.Errorf("%q is not executable", name)
	}
	return started(ctx, st, process.Command{
		Path: path, Dir: cmp.Or(s.Tree, s.Repository), Env: env, Stdout: st.Stdout, Stderr: st.Stderr, Grace: d.Grace,
		User: d.User,
	})
}

// contain finds what the container is built from, and runs it.
func (d *Dialect) contain(
	ctx context.Context, st hooks.Streams, hook string, e *Entry, s scope, env []string,
) (process.Result, error) {
	failed := process.Result{Exit: -1}
	from, tree, commit := s.origin(), cmp.Or(s.Tree, s.Repository), ""
	switch {
	case e.Repo != "":
		from = origin{}
		var err error
		if from.dir, commit, err = d.Plugins.Checkout(ctx, st, e.Repo, e.Ref); err != nil {
			return failed, err
		}
	case from.judge:
		tree = from.dir
	}
	file, _, err := from.file(e.dockerfile())
	if err != nil {
		return failed, fmt.Errorf("dockerfile: %w", err)
	}
	buildDir, err := from.context(ctx, e.dockerfile())
	if err != nil {
		return failed, fmt.Errorf("dockerfile: %w", err)
	}
	if tree != "" {
		if tree, err = filepath.Abs(tree); err != nil {
			return failed, err
		}
	}
	return d.Engine.contain(ctx, st, job{
		context: buildDir, dockerfile: file, tag: imageTag(commit, s.Name, hook, e), tree: tree, env: env,
		container: strings.Join([]string{"stretcher", plain(d.Run), plain(hook), digest(d.Run, hook)}, "-"),
		run:       d.Run, hook: hook,
	})
}
