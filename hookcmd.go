package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/term"

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
	"stretcher/internal/text/failure"
	"stretcher/internal/text/progress"
	"stretcher/internal/text/redact"
)

// hookFlags are those of the hooks subcommand.
type hookFlags struct {
	verb    string // list, run or install
	watch   bool
	envFile string
	event   string
	root    string
}

func (h *hookFlags) declare(f *pflag.FlagSet) {
	f.BoolVar(&h.watch, "watch", false, "hooks list: print the list again when it has changed")
	f.StringVar(&h.envFile, "env-file", "", "hooks run: file of NAME=value lines for the hooks' environment")
	f.StringVar(&h.event, "event", "", "hooks install: run the pod's hooks at this event ("+strings.Join(p2.Events(), ", ")+")")
	f.StringVar(&h.root, "hooks-root", "", "hooks install: directory of pods/ and exec/ (default: where the host policy's first hook directory is DIR/exec, DIR; else "+p2.DefaultDir+")")
}

// verbs maps each verb to the flags that belong to it.
func (h *hookFlags) verbs() map[string][]string {
	return map[string][]string{"list": {"json", "watch"}, "run": {"env-file"}, "install": {"event", "hooks-root"}}
}

// check takes the verb from the arguments and refuses flags where they mean
// nothing.
func (h *hookFlags) check(s *settings) error {
	if s.subcommand == "hooks" {
		if len(s.args) == 0 || h.verbs()[s.args[0]] == nil {
			return failure.Usage("hooks expects list, run or install")
		}
		h.verb, s.args = s.args[0], s.args[1:]
	}
	for verb, names := range h.verbs() {
		for _, name := range names {
			if s.flags.Changed(name) && verb != h.verb && (name != "json" || s.subcommand == "hooks") {
				return failure.Usage("--%s belongs to stretcher hooks %s", name, verb)
			}
		}
	}
	switch n := len(s.args); {
	case h.verb == "list" && n > 1:
		return failure.Usage("hooks list expects at most one URL, got %d arguments", n)
	case h.verb == "run" && n != 2:
		return failure.Usage("hooks run expects a NAME and a URL, got %d arguments", n)
	case h.verb == "install" && n != 1:
		return failure.Usage("hooks install expects one URL, got %d arguments", n)
	case h.verb == "install" && !slices.Contains(p2.Events(), h.event):
		return failure.Usage("invalid --event %q: one of %s expected", h.event, strings.Join(p2.Events(), ", "))
	}
	return nil
}

// runHookCommand is the subcommand hooks. code is what the program exits with.
func runHookCommand(ctx context.Context, again <-chan struct{}, s *settings) (code int, err error) {
	url := ""
	if len(s.args) > 0 {
		if url, err = fileURL(s.args[len(s.args)-1]); err != nil {
			return exitFailed, err
		}
	}
	r, done, err := newHookRun(s, url)
	if err != nil {
		return exitCode(err), err
	}
	defer done()
	r.again = again
	r.rec.ClearDied(r.leftHooks(ctx))
	switch s.hooks.verb {
	case "list":
		err = r.listHooks(ctx, s)
	case "install":
		err = r.installPod(ctx, s.hooks)
	case "run":
		if code, err = r.runNamedHooks(ctx, s.args[0], s.hooks.envFile); code != exitGood {
			return code, r.clean(err)
		}
	}
	return exitCode(err), r.clean(err)
}

// clean keeps secrets out of an error that no log says.
func (r *run) clean(err error) error {
	if err == nil {
		return nil
	}
	return failure.Hinted(hintOf(err), failure.Retold(r.log.Masked(failure.Text(err)), err))
}

// newHookRun is a run that deploys nothing and leaves no row in the history:
// status and replay speak of deployments.
func newHookRun(s *settings, url string) (*run, func(), error) {
	host, err := policy.Load(s.config, s.flags.Changed("config"))
	if err != nil {
		return nil, nil, err
	}
	screen := progress.New(os.Stderr, s.progress == "auto" && term.IsTerminal(int(os.Stderr.Fd())))
	log, closeLog, err := openLog(s, screen)
	if err != nil {
		return nil, nil, err
	}
	r := &run{
		id: newRunID(), event: &event.Event{Source: event.Argument, URL: url}, opts: s.Options, policy: host, log: log, screen: screen,
		manifestURL: redact.URL(url), tmpdir: tmpdir(), stdout: os.Stdout, stderr: screen,
		store: store.NewSet(store.Options{UserAgent: userAgent()}), rec: journal.New(log),
	}
	r.environ, r.lookup = environOf()
	if path, err := s.statePath(); err == nil && s.hooks.verb != "list" { // who looks makes nothing
		if r.rec, err = journal.OpenNotes(path, log); err != nil {
			log.Warn(failure.Text(err))
		}
		r.rec.BeginCommand(r.id, "hooks "+s.hooks.verb)
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
	archive, err := r.fetchArchive(ctx)
	if err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	if r.staging, err = r.unpack(ctx, archive, parents); err != nil {
		return fmt.Errorf("extract: %w", err)
	}
	return nil
}

// runNamedHooks runs the hooks that the manifest has under name, in the tree
// of its src, and returns the exit status of the first that failed.
func (r *run) runNamedHooks(ctx context.Context, name, envFile string) (code int, err error) {
	var file porter.Environment
	if envFile != "" {
		data, err := os.ReadFile(envFile)
		if err == nil {
			file, err = porter.ParseEnvFile(data)
		}
		if err != nil {
			return exitUsage, failure.Usage("--env-file: %w", err)
		}
	}
	if err := r.loadAllowed(ctx, manifestRules()); err != nil {
		return exitCode(err), err
	}
	set, _ := all.New(r.hookOptions(true))
	if _, err := set.Named(name, hooks.Deployment{}, nil); err != nil {
		return exitUsage, failure.Usage("hooks run: %w", err)
	}
	if r.hasSrc() {
		if err := r.fetchTree(ctx, os.TempDir()); err != nil {
			return exitCode(err), err
		}
	}
	if err := set.PrepareNamed(r.hookDir); err != nil {
		return exitFailed, err
	}
	r.rec.Describe(func(row *history.Run) { row.Dest = r.manifest.Dest })
	d := r.deployment("")
	d.Tree = r.staging
	list, err := set.Named(name, d, file)
	if err != nil {
		return exitUsage, err
	}
	r.rec.Containers(slices.ContainsFunc(list, func(h hooks.Hook) bool { return h.Detached }))
	runner := r.hookRunner()
	runner.Stdout = os.Stdout
	code, err = porter.RunNamed(ctx, runner, list)
	if err = asInterrupted(ctx, err); errors.As(err, new(failure.Signal)) {
		code = exitCode(err)
	}
	return code, err
}

// installPod lays a hook pod out below the root and prints the links by which
// its hooks are run.
func (r *run) installPod(ctx context.Context, h hookFlags) error {
	root, err := r.hooksRoot(h.root)
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
	links, err := p2.Install(p2.Bundle{Root: root, Event: h.event, Pod: m.Name, Version: hex.EncodeToString(m.Checksum.Digest), Tree: r.staging})
	if err != nil {
		return err
	}
	exec := p2.ExecDir(root)
	for _, link := range links {
		fmt.Println(filepath.Join(exec, h.event, link))
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
