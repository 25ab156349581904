package porter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"stretcher/internal/disk"
	"stretcher/internal/hooks"
	"stretcher/internal/process"
	"stretcher/internal/text/failure"
)

// Config is what the owner of a host says about containers. The zero value
// takes the engine that is there, with its own defaults.
type Config struct {
	Engine     string   `yaml:"engine"`      // podman, docker or a path; "" = podman, or docker when its daemon answers
	EngineArgs []string `yaml:"engine_args"` // before the engine's command, as --runtime runc
	BuildArgs  []string `yaml:"build_args"`  // options of build
	RunArgs    []string `yaml:"run_args"`    // options of run, as --network none
}

// ErrNoEngine: there is nothing to run containers with.
var ErrNoEngine = errors.New("no container engine")

const (
	// answerTime bounds how long a docker daemon is waited for.
	answerTime = 10 * time.Second
	// removeTime bounds the removal of a container whose hook has ended.
	removeTime = 30 * time.Second
)

// Engine builds and runs containers. It looks for its program when the first
// container is needed. Its methods may be called concurrently.
type Engine struct {
	Temp string // directory for private files while a hook runs; "" = the system's

	cfg     Config
	environ []string // of the engine's processes
	grace   time.Duration

	mu   sync.Mutex
	path string // "" = not looked for yet
}

// NewEngine returns an engine whose processes have the environment environ.
// They get TERM when they are to end and KILL after grace; 0 stands for
// process.DefaultGrace.
func NewEngine(cfg Config, environ []string, grace time.Duration) *Engine {
	return &Engine{cfg: cfg, environ: slices.Clone(environ), grace: grace}
}

// candidates are the names of the programs that may be the engine, best first.
func (e *Engine) candidates() []string {
	if e.cfg.Engine != "" {
		return []string{e.cfg.Engine}
	}
	return []string{"podman", "docker"}
}

// find looks for a program that only its caller can have put there. Others are
// failure.ErrRefused.
func find(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	if _, err = disk.TrustedMode(path); err != nil {
		return "", fmt.Errorf("container engine: %w", err)
	}
	return path, nil
}

// Allowed tells whether a program that may be the engine is one that others may
// write: failure.ErrRefused. It starts none.
func (e *Engine) Allowed() error {
	for _, name := range e.candidates() {
		if _, err := find(name); err == nil || errors.Is(err, failure.ErrRefused) {
			return err
		}
	}
	return nil
}

// Find returns the path of the engine's program. Errors are ErrNoEngine,
// failure.ErrRefused where others may write it, or ctx's.
func (e *Engine) Find(ctx context.Context) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.path != "" {
		return e.path, nil
	}
	var reasons []string
	for _, name := range e.candidates() {
		path, err := find(name)
		if errors.Is(err, failure.ErrRefused) {
			return "", err
		}
		if err != nil {
			reasons = append(reasons, fmt.Sprintf("%q is not installed", name))
			continue
		}
		if !isPodman(path) && !e.answers(ctx, path) {
			reasons = append(reasons, fmt.Sprintf("the daemon of %q does not answer", name))
			continue
		}
		e.path = path
		return path, nil
	}
	if err := context.Cause(ctx); err != nil {
		return "", err
	}
	return "", fmt.Errorf("%w: %s", ErrNoEngine, strings.Join(reasons, ", "))
}

// isPodman reports whether the program has podman's options and no daemon.
func isPodman(path string) bool { return strings.HasPrefix(filepath.Base(path), "podman") }

// isLocal reports whether the program is a podman that works here, where what
// it leaves can be found.
func isLocal(path string) bool {
	return isPodman(path) && !strings.Contains(filepath.Base(path), "remote")
}

// answers reports whether the daemon behind a docker client does.
func (e *Engine) answers(ctx context.Context, path string) bool {
	args := slices.Concat(e.cfg.EngineArgs, []string{"version", "--format", "{{.Server.Version}}"})
	_, err := process.Run(ctx, process.Command{Path: path, Args: args, Env: e.environ, Timeout: answerTime,
		Grace: process.NoGrace})
	return err == nil
}

// quiet runs a command of the engine whose output nobody needs to see, and
// returns its stdout.
func (e *Engine) quiet(ctx context.Context, args ...string) (string, error) {
	path, err := e.Find(ctx)
	if err != nil {
		return "", err
	}
	var out, said bytes.Buffer
	_, err = process.Run(ctx, process.Command{
		Path: path, Args: slices.Concat(e.cfg.EngineArgs, args), Env: e.environ,
		Stdout: &out, Stderr: &said, Grace: e.grace,
	})
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", filepath.Base(path), args[0], err, strings.TrimSpace(said.String()))
	}
	return out.String(), nil
}

// loud runs a command of the engine with its output in the log. env is added
// to the engine's environment. The hook's own mark is not: what an engine
// leaves running, such as the name server of a network, serves containers of
// others too and must not be ended with the hook.
func (e *Engine) loud(ctx context.Context, s hooks.Streams, env []string, args ...string) (process.Result, error) {
	path, err := e.Find(ctx)
	if err != nil {
		return process.Result{Exit: -1}, err
	}
	s.Mark = slices.DeleteFunc(slices.Clone(s.Mark),
		func(kv string) bool { return strings.HasPrefix(kv, hooks.MarkName+"=") })
	return started(ctx, s, process.Command{
		Path: path, Args: slices.Concat(e.cfg.EngineArgs, args), Env: slices.Concat(e.environ, env),
		Stdout: s.Stdout, Stderr: s.Stderr, Grace: e.grace,
	})
}

// started runs a process of a hook: marked, and with its group known to the
// caller while it runs.
func started(ctx context.Context, s hooks.Streams, c process.Command) (process.Result, error) {
	c.Env = slices.Concat(c.Env, s.Mark)
	if s.Started != nil {
		c.Started = s.Started
		defer s.Started(0)
	}
	return process.Run(ctx, c)
}

// runLabel is the label that tells which run a container belongs to.
const runLabel = "stretcher.run"

// remove ends a container, whatever state it is in, and returns when the
// engine does not know it any more. A client that was killed while it made
// the container may have left one that appears a moment later.
func (e *Engine) remove(ctx context.Context, container string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTime)
	defer cancel()
	const looks = 3
	for gone := 0; gone < looks; {
		// KILL first: rm -f alone waits long for a container that ignores TERM.
		_, _ = e.quiet(ctx, "kill", container)
		_, err := e.quiet(ctx, "rm", "-f", container)
		if _, found := e.quiet(ctx, "container", "inspect", container); found != nil {
			gone++
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("remove container %q: %w", container, errors.Join(err, context.Cause(ctx)))
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

// RemoveRun ends the containers that the run with that id has left behind, and
// its builds: one whose own process died. It starts the engine only if there is one.
func (e *Engine) RemoveRun(ctx context.Context, run string) error {
	list, err := e.quiet(ctx, "ps", "--all", "--quiet", "--filter", "label="+runLabel+"="+run)
	if errors.Is(err, ErrNoEngine) {
		return nil
	}
	if err != nil {
		return err
	}
	errs := []error{e.endRunBuilds(ctx, run)}
	for _, container := range strings.Fields(list) {
		errs = append(errs, e.remove(ctx, container))
	}
	return errors.Join(errs...)
}
