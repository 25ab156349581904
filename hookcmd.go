package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"stretcher/internal/cli"
	"stretcher/internal/disk"
	"stretcher/internal/event"
	"stretcher/internal/fetch/store"
	"stretcher/internal/hooks"
	"stretcher/internal/hooks/all"
	"stretcher/internal/hooks/p2"
	"stretcher/internal/hooks/porter"
	"stretcher/internal/journal"
	"stretcher/internal/journal/history"
	"stretcher/internal/manifest"
	"stretcher/internal/policy"
	"stretcher/internal/strategy"
	"stretcher/internal/strategy/staging"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/progress"
	"stretcher/internal/text/redact"
)

// runListHooks prints which hooks there are.
func runListHooks(ctx context.Context, o cli.ListHooksOptions) error {
	r, done, err := newHookRun(o.Settings, o.URL, "")
	if err != nil {
		return err
	}
	defer done()
	return r.clean(r.listHooks(ctx, o))
}

// runHooksByName runs hooks of the manifest and returns the exit status of
// the first that failed.
func runHooksByName(ctx context.Context, again <-chan struct{}, o cli.RunHooksOptions) (code int, err error) {
	r, done, err := newHookRun(o.Settings, o.URL, "hooks run")
	if err != nil {
		return cli.Status(err), err
	}
	defer done()
	r.again = again
	r.rec.ClearDied(r.leftHooks(ctx))
	code, err = r.runNamedHooks(ctx, o.Name, o.EnvFile)
	return code, r.clean(err)
}

// runInstallHooks lays a hook pod out.
func runInstallHooks(ctx context.Context, again <-chan struct{}, o cli.InstallHooksOptions) error {
	r, done, err := newHookRun(o.Settings, o.URL, "hooks install")
	if err != nil {
		return err
	}
	defer done()
	r.again = again
	r.rec.ClearDied(r.leftHooks(ctx))
	return r.clean(r.installPod(ctx, o))
}

// clean keeps secrets out of an error that no log says.
func (r *run) clean(err error) error {
	if err == nil {
		return nil
	}
	return failure.Hinted(cli.Hint(err), failure.Retold(r.log.Masked(failure.Text(err)), err))
}

// newHookRun is a run that deploys nothing and leaves no row in the history:
// status and replay speak of deployments.
//
// what is the command, for who cleans up after it when it dies; "" = it only
// looks, and makes nothing.
func newHookRun(s cli.Settings, url, what string) (*run, func(), error) {
	host, err := policy.Load(s.Config, s.ConfigGiven)
	if err != nil {
		return nil, nil, err
	}
	screen := progress.New(s.Stderr, s.Bar)
	log, closeLog := s.Open(screen)
	r := &run{
		id: newRunID(), event: &event.Event{Source: event.Argument, URL: url}, opts: optionsOf(s), policy: host, log: log, screen: screen,
		manifestURL: redact.URL(url), tmpdir: tmpdir(), stdout: s.Stdout, stderr: screen,
		store: store.NewSet(store.Options{UserAgent: userAgent()}), rec: journal.New(log),
	}
	r.environ, r.lookup = environOf()
	if s.StateError == nil && what != "" {
		if r.rec, err = journal.OpenNotes(s.StateDir, log); err != nil {
			log.Warn(failure.Text(err))
		}
		r.rec.BeginCommand(r.id, what)
	}
	r.rec.AuditTo(host.History.JSON)
	return r, func() {
		r.cleanUp()
		r.rec.EndCommand()
		r.close()
		closeLog()
	}, nil
}

// loadAllowed loads the manifest, if the host policy lets it.
func (r *run) loadAllowed(ctx context.Context, rules manifest.Rules) error {
	if err := r.loadManifest(ctx, rules); err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	return r.allowed()
}

// fetchTree fetches the archive, verifies it and unpacks it in one of parents.
func (r *run) fetchTree(ctx context.Context, parents ...string) error {
	err := r.fetchArchive(ctx)
	if err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	if r.staged, err = r.unpack(ctx, r.archive, parents); err != nil {
		return fmt.Errorf("extract: %w", err)
	}
	return nil
}

// maxEnvFile bounds an environment file, in bytes.
const maxEnvFile = 1 << 20

func readEnvFile(name string) (porter.Environment, error) {
	f, err := disk.OpenRegular(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxEnvFile+1))
	if err == nil && len(data) > maxEnvFile {
		err = fmt.Errorf("larger than %d bytes", maxEnvFile)
	}
	if err != nil {
		return nil, err
	}
	return porter.ParseEnvFile(data)
}

// unpack unpacks the archive in the first of parents that has room for it.
func (r *run) unpack(ctx context.Context, f *os.File, parents []string) (strategy.Staged, error) {
	t := r.target(nil, errNoDest)
	t.Place = runPlaces{r: r, candidates: parents}
	tree, err := staging.Unpack(ctx, &t, f, false)
	if err != nil {
		return strategy.Staged{}, err
	}
	return strategy.Staged{Dir: tree.Dir}, tree.Work.Close()
}

// errNoDest: what is unpacked is not deployed.
var errNoDest = errors.New("there is no dest")

// runNamedHooks runs the hooks that the manifest has under name, in the tree
// of its src, and returns the exit status of the first that failed.
func (r *run) runNamedHooks(ctx context.Context, name, envFile string) (code int, err error) {
	var file porter.Environment
	if envFile != "" {
		if file, err = readEnvFile(envFile); err != nil {
			return cli.ExitUsage, failure.Usage("--env-file: %w", err)
		}
	}
	if err := r.loadAllowed(ctx, manifestRules()); err != nil {
		return cli.Status(err), err
	}
	set, _ := all.New(r.hookOptions(true))
	if _, err := set.Named(name, hooks.Deployment{}, nil); err != nil {
		return cli.ExitUsage, failure.Usage("hooks run: %w", err)
	}
	if r.hasSrc() {
		if err := r.fetchTree(ctx, os.TempDir()); err != nil {
			return cli.Status(err), err
		}
	}
	if err := set.PrepareNamed(r.hookDir); err != nil {
		return cli.ExitFailed, err
	}
	r.rec.Describe(func(row *history.Run) { row.Dest = r.manifest.Dest })
	d := r.deployment("")
	d.Tree = r.stagedPath()
	list, err := set.Named(name, d, file)
	if err != nil {
		return cli.ExitUsage, err
	}
	r.rec.Containers(slices.ContainsFunc(list, func(h hooks.Hook) bool { return h.Detached }))
	runner := r.hookRunner()
	runner.Stdout = r.stdout
	code, err = porter.RunNamed(ctx, runner, list)
	if err = asInterrupted(ctx, err); errors.As(err, new(failure.Signal)) {
		code = cli.Status(err)
	}
	return code, err
}

// installPod lays a hook pod out below the root and prints the links by which
// its hooks are run.
func (r *run) installPod(ctx context.Context, o cli.InstallHooksOptions) error {
	root, err := r.hooksRoot(o.Root)
	if err != nil {
		return err
	}
	rules := manifestRules()
	rules.Pod = true
	if err := r.loadAllowed(ctx, rules); err != nil {
		return err
	}
	m := r.manifest
	switch {
	case !r.hasSrc():
		return failure.Malformed("manifest: src: a hook pod has one")
	case m.Name == "":
		return failure.Malformed("manifest: name: a hook pod has one")
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	unlock, err := r.rec.Lock(ctx, root, r.opts.LockWait)
	if err != nil {
		return err
	}
	defer func() { _ = unlock() }()
	r.rec.ClearDied(r.leftHooks(ctx)) // the one that was waited for may have been killed
	if err := r.fetchTree(ctx, root); err != nil {
		return err
	}
	links, err := p2.Install(p2.Bundle{Root: root, Event: o.Event, Pod: m.Name, Version: hex.EncodeToString(m.Checksum.Digest), Tree: r.stagedPath()})
	if err != nil {
		return err
	}
	exec := p2.ExecDir(root)
	for _, link := range links {
		fmt.Fprintln(r.stdout, filepath.Join(exec, o.Event, link))
	}
	if !slices.Contains(all.Dirs(r.policy.Hooks, p2.DefaultDir), exec) {
		r.log.Warn(fmt.Sprintf("these hooks are not run: %q is not among the host policy's hooks.dirs", exec))
	}
	return nil
}

// hooksRoot is the directory below which hook pods are laid out.
func (r *run) hooksRoot(flag string) (string, error) {
	dirs := r.policy.Hooks.Dirs
	switch {
	case flag != "":
		return filepath.Abs(flag)
	case len(dirs) > 0 && filepath.Base(dirs[0]) == filepath.Base(p2.ExecDir("/")):
		return filepath.Dir(filepath.Clean(dirs[0])), nil
	default:
		return p2.DefaultDir, nil
	}
}
