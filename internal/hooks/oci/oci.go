// Package oci turns JSON definitions of container hooks into hooks, as podman
// and CRI-O read them (oci-hooks(5)).
//
// Its words: a definition is one JSON file; its name is the file's; a stage
// is the runtime's name of a point, or, as an extension stage, the point's
// own; when is the set of conditions on which it fires; a definition in a
// later directory masks the one of the same name in an earlier one.
//
// It imports the engine, and disk to open files, and knows no other dialect.
package oci

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stretcher/internal/disk"
	"stretcher/internal/hooks"
	"stretcher/internal/text/failure"
)

// maxDefinition bounds a definition, in bytes.
const maxDefinition = 1 << 20

// maxTimeout is what fits into a time.Duration, in seconds.
const maxTimeout = int64(math.MaxInt64) / int64(time.Second)

const suffix = ".json"

// Definition is a hook definition of either schema.
type Definition struct {
	Name   string     // of the file
	Source string     // the file
	Hook   specs.Hook // path, args, env, timeout in seconds
	When   When
	Stages []string
}

// hookName is the file's name without its suffix, unless it has nothing else.
func (d Definition) hookName() string { return cmp.Or(strings.TrimSuffix(d.Name, suffix), d.Name) }

// Load reads the definitions of dirs. A later directory masks the same file
// name in an earlier one, with a bad file or a symlink to nothing too: what it
// was to replace must not run instead. The result is in the order in which hooks run: by
// lower-cased file name, then by directory, then by file name. (The reference
// implementation leaves the order of names that differ only in case to
// chance.)
//
// Files without the suffix .json and directories that do not exist are
// ignored. Each bad file is an error of its own and does not hide the others:
// the definitions returned are good, error or not. What others may write is
// failure.ErrRefused: a directory, a definition or the program that it names.
func Load(dirs []string) ([]Definition, error) {
	sources := map[string]int{} // file name to the directory that has the last say
	var errs []error
	for i, dir := range dirs {
		entries, err := entriesOf(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("hook definitions: %w", err))
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), suffix) {
				sources[e.Name()] = i
			}
		}
	}
	var defs []Definition
	for _, name := range inOrder(sources) {
		d, err := readFile(filepath.Join(dirs[sources[name]], name))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		defs = append(defs, *d)
	}
	return defs, errors.Join(errs...)
}

// Programs are the paths of what the definitions in directories run, also of
// those that another definition masks, or whose program is not there yet.
func Programs(dirs []string) (paths []string) {
	for _, dir := range dirs {
		entries, _ := entriesOf(dir) // what can't be read runs nothing
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), suffix) {
				continue
			}
			data, err := content(filepath.Join(dir, e.Name()))
			if err != nil {
				continue
			}
			if d, err := Read(data); err == nil {
				paths = append(paths, d.Hook.Path)
			}
		}
	}
	return paths
}

// entriesOf lists a directory that only its caller can have filled.
func entriesOf(dir string) ([]fs.DirEntry, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	open, err := disk.OpenTrustedDir(abs)
	if err != nil {
		return nil, err
	}
	defer open.Close()
	return fs.ReadDir(open.Root().FS(), ".")
}

// inOrder sorts file names as Load says.
func inOrder(sources map[string]int) []string {
	return slices.SortedFunc(maps.Keys(sources), func(a, b string) int {
		return cmp.Or(
			cmp.Compare(strings.ToLower(a), strings.ToLower(b)),
			cmp.Compare(sources[a], sources[b]),
			cmp.Compare(a, b),
		)
	})
}

func readFile(path string) (*Definition, error) {
	data, err := content(path)
	if err != nil {
		return nil, fmt.Errorf("hook definition: %w", err)
	}
	d, err := Read(data)
	if err == nil {
		err = exists(d.Hook.Path)
	}
	if err != nil {
		return nil, fmt.Errorf("hook definition %q: %w", path, err)
	}
	d.Name, d.Source = filepath.Base(path), path
	return d, nil
}

// content reads a definition. It opens nothing but regular files: a FIFO would
// be waited on.
func content(path string) ([]byte, error) {
	f, err := disk.OpenTrusted(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxDefinition+1))
	if err == nil && len(data) > maxDefinition {
		err = fmt.Errorf("%q is larger than %d bytes", path, maxDefinition)
	}
	return data, err
}

// exists checks that there is a program. podman drops a definition without
// one in silence; here it is an error, which wraps fs.ErrNotExist: a hook that
// is meant to run and never does is worth a word.
func exists(path string) error {
	mode, err := disk.TrustedMode(path)
	switch {
	case mode.IsDir():
		return fmt.Errorf("hook.path: %q is a directory", path)
	case err != nil:
		return fmt.Errorf("hook.path: %w", err)
	}
	return nil
}

// Deployment is what conditions and hooks are told.
type Deployment struct {
	ID          string // of the run
	Bundle      string // the staging directory, or the destination
	Pid         int    // of this program
	Annotations map[string]string
	Commands    []string // first words of the manifest's command lines
	BindMounts  bool     // a container hook mounts the tree
}

// Hooks returns the hooks of a point that fire for the deployment, in the
// order in which they run: stage by stage, then in the order of defs.
func Hooks(defs []Definition, p hooks.Point, d Deployment) ([]hooks.Hook, error) {
	var found []hooks.Hook
	for _, stage := range Stages(p) {
		state, err := state(stage, d)
		if err != nil {
			return nil, err
		}
		for _, def := range defs {
			if fires, _ := def.When.Match(d); !fires {
				continue
			}
			for _, s := range def.Stages { // a stage named twice runs twice
				if s == stage {
					found = append(found, def.at(p, stage, state))
				}
			}
		}
	}
	return found, nil
}

// Stages returns the stages of a point in the order in which they run: the
// runtime's, then the point's own name.
func Stages(p hooks.Point) []string {
	names, ok := hooks.Lookup(p)
	if !ok {
		return nil
	}
	return append(slices.Clone(names.OCI), string(p))
}

// at is the definition's hook at a stage. Nothing is inherited by its
// environment, as the runtime specification has it.
func (d Definition) at(p hooks.Point, stage string, state []byte) hooks.Hook {
	h := hooks.Hook{
		Dialect: hooks.OCI, Name: d.hookName(), Source: d.Source, Point: p, Stage: stage,
		Process: hooks.Process{Path: d.Hook.Path, Env: append([]string{}, d.Hook.Env...), Stdin: state},
		Grace:   hooks.NoGrace, Required: Stops(p), Condition: condition(p),
	}
	if len(d.Hook.Args) > 0 {
		h.Argv0, h.Args = d.Hook.Args[0], d.Hook.Args[1:]
	}
	if err := exists(d.Hook.Path); errors.Is(err, failure.ErrRefused) { // by now
		h.Problem = err
	}
	if d.Hook.Timeout != nil {
		h.Timeout = time.Duration(min(int64(*d.Hook.Timeout), maxTimeout)) * time.Second
	}
	return h
}

// Stops tells whether a failing hook stops the deployment: as in the runtime
// specification's lifecycle, up to startContainer it does, from poststart on
// it is a warning. A refused archive has stopped it already.
func Stops(p hooks.Point) bool {
	switch p {
	case hooks.AuthFail, hooks.PostLaunch, hooks.PrePrune, hooks.PostPrune, hooks.Finish:
		return false
	}
	return true
}

// condition says which hooks run after a failure: poststop does, as the
// container has stopped either way.
func condition(p hooks.Point) hooks.Condition {
	if p == hooks.Finish || p == hooks.AuthFail {
		return hooks.Always
	}
	return hooks.Pass
}
