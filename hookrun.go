package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/hooks"
	"stretcher/internal/hooks/all"
	"stretcher/internal/hooks/p2"
	"stretcher/internal/journal"
	"stretcher/internal/journal/history"
	"stretcher/internal/text/failure"
)

// hasHooks tells whether hooks are to be looked for at all.
func (r *run) hasHooks() bool { return all.May(r.policy.Hooks, r.manifest.Hooks) }

// hasFoundHooks tells whether findHooks has been taken.
func (r *run) hasFoundHooks() bool { return r.hooks != nil }

// findHooks reads where hooks come from. Required hooks must be there: a name
// that was mistyped would protect nothing.
func (r *run) findHooks(context.Context) error {
	set, bad := all.New(r.hookOptions(false))
	for _, err := range bad {
		// A warning and a row, not the end of the run: what the file would
		// have asked for, and when, is not known.
		r.log.Warn(failure.Sayf("this hook is not run: %v", err))
		r.rec.Add(history.Step{Point: string(hooks.Init), Dialect: hooks.OCI, Name: r.log.Masked(failure.Text(err)), Started: time.Now(), Exit: -1, Offset: r.log.Offset()})
	}
	if err := set.Prepare(r.hookDir); err != nil {
		return err
	}
	r.rec.Containers(set.Mounts())
	r.hooks = set
	return nil
}

// hookOptions say where the run's hooks come from: from this host and from the
// manifest, where there is one. With containers, some run that do not run by
// themselves.
func (r *run) hookOptions(containers bool) all.Options {
	o := all.Options{Host: r.policy.Hooks, Run: r.id, Environ: r.environ, Containers: containers, Mask: r.log.Mask}
	if dir := r.rec.State(); dir != nil {
		o.PluginDir = dir.Plugins()
	}
	if r.manifest != nil {
		o.Lists, o.Content = r.manifest.Hooks, r.hookContent()
	}
	return o
}

// engineTime bounds the removal of what runs that died have left.
const engineTime = time.Minute

// leftHooks says how what hooks of runs that died have left is found, and
// removes their containers.
func (r *run) leftHooks(ctx context.Context) journal.Hooks {
	return journal.Hooks{Mark: hooks.MarkName, RemoveContainers: func(id string) error {
		ctx, cancel := context.WithTimeout(ctx, engineTime)
		defer cancel()
		return all.Engine(r.policy.Hooks, r.environ).RemoveRun(ctx, id)
	}}
}

// hookContent is what hooks of directories may read.
func (r *run) hookContent() p2.Content {
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
	return c
}

// hookDir makes a private directory for hooks, in the system's temporary
// directory if it can: dest's file system is for what is deployed.
func (r *run) hookDir(what string) (string, error) {
	return r.workDirIn(append([]string{os.TempDir()}, r.tempParents()...), what, -1)
}

// hasHooksAt tells whether hooks run at one of points, or might.
func (r *run) hasHooksAt(points ...hooks.Point) bool {
	return r.hooks != nil && r.hooks.HasAt(r.deployment(points[0]), points...)
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
	run := func() { err = asInterrupted(ctx, r.hookRunner().Run(ctx, p, list, stepFailed)) }
	if stepFailed { // the run has failed in the step before
		r.rec.Aside(string(p), run)
		return err
	}
	r.rec.Enter(string(p))
	run()
	return err
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
		Log: r.log, Env: r.environ, Mark: journal.Mark(r.id), Record: r.recordHook, Started: r.rec.Started, Adopt: true,
	}
}

// hooksOf returns the hooks of a point in the order in which they run.
func (r *run) hooksOf(p hooks.Point) ([]hooks.Hook, error) {
	list, doubts, err := r.hooks.At(p, r.deployment(p))
	for _, doubt := range doubts {
		r.log.Warn(failure.Text(doubt))
	}
	return list, err
}

// deployment is what the hooks of a point are told.
func (r *run) deployment(p hooks.Point) hooks.Deployment {
	m := r.manifest
	d := hooks.Deployment{
		Run: r.id, Name: m.Name, Version: m.Version, Dest: m.Dest, Tree: r.tree(), Annotations: m.Annotations,
		Environ: r.environ, ManifestEnv: r.manifestEnv(), Own: r.runEnv(string(p)),
	}
	for _, point := range m.Commands.Points() {
		for _, c := range point.Commands {
			if words := strings.Fields(c.Run); len(words) > 0 {
				d.Commands = append(d.Commands, words[0])
			}
		}
	}
	return d
}

// tree is the directory that hooks of a point work on: the staged tree until
// it is synced, then dest; "" before there is one.
func (r *run) tree() string {
	switch {
	case r.synced || r.current:
		return r.live()
	case r.staged.Dir != nil:
		return r.stagedPath()
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
	r.rec.Add(row)
}

func conditionOf(h hooks.Hook) hooks.Condition {
	if h.Condition == "" {
		return hooks.Pass
	}
	return h.Condition
}
