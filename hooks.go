package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/cli"
	"stretcher/internal/disk"
	"stretcher/internal/hooks"
	"stretcher/internal/hooks/all"
	"stretcher/internal/hooks/p2"
	"stretcher/internal/hooks/porter"
	"stretcher/internal/journal"
	"stretcher/internal/journal/history"
	"stretcher/internal/strategy"
	"stretcher/internal/strategy/staging"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
)

// mayHaveHooks tells whether hooks are to be looked for at all.
func (x executor) mayHaveHooks(s Spec) bool { return all.May(x.policy.Hooks, s.Manifest.Hooks) }

// findHooks reads where hooks come from. Required hooks must be there: a name
// that was mistyped would protect nothing.
func (x executor) findHooks(s Spec) (*all.Set, error) {
	set, bad := all.New(x.hookOptions(s, false))
	doubts, refused := hooks.Refused(errors.Join(bad...))
	if refused != nil {
		return nil, refused
	}
	for _, err := range doubts {
		// A warning and a row, not the end of the run: what the file would
		// have asked for, and when, is not known.
		x.log.Warn(failure.Sayf("this hook is not run: %v", err))
		x.journal.Add(history.Step{
			Point: string(hooks.Init), Dialect: hooks.OCI, Name: x.log.Masked(failure.Text(err)),
			Started: time.Now(), Exit: -1, Offset: x.log.Offset(),
		})
	}
	for _, doubt := range set.Doubts() {
		x.log.Warn(failure.Text(doubt))
	}
	if err := set.Prepare(x.hookDir(s)); err != nil {
		return nil, err
	}
	x.journal.Containers(set.Mounts())
	return set, nil
}

// hookOptions say where the run's hooks come from: from this host and from the
// manifest, where there is one. With containers, some run that do not run by
// themselves.
func (x executor) hookOptions(s Spec, containers bool) all.Options {
	o := all.Options{Host: x.policy.Hooks, Run: x.id, Environ: x.environ, Containers: containers, Mask: x.log.Mask,
		User: x.user}
	if dir := x.journal.State(); dir != nil {
		o.PluginDir = dir.Plugins()
	}
	if s.Loaded != nil {
		o.Lists, o.Content = s.hookLists(), x.hookContent(s)
		o.Never = s.never
	}
	return o
}

// hookContent is what hooks of directories may read.
func (x executor) hookContent(s Spec) p2.Content {
	c := p2.Content{Manifest: s.Text, Env: map[string]string{}}
	if s.Config.Node != nil {
		c.Config = s.Config.Node
	}
	for _, kv := range x.manifestEnv(s.Manifest) {
		name, value, _ := strings.Cut(kv, "=")
		c.Env[name] = value
	}
	return c
}

// hookDir makes private directories for hooks, in the system's temporary
// directory if it can: dest's file system is for what is deployed.
func (x executor) hookDir(s Spec) func(what string) (string, error) {
	return func(what string) (string, error) {
		candidates := append([]string{os.TempDir()}, s.tempParents()...)
		if what == porter.Files && disk.TempDir() == "" { // images pass through, and /tmp may be memory
			candidates = slices.Insert(candidates, 0, "/var/tmp")
		}
		return x.private.Path(disk.Wanted{What: what, Size: -1, Candidates: candidates})
	}
}

// runHooks runs the hooks of a point: those of directories, those of JSON
// definitions, those of the manifest.
//
// They run at every deployment, as commands do, also when dest is current or
// there is no src: those that take a host out of its balancer at one point
// have others that put it back at the next.
func (x executor) runHooks(ctx context.Context, r run, p hooks.Point, stepFailed bool) error {
	if r.spec.Hooks == nil {
		return nil
	}
	list, doubts, err := r.spec.Hooks.At(p, x.told(r, p))
	for _, doubt := range doubts {
		x.log.Warn(failure.Text(doubt))
	}
	if err != nil || len(list) == 0 {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	run := func() { err = failure.AsInterrupted(ctx, x.hookRunner().Run(ctx, p, list, stepFailed)) }
	if stepFailed || p == hooks.Finish { // the run stays in the step that it has come to
		x.journal.Aside(string(p), run)
		return err
	}
	x.journal.Enter(string(p))
	run()
	return err
}

func (x executor) hookRunner() *hooks.Runner {
	return &hooks.Runner{
		Log: x.log, Env: x.environ, Mark: journal.Mark(x.id), Record: x.recordHook, Started: x.journal.Started, Adopt: true,
	}
}

// told is what the hooks of a point are told of the run. Where those of the
// manifest run as another user, they see the copy of the staged tree that is
// made for them.
func (x executor) told(r run, p hooks.Point) hooks.Deployment {
	t := x.toldTo(r, p)
	own := t
	own.Environ, own.Base = x.readable(), x.baseEnv()
	if t.ManifestEnv = x.hostEnv(r.spec.Manifest); x.user != nil {
		own.Own = x.asSeen(r, own.Own)
		if own.Tree == r.stagedPath() {
			own.Tree = r.copiedPath()
		}
		own.Programs = r.copiedPath()
	}
	t.Manifest = &own
	return t
}

// toldTo is what the caller's own hooks are told.
func (x executor) toldTo(r run, p hooks.Point) hooks.Deployment {
	s := r.spec
	t := hooks.Deployment{
		Run: x.id, Name: s.Name, Version: s.Version, Dest: s.Manifest.Dest, Tree: r.tree(p), Annotations: s.Annotations,
		Programs: r.programs(), Repository: r.repository(p),
		Environ: x.environ, ManifestEnv: x.manifestEnv(s.Manifest), Own: x.runEnv(r, string(p)),
		Commands: s.Commands.Programs(),
	}
	return t
}

// nothingStaged is what STRETCHER_STAGING names where there is no staged tree.
// Nothing can ever be there, whereas an empty variable would make
// "$STRETCHER_STAGING/cache" a path that somebody needs.
const nothingStaged = "/dev/null/nothing-is-staged"

// tree is the directory that hooks of a point work on: the staged tree until
// it is synced, then dest; "" before there is one.
func (r run) tree(p hooks.Point) string {
	switch {
	case r.synced || r.archive.IsCurrent() && !p.BeforeSync():
		return r.spec.live()
	case r.staged.Dir != nil:
		return r.stagedPath()
	case r.spec.hasSrc() || !r.spec.hasDest():
		return ""
	}
	if info, err := os.Stat(r.spec.live()); err != nil || !info.IsDir() {
		return ""
	}
	return r.spec.live()
}

// recordHook notes a hook that has ended in the history.
func (x executor) recordHook(o hooks.Outcome) {
	if o.Skipped {
		if o.Hook.Dialect == hooks.Porter {
			x.log.Info(fmt.Sprintf("%s: %s hook %q does not run: its run_condition is %s",
				o.Hook.Point, o.Hook.Dialect, o.Hook.Name, o.Hook.Condition))
		}
		return
	}
	row := history.Step{
		Point: string(o.Hook.Point), Stage: o.Hook.Stage, Dialect: o.Hook.Dialect, Name: x.log.Masked(o.Hook.Name),
		Source: x.log.Masked(o.Hook.Source), Started: o.Started,
		Duration: o.Duration, Exit: o.Result.Exit, TimedOut: o.Result.TimedOut, Offset: o.Offset,
	}
	if o.Result.Signal != 0 {
		row.Signal = unix.SignalName(o.Result.Signal)
	}
	if o.Err != nil && row.OK() {
		row.Exit = -1 // it never started, or its output could not be read
	}
	if row.Exit < 0 && row.Signal == "" && !row.TimedOut {
		row.Why = x.log.Masked(failure.Text(o.Err))
	}
	x.journal.Add(row)
}

// fetchTree fetches the archive, verifies it and unpacks it in one of places.
// source is where the archive came from.
func (d *deployer) fetchTree(
	ctx context.Context, s Spec, p staging.Places,
) (tree *staging.Tree, source string, err error) {
	a, err := d.ways().Archive(ctx, d.wanted(s))
	if err != nil {
		return nil, "", fmt.Errorf("fetch: %w", err)
	}
	defer a.Close()
	if tree, err = staging.Unpack(ctx, d.unpacking(s, a, p), a.Input, p.Dest != nil); err != nil {
		return nil, "", fmt.Errorf("extract: %w", err)
	}
	return tree, a.Source, nil
}

// runHooksByName runs the hooks that the manifest has under a name, in the
// tree of its src, and returns the exit status of the first that failed.
func runHooksByName(ctx context.Context, second <-chan struct{}, o cli.RunHooksOptions) (code int, err error) {
	d, done, err := newDeployer(ctx, o.Settings, journal.Noted, second)
	defer done()
	if err != nil {
		return cli.Status(err), err
	}
	d.journal.BeginCommand(d.id, "hooks run")
	d.clearDied(ctx)
	code, err = d.runNamed(ctx, o)
	return code, d.masked(err)
}

func (d *deployer) runNamed(ctx context.Context, o cli.RunHooksOptions) (code int, err error) {
	file, err := porter.ReadEnvFile(o.EnvFile)
	if err != nil {
		return cli.ExitUsage, failure.Usage("--env-file: %w", err)
	}
	s, err := d.loadAllowed(ctx, o.URL, manifestRules())
	if err != nil {
		return cli.Status(err), err
	}
	set, _ := all.New(d.hookOptions(s, true))
	if _, err := set.Named(o.Name, hooks.Deployment{}, nil); err != nil {
		return cli.ExitUsage, failure.Usage("hooks run: %w", err)
	}
	r := run{spec: s}
	if s.hasSrc() {
		tree, source, err := d.fetchTree(ctx, s, staging.Places{Maker: d.private, Candidates: []string{os.TempDir()}})
		if err != nil {
			return cli.Status(err), err
		}
		defer tree.Close()
		r.staged, r.copied, r.archive.Source = strategy.Staged{Dir: tree.Dir}, tree, source
		if err := d.letIn(tree); err != nil {
			return cli.ExitFailed, err
		}
	}
	if err := set.PrepareNamed(d.hookDir(s)); err != nil {
		return cli.ExitFailed, err
	}
	d.journal.Describe(func(row *history.Run) {
		row.Name, row.Version, row.Dest = d.log.Masked(s.Name), d.log.Masked(s.Version), s.Manifest.Dest
	})
	told := d.told(r, "").OfManifest()
	told.Tree, told.Programs = r.stagedPath(), r.stagedPath()
	list, err := set.Named(o.Name, told, file)
	if err != nil {
		return cli.ExitUsage, err
	}
	d.journal.Containers(slices.ContainsFunc(list, func(h hooks.Hook) bool { return h.Detached }))
	if err := d.compareNow(s); err != nil { // it may have been fetched long ago
		return cli.Status(err), fmt.Errorf("freshness: %w", err)
	}
	runner := d.hookRunner()
	runner.Stdout = o.Stdout
	code, err = porter.RunNamed(ctx, runner, list)
	if err = failure.AsInterrupted(ctx, err); errors.As(err, new(failure.Signal)) ||
		errors.Is(err, failure.ErrRefused) {
		code = cli.Status(err)
	}
	return code, err
}

// runInstallHooks lays a hook pod out below the root and prints the links by
// which its hooks are run.
func runInstallHooks(ctx context.Context, second <-chan struct{}, o cli.InstallHooksOptions) error {
	d, done, err := newDeployer(ctx, o.Settings, journal.Noted, second)
	defer done()
	if err != nil {
		return err
	}
	d.journal.BeginCommand(d.id, "hooks install")
	d.clearDied(ctx)
	return d.masked(d.installPod(ctx, o))
}

func (d *deployer) installPod(ctx context.Context, o cli.InstallHooksOptions) error {
	if err := d.policy.Commands(); err != nil { // the pod's are run at each deployment
		return err
	}
	if d.user != nil { // and not as the user
		return failure.Refused("host policy: run_as: the programs of a hook pod would run as who starts deployments, "+
			"not as %q", d.user.Name)
	}
	root, err := p2.Root(o.Root, d.policy.Hooks.Dirs)
	if err != nil {
		return err
	}
	rules := manifestRules()
	rules.Pod = true
	s, err := d.loadAllowed(ctx, o.URL, rules)
	if err != nil {
		return err
	}
	unused, err := s.CheckPod()
	if err != nil {
		return err
	}
	if len(unused) > 0 {
		d.log.Warn(fmt.Sprintf("manifest: hooks install does not use %s: hooks are told of what is deployed",
			strings.Join(unused, ", ")))
	}
	place, err := d.openHooksRoot(root)
	if err != nil {
		return err
	}
	defer place.Close()
	unlock, err := d.lock(ctx, root, s.Name)
	if err != nil {
		return err
	}
	defer func() { _ = unlock() }()
	if err := d.raiseSerial(ctx, s, time.Now()); err != nil {
		return fmt.Errorf("freshness: %w", err)
	}
	tree, _, err := d.fetchTree(ctx, s, d.besideHooks(place))
	if err != nil {
		return err
	}
	defer tree.Close()
	links, err := p2.Install(p2.Bundle{
		Root: place, Event: o.Event, Pod: s.Name, Version: hex.EncodeToString(s.Checksum.Digest),
		Work: tree.Work, Tree: tree.Name,
	})
	if err != nil {
		return err
	}
	exec := p2.ExecDir(root)
	for _, link := range links {
		fmt.Fprintln(o.Stdout, printable.Text(filepath.Join(exec, o.Event, link)))
	}
	if !slices.Contains(all.Dirs(d.policy.Hooks, p2.DefaultDir), exec) {
		d.log.Warn(fmt.Sprintf("these hooks are not run: %q is not among the host policy's hooks.dirs", exec))
	}
	return nil
}

// besideHooks are the places where a hook pod is unpacked. It is renamed from
// there, so that they are on the file system of the pods: the root itself if
// it can be. root plays the part of a dest that is there.
func (d *deployer) besideHooks(root *disk.Dir) staging.Places {
	return staging.Places{
		Maker: d.private, Dest: &disk.Dest{Parent: root, Name: ".", Dir: root, Given: root.Path()},
	}
}

// openHooksRoot opens the directory below which hook pods are laid out, if
// nobody else could change them there. It makes the directory, if it is not
// there, once it is sure that a pod could be unpacked beside it.
func (d *deployer) openHooksRoot(path string) (*disk.Dir, error) {
	dir, missing, err := disk.OpenNearestTrusted(path)
	if err == nil {
		if err = d.besideHooks(dir).Check("staging directory", strategy.Where{SameDevice: true}); err != nil {
			_ = dir.Close()
		}
	}
	for ; err == nil && len(missing) > 0; missing = missing[1:] {
		var next *disk.Dir
		if next, err = dir.Make(missing[0], 0o755); errors.Is(err, fs.ErrExist) { // since then
			next, err = dir.Sub(missing[0])
		}
		_ = dir.Close()
		dir = next
	}
	if err != nil {
		return nil, fmt.Errorf("hooks root: %w", err)
	}
	return dir, nil
}
