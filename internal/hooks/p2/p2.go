// Package p2 turns directories of executables into hooks, as p2's preparer
// runs them.
//
// Its words: an event is p2's name of a point; a hook directory holds
// executables that run at every point which has an event, and may hold a
// directory for each event whose executables run at that one only; a pod is
// a bundle of hooks that Install lays out; a launchable is a part of a pod
// with launch scripts of its own.
//
// It imports the engine, and disk and disk/confined for open directories, and knows
// no other dialect. The files that hooks are told of go into a directory of the caller's.
package p2

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"stretcher/internal/disk"
	"stretcher/internal/hooks"
	"stretcher/internal/text/failure"
)

// DefaultDir is where p2 looks for hooks.
const DefaultDir = "/usr/local/p2hooks.d"

// Times after which a hook that still runs is told to end and then made to,
// from its start. p2's documentation has promised them; its code waits 120 s
// and leaks the process.
const (
	DefaultTerm = 30 * time.Second
	DefaultKill = 60 * time.Second
)

// DefaultPath is the PATH of hooks. p2 sets none, so that scripts have to
// guess.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Options say which hooks there are and what they are told.
type Options struct {
	Dirs     []string      // hook directories, in order; one that doesn't exist has no hooks
	Required []string      // hooks whose failure stops the deployment: NAME or EVENT/NAME
	Term     time.Duration // TERM, from the start; 0 = DefaultTerm
	Kill     time.Duration // KILL, from the start; 0 = DefaultKill
	Path     string        // PATH; "" = DefaultPath
	Env      []string      // NAME=value, before the HOOK variables
	Pod      Pod
	Files    Files
}

// Pod is what hooks are told of the deployment, besides files.
type Pod struct {
	Node      string // name of the host
	ID        string // name of the deployment
	Home      string // its destination
	UniqueKey string // of the run
	Root      string // parent of Home
}

// Hooks returns the hooks of a point in the order in which they run: of each
// directory those of the event, then those of every event, each by name. A
// point without an event has none. A directory that can't be read is an error
// and does not hide the hooks of the others. One that others may write is
// failure.ErrRefused; such a hook has that as its problem.
func Hooks(o Options, p hooks.Point) ([]hooks.Hook, error) {
	names, ok := hooks.Lookup(p)
	if !ok || names.P2 == "" {
		return nil, nil
	}
	var (
		all  []hooks.Hook
		errs []error
	)
	for _, dir := range o.Dirs {
		for _, d := range []string{filepath.Join(dir, names.P2), dir} {
			found, err := o.inDir(d, names)
			all, errs = append(all, found...), append(errs, err)
		}
	}
	return all, errors.Join(errs...)
}

// inDir lists the hooks in dir itself.
func (o Options) inDir(dir string, names hooks.Names) (found []hooks.Hook, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("hook directory %q: %w", dir, err)
	}
	open, err := disk.OpenTrustedDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("hook directory: %w", err)
	}
	defer open.Close()
	entries, err := entriesOf(open) // by name
	if err != nil {
		return nil, fmt.Errorf("hook directory: %w", err)
	}
	for _, e := range entries {
		mode, err := look(filepath.Join(dir, e.Name()))
		if mode.IsDir() {
			continue // before anything else: directories are executable too
		}
		found = append(found, o.hook(dir, e.Name(), names, problem(mode, err)))
	}
	return found, nil
}

// Exposed tells whether others may write a directory, or may have taken it
// away.
func Exposed(dir string) bool {
	open, err := disk.OpenTrustedDir(dir)
	if err == nil {
		_ = open.Close()
	}
	return errors.Is(err, failure.ErrRefused)
}

// look judges a hook. That of a pod is a symlink: while the pod is installed
// again, a look may be on its way in what is just removed, and the next is not.
func look(path string) (fs.FileMode, error) {
	mode, err := disk.TrustedMode(path)
	if err != nil && !errors.Is(err, failure.ErrRefused) {
		return disk.TrustedMode(path)
	}
	return mode, err
}

// problem tells why a file is not run.
func problem(mode fs.FileMode, err error) error {
	switch {
	case errors.Is(err, failure.ErrRefused):
		return err
	case err != nil:
		return errors.New("is a symlink to nothing")
	case !mode.IsRegular():
		return errors.New("is not a regular file")
	case mode&0o111 == 0:
		return errors.New("is not executable")
	}
	return nil
}

// untrusted says which directory or hook others may write; nil = none. What
// protects a deployment must not be left out because somebody else has touched
// it.
func untrusted(o Options) error {
	for _, n := range hooks.Points() {
		found, err := Hooks(o, n.Point)
		for _, err := range hooks.Split(err) {
			if errors.Is(err, failure.ErrRefused) {
				return err
			}
		}
		for _, h := range found {
			if errors.Is(h.Problem, failure.ErrRefused) {
				return fmt.Errorf("hook %q: %w", h.Name, h.Problem)
			}
		}
	}
	return nil
}

func (o Options) hook(dir, name string, names hooks.Names, problem error) hooks.Hook {
	term, kill := o.Times()
	h := hooks.Hook{
		Dialect: hooks.P2, Name: name, Source: filepath.Join(dir, name), Point: names.Point, Stage: names.P2,
		Process: hooks.Process{Path: filepath.Join(dir, name), Env: o.environ(dir, names.P2)},
		Timeout: term, Grace: kill - term,
		Required: slices.Contains(o.Required, name) || slices.Contains(o.Required, names.P2+"/"+name),
		Problem:  problem,
	}
	if names.Point == hooks.AuthFail {
		h.Condition = hooks.Always // the point is a failure
	}
	if h.Grace <= 0 {
		h.Grace = hooks.NoGrace
	}
	return h
}

// Times returns when hooks get TERM and KILL, from their start.
func (o Options) Times() (term, kill time.Duration) {
	term, kill = o.Term, o.Kill
	if term <= 0 {
		term = DefaultTerm
	}
	if kill <= 0 {
		kill = max(DefaultKill, term)
	}
	return term, kill
}

// Missing returns those of Required that are in no directory at any event: a
// name that was mistyped protects nothing.
func Missing(o Options) (missing []string) {
	missing = slices.Clone(o.Required)
	for _, n := range hooks.Points() {
		found, _ := Hooks(o, n.Point) // what can't be read is reported when it is to be run
		for _, h := range found {
			missing = slices.DeleteFunc(missing, func(s string) bool { return s == h.Name || s == h.Stage+"/"+h.Name })
		}
	}
	return missing
}
