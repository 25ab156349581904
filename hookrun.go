package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/hooks"
	"stretcher/internal/hooks/oci"
	"stretcher/internal/hooks/p2"
	"stretcher/internal/hooks/porter"
	"stretcher/internal/journal/history"
	"stretcher/internal/policy"
	"stretcher/internal/text/failure"
)

// hookSet is the hooks of one run, by the dialect they are written in.
type hookSet struct {
	p2     p2.Options
	oci    []oci.Definition
	porter porter.Dialect
}

// hookDirs are the directories of executables: those of the host policy, and
// p2's own where it exists, with the hooks that were installed below it.
func hookDirs(h policy.Hooks, own string) []string {
	dirs := slices.Clone(h.Dirs)
	if info, err := os.Stat(own); err == nil && info.IsDir() {
		for _, dir := range []string{own, p2.ExecDir(own)} {
			if !slices.Contains(dirs, dir) {
				dirs = append(dirs, dir)
			}
		}
	}
	return dirs
}

// hasHooks tells whether hooks are to be looked for at all.
func (r *run) hasHooks() bool {
	h := r.policy.Hooks
	return len(h.OCIDirs)+len(h.Required)+len(r.manifest.Hooks) > 0 || len(hookDirs(h, p2.DefaultDir)) > 0
}

// hasFoundHooks tells whether findHooks has been taken.
func (r *run) hasFoundHooks() bool { return r.hooks != nil }

// findHooks reads where hooks come from. Required hooks must be there: a name
// that was mistyped would protect nothing.
func (r *run) findHooks(context.Context) error {
	set, bad := r.newHookSet()
	for _, err := range bad {
		// A warning and a row, not the end of the run: what the file would
		// have asked for, and when, is not known.
		r.log.Warn(failure.Sayf("this hook is not run: %v", err))
		r.rec.add(history.Step{Point: string(hooks.Init), Dialect: hooks.OCI, Name: r.log.Masked(failure.Text(err)), Started: time.Now(), Exit: -1, Offset: r.log.Offset()})
	}
	if missing := p2.Missing(set.p2); len(missing) > 0 {
		return failure.Refused("the host policy requires hooks that are in no hook directory: %q", missing)
	}
	if len(set.p2.Dirs) > 0 {
		files, err := r.writeHookFiles()
		if err != nil {
			return fmt.Errorf("files for hooks: %w", err)
		}
		set.p2.Files = files
	}
	if err := r.giveDirs(set, r.manifest.Hooks.Mounts()); err != nil {
		return err
	}
	r.rec.setContainers(r.manifest.Hooks.Mounts())
	r.hooks = set
	return nil
}

// newHookSet puts together the hooks of this host and of the manifest; without
// one, those of the host. bad is an error for each definition that can't be
// read.
func (r *run) newHookSet() (set *hookSet, bad []error) {
	h := r.policy.Hooks
	set = &hookSet{p2: p2.Options{Dirs: hookDirs(h, p2.DefaultDir), Required: h.Required}}
	set.p2.Term, set.p2.Kill = h.Times()
	set.p2.Pod.Node, _ = os.Hostname()
	var err error
	if set.oci, err = oci.Load(h.OCIDirs); err != nil {
		bad = split(err)
	}
	m := r.manifest
	if m == nil {
		return set, bad
	}
	set.p2.Pod.ID, set.p2.Pod.Home, set.p2.Pod.UniqueKey = m.Name, m.Dest, r.id
	if m.Dest != "" {
		set.p2.Pod.Root = filepath.Dir(m.Dest)
	}
	set.porter = porter.Dialect{
		Lists: m.Hooks, Key: "hooks", Run: r.id, Engine: r.engine(), Mask: r.log.Mask,
		Plugins: &porter.Plugins{Environ: r.environ},
	}
	if r.rec.dir != nil {
		set.porter.Plugins.Dir = r.rec.dir.Plugins()
	}
	return set, bad
}

// giveDirs gives the manifest's hooks directories that go with the run, also
// when it dies.
func (r *run) giveDirs(set *hookSet, containers bool) (err error) {
	d := &set.porter
	if d.Plugins.Dir == "" && len(d.Lists) > 0 {
		if d.Plugins.Dir, err = r.hookDir("plugins"); err != nil {
			return err
		}
	}
	if containers {
		d.Engine.Temp, err = r.hookDir("files of containers")
	}
	return err
}

// split undoes errors.Join.
func split(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// engine is what containers are built and run by.
func (r *run) engine() *porter.Engine {
	h := r.policy.Hooks
	cfg := porter.Config{Engine: h.Engine, EngineArgs: h.EngineArgs, BuildArgs: h.BuildArgs, RunArgs: h.RunArgs}
	return porter.NewEngine(cfg, r.environ, 0)
}

// engineTime bounds the removal of what runs that died have left.
const engineTime = time.Minute

// removeContainers ends the containers that a run left which died.
func (r *run) removeContainers(ctx context.Context) func(id string) error {
	return func(id string) error {
		ctx, cancel := context.WithTimeout(ctx, engineTime)
		defer cancel()
		return r.engine().RemoveRun(ctx, id)
	}
}

// writeHookFiles writes the files that hooks of directories are told of.
func (r *run) writeHookFiles() (p2.Files, error) {
	dir, err := r.hookDir("files of hooks")
	if err != nil {
		return p2.Files{}, err
	}
	c := p2.Content{Manifest: r.text, Env: map[string]string{}}
	if r.manifest.Config.Node != nil {
		c.Config = r.manifest.Config.Node
	}
	for name, value := range r.manifest.Env {
		if value != nil {
			c.Env[name] = *value
		} else if v, ok := r.lookup(name); ok {
			c.Env[name] = v
		}
	}
	return p2.WriteFiles(dir, c)
}

// hookDir makes a private directory for hooks, in the system's temporary
// directory if it can: dest's file system is for what is deployed.
func (r *run) hookDir(what string) (string, error) {
	return r.workDirIn(append([]string{os.TempDir()}, r.tempParents()...), what, -1)
}

// hasHooksAt tells whether hooks run at one of points, or might.
func (r *run) hasHooksAt(points ...hooks.Point) bool {
	if r.hooks == nil {
		return false
	}
	return slices.ContainsFunc(points, func(p hooks.Point) bool {
		list, err := r.hooksOf(p)
		return err != nil || len(list) > 0
	})
}

// hooksAt is a step that is made of hooks.
func (r *run) hooksAt(p hooks.Point) func(context.Context) error {
	return func(ctx context.Context) error { return r.runHooks(ctx, p, false) }
}

// runHooks runs the hooks of a point: those of directories, those of JSON
// definitions, those of the manifest.
//
// They run at every deployment, as commands do, also when dest is current or
// there is no src: those that take a host out of its balancer at one point
// have others that put it back at the next.
func (r *run) runHooks(ctx context.Context, p hooks.Point, stepFailed bool) error {
	if r.hooks == nil {
		return nil
	}
	list, err := r.hooksOf(p)
	if err != nil || len(list) == 0 {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	before, row := r.step, r.rec.row.Step
	r.step = string(p)
	r.rec.enter(r.step)
	defer func() {
		if stepFailed { // the run has failed in the step before
			r.step, r.rec.row.Step = before, row
			r.rec.update()
		}
	}()
	return asInterrupted(ctx, r.hookRunner().Run(ctx, p, list, stepFailed))
}

// runLastHooks runs the hooks after everything else. Whatever they do, the
// result stands.
func (r *run) runLastHooks(ctx context.Context) {
	if err := r.runHooks(ctx, hooks.Finish, true); err != nil {
		r.log.Warn(failure.Sayf("%s: %v", hooks.Finish, err))
	}
}

func (r *run) hookRunner() *hooks.Runner {
	return &hooks.Runner{
		Log: r.log, Env: r.environ, Mark: markOf(r.id), Record: r.recordHook, Started: r.rec.setGroup, Adopt: true,
	}
}

// hooksOf returns the hooks of a point in the order in which they run.
func (r *run) hooksOf(p hooks.Point) ([]hooks.Hook, error) {
	own := r.runEnv(string(p))
	set := r.hooks
	set.p2.Env = slices.Concat(r.manifestEnv(), own)
	list, err := p2.Hooks(set.p2, p)
	for _, err := range split(err) {
		if err != nil {
			r.log.Warn(failure.Text(err))
		}
	}
	definitions, err := oci.Hooks(set.oci, p, r.deployment())
	if err != nil {
		return nil, err
	}
	for i := range definitions { // the rest of it is the definition's own
		for _, kv := range definitions[i].Env {
			if name, value, ok := strings.Cut(kv, "="); ok {
				r.log.Mask(name, value)
			}
		}
		definitions[i].Env = slices.Concat(own, definitions[i].Env)
	}
	return slices.Concat(list, definitions, set.porter.At(p, r.scope(p))), nil
}

// deployment is what conditions and hooks of JSON definitions are told.
func (r *run) deployment() oci.Deployment {
	m := r.manifest
	d := oci.Deployment{
		ID: r.id, Pid: os.Getpid(), Annotations: m.Annotations, BindMounts: m.Hooks.Mounts(),
		Bundle: r.tree(),
	}
	if d.Bundle == "" {
		d.Bundle = m.Dest
	}
	if d.Bundle == "" {
		d.Bundle = "/" // the state must name a directory
	}
	for _, point := range m.Commands.points() {
		for _, c := range point.lines {
			if words := strings.Fields(c.Run); len(words) > 0 {
				d.Commands = append(d.Commands, words[0])
			}
		}
	}
	return d
}

// scope is what hooks of the manifest are told.
func (r *run) scope(p hooks.Point) porter.Scope {
	return porter.Scope{
		Tree: r.tree(), Name: r.manifest.Name, Version: r.manifest.Version, Caller: r.environ,
		Env: slices.Concat(r.manifestEnv(), r.runEnv(string(p))),
	}
}

// tree is the directory that hooks of a point work on: the staged tree until
// it is synced, then dest; "" before there is one.
func (r *run) tree() string {
	switch {
	case r.synced || r.current:
		return r.live()
	case r.staging != "":
		return r.staging
	case r.hasSrc() || !r.hasDest():
		return ""
	}
	if info, err := os.Stat(r.live()); err != nil || !info.IsDir() {
		return ""
	}
	return r.live()
}

// recordHook notes a hook that has ended in the history.
func (r *run) recordHook(o hooks.Outcome) {
	if o.Skipped {
		if o.Hook.Dialect == hooks.Porter {
			r.log.Info(fmt.Sprintf("%s: %s hook %q does not run: its run_condition is %s", o.Hook.Point, o.Hook.Dialect, o.Hook.Name, conditionOf(o.Hook)))
		}
		return
	}
	row := history.Step{
		Point: string(o.Hook.Point), Dialect: o.Hook.Dialect, Name: r.log.Masked(o.Hook.Name), Started: o.Started, Duration: o.Duration,
		Exit: o.Result.Exit, TimedOut: o.Result.TimedOut, Offset: o.Offset,
	}
	if o.Result.Signal != 0 {
		row.Signal = unix.SignalName(o.Result.Signal)
	}
	if o.Err != nil && row.OK() {
		row.Exit = -1 // it never started, or its output could not be read
	}
	r.rec.add(row)
}

func conditionOf(h hooks.Hook) hooks.Condition {
	if h.Condition == "" {
		return hooks.Pass
	}
	return h.Condition
}
