package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"time"

	"stretcher/internal/progress"
	"stretcher/internal/redact"
	"stretcher/internal/runlog"
	"stretcher/internal/store"
)

// Options are what flags say about a deployment.
type Options struct {
	MaxBandwidth int64         // bytes per second for archives; 0 = no limit
	Timeout      time.Duration // for each fetch; 0 = none
	Retry        int           // attempts after one that failed
	RetryWait    time.Duration // before the first of them
	RandomDelay  time.Duration // upper bound of the delay at start
	RsyncVerbose string        // rsync's verbosity option
}

// run is one execution: what it works with and how far it has come.
type run struct {
	id      string // UUIDv7
	opts    Options
	log     *runlog.Log
	screen  *progress.Screen
	store   *store.Set
	environ []string
	lookup  environment
	tmpdir  string // TMPDIR, or ""
	stdout  io.Writer
	stderr  io.Writer
	again   <-chan struct{} // closed by the second signal

	manifest    *Manifest
	manifestURL string // redacted
	src         string // redacted; the mirror in use
	strategy    syncStrategy
	staging     string
	temp        []string // directories to remove at the end
	step        string   // the step being taken
	failed      error    // why the deployment failed
	done        bool     // it succeeded
}

// deploy is the whole process, from the event to its result.
func (r *run) deploy(ctx context.Context, e *Event) (err error) {
	defer func() {
		if p := recover(); p != nil { // or the run would end as a good one
			err = fmt.Errorf("%s: internal error: %v at %s", r.step, p, debug.Stack())
		}
		err = r.finish(ctx, err)
	}()
	r.begin(e)
	if err := r.delay(ctx); err != nil {
		return err
	}
	if err := r.take(ctx, "manifest", func(ctx context.Context) error { return r.readManifest(ctx, e.URL) }); err != nil {
		return err
	}
	if len(r.manifest.Src) == 0 {
		return r.commandsOnly(ctx)
	}
	var archive string
	if err := r.take(ctx, "fetch", func(ctx context.Context) (err error) {
		archive, err = r.fetchArchive(ctx)
		return err
	}); err != nil {
		return err
	}
	if err := r.commandStep(ctx, "pre", r.manifest.Commands.Pre); err != nil {
		return err
	}
	if err := r.take(ctx, "extract", func(ctx context.Context) (err error) {
		if err := r.strategy.check(r); err != nil {
			return err
		}
		r.staging, err = r.extract(ctx, archive)
		return err
	}); err != nil {
		return err
	}
	if err := r.take(ctx, "sync", func(ctx context.Context) error {
		if err := checkExcludeFrom(r.staging, r.manifest.ExcludeFrom); err != nil {
			return err
		}
		return r.strategy.sync(ctx, r, r.staging)
	}); err != nil {
		return err
	}
	if err := r.commandStep(ctx, "post", r.manifest.Commands.Post); err != nil {
		return err
	}
	return r.commandStep(ctx, "verify", r.manifest.Commands.Verify)
}

// commandsOnly is the process of a manifest without src.
func (r *run) commandsOnly(ctx context.Context) error {
	c := &r.manifest.Commands
	for _, p := range []commandPoint{{"pre", c.Pre}, {"post", c.Post}, {"verify", c.Verify}} {
		if err := r.commandStep(ctx, p.name, p.lines); err != nil {
			return err
		}
	}
	return nil
}

// take takes one step. Nothing is begun once ctx has ended. The error names
// the step.
func (r *run) take(ctx context.Context, step string, do func(context.Context) error) error {
	r.step = step
	err := context.Cause(ctx)
	if err == nil {
		err = do(ctx)
	}
	if err == nil {
		return nil
	}
	if s, ok := interrupted(ctx); ok && !errors.As(err, new(signalError)) {
		err = fmt.Errorf("%w (%v)", s, err) // what the step made of it
	}
	return fmt.Errorf("%s: %w", step, err)
}

func (r *run) commandStep(ctx context.Context, point string, lines []CommandLine) error {
	if len(lines) == 0 {
		return nil
	}
	return r.take(ctx, point, func(ctx context.Context) error { return r.runCommands(ctx, point, lines) })
}

// begin says what is going to happen.
func (r *run) begin(e *Event) {
	for _, old := range e.Skipped {
		r.log.Info(fmt.Sprintf("skipped %s, which is older: %q", old, redact.URL(old.URL)))
	}
	r.manifestURL = redact.URL(e.URL)
	r.log.Info(fmt.Sprintf("stretcher %s: run %s: manifest %q from %s", version(), r.id, r.manifestURL, e))
}

// delay sleeps a random time below --random-delay, so that the hosts of a
// fleet do not all ask at once.
func (r *run) delay(ctx context.Context) error {
	if r.opts.RandomDelay <= 0 {
		return nil
	}
	return r.take(ctx, "delay", func(ctx context.Context) error {
		d := rand.N(r.opts.RandomDelay)
		r.log.Info(fmt.Sprintf("waiting %s of at most %s", d.Round(time.Millisecond), r.opts.RandomDelay))
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
}

// readManifest fetches, expands, parses and checks the manifest.
func (r *run) readManifest(ctx context.Context, url string) error {
	data, err := r.fetchManifest(ctx, url)
	if err != nil {
		return err
	}
	m, err := r.parseManifest(url, data)
	if err != nil {
		return err
	}
	r.manifest, r.strategy = m, newStrategy(m)
	return nil
}

// parseManifest makes a checked manifest of the bytes at url and keeps the
// environment's values that are in it out of the log.
func (r *run) parseManifest(url string, data []byte) (*Manifest, error) {
	data, err := expandTemplates(data, r.lookup, r.log.Mask)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", redact.URL(url), err)
	}
	m, warnings, err := ParseManifest(data, store.Check)
	for _, w := range warnings {
		text := w.Error()
		if w.Hint != "" {
			text += ", " + w.Hint
		}
		r.log.Warn(fmt.Sprintf("manifest %q: %s", redact.URL(url), text))
	}
	if err != nil {
		return nil, fmt.Errorf("%q: %w", redact.URL(url), err)
	}
	for name, value := range m.Env {
		if value != nil {
			r.log.Mask(name, *value)
		} else if v, ok := r.lookup(name); ok {
			r.log.Mask(name, v)
		}
	}
	return m, nil
}

// finish ends every run, whatever happened: it says how it went, runs the
// success or failure commands and leaves nothing behind.
func (r *run) finish(ctx context.Context, err error) error {
	defer r.cleanUp()
	if err != nil {
		r.fail(ctx, err)
		if s, ok := interrupted(ctx); ok && !errors.As(err, new(signalError)) {
			return fmt.Errorf("failure: %w (%w)", s, err)
		}
		return err
	}
	r.done = true
	r.log.Info(r.summary())
	if r.manifest != nil {
		r.notify(ctx, "success", r.manifest.Commands.Success)
	}
	if s, ok := interrupted(ctx); ok {
		return fmt.Errorf("success: %w", s) // deployed all the same
	}
	return nil
}

func (r *run) fail(ctx context.Context, err error) {
	r.failed = err
	r.log.Error(err.Error())
	if hint := hintOf(err); hint != "" {
		r.log.Info("hint: " + hint)
	}
	if r.manifest == nil {
		return
	}
	ctx, cancel := outlive(ctx, r.again)
	defer cancel()
	r.notify(ctx, "failure", r.manifest.Commands.Failure)
}

// summary is the line of a run that went well.
func (r *run) summary() string {
	m := r.manifest
	if len(m.Src) == 0 {
		return fmt.Sprintf("commands of %q done", m.Name)
	}
	what := fmt.Sprintf("%q", m.Name)
	if m.Version != "" {
		what += fmt.Sprintf(" version %q", m.Version)
	}
	return fmt.Sprintf("deployed %s to %q", what, m.Dest)
}

// started notes a child's process group, so that the next run can tell what a
// run that died has left running.
func (r *run) started(int) {}

// environOf returns the process's environment and a look-up into it.
func environOf() ([]string, environment) { return os.Environ(), os.LookupEnv }
