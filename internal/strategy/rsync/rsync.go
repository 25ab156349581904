// Package rsync deploys by rsync(1), with the arguments that v1.x gave it.
// Stopped in the middle, it leaves dest a mixture of old and new files.
//
// rsync is told of the staged tree and of dest by their descriptors, which it
// inherits: nobody can put another directory in their place. The log says the
// names that these had when they were opened.
//
// Its words are those of package strategy.
package rsync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/process"
	"stretcher/internal/strategy"
	"stretcher/internal/strategy/mirror"
	"stretcher/internal/strategy/preview"
	"stretcher/internal/strategy/staging"
	"stretcher/internal/text/failure"
)

// Name is what manifests call the strategy.
const Name = "rsync"

// Definition is the strategy's line in the list of all.
func Definition() strategy.Definition {
	return strategy.Definition{
		Name: Name, Default: true,
		New: func(t strategy.Target) (strategy.Strategy, error) { return &rsync{t: t}, nil },
	}
}

// Installed tells whether there is an rsync to run.
func Installed() error {
	_, err := exec.LookPath("rsync")
	return err
}

type rsync struct {
	t    strategy.Target
	tree *staging.Tree // nil before Stage
}

// CheckLayout refuses to delete releases.
func (r *rsync) CheckLayout() error { return staging.Spares(&r.t) }

// Check looks for rsync and for dest.
func (r *rsync) Check() error {
	if err := Installed(); err != nil {
		return failure.Hinted("install rsync, or use another sync_strategy", fmt.Errorf("sync_strategy rsync: %w", err))
	}
	if r.t.NoDest != nil || r.t.Dest.Dir != nil {
		return r.t.NoDest
	}
	return staging.CanMake(r.t.Dest)
}

// Stage unpacks all of the archive, anywhere.
func (r *rsync) Stage(ctx context.Context, in archive.Input) (strategy.Staged, error) {
	tree, err := staging.Unpack(ctx, &r.t, in, false)
	if err != nil {
		return strategy.Staged{}, err
	}
	r.tree = tree
	return tree.Staged(), nil
}

// Sync runs rsync.
func (r *rsync) Sync(ctx context.Context, s *strategy.Staged) (err error) {
	if err := r.tree.Check(ctx); err != nil {
		return err
	}
	s.Excludes, err = staging.ReadExcludeFrom(s.Dir.Root(), r.t.ExcludeFrom)
	if err != nil {
		return err
	}
	care, err := r.careFor(ctx, s)
	if err != nil {
		return err
	}
	defer care.close()
	dest, err := staging.MakeDest(r.t.Dest)
	if err != nil {
		return err
	}
	if care.option != "" {
		r.t.Log.Info(care.said())
	}
	r.t.Log.Info("rsync " + strings.Join(r.said(s.Dir.Path(), care), " "))
	child, err := r.command(s.Dir, dest, s.Excludes, care)
	if err != nil {
		return err
	}
	err = r.t.Child(ctx, child)
	if start := new(process.StartError); errors.As(err, &start) {
		return fmt.Errorf("rsync to %q: %w", r.t.Dest.Given, err)
	}
	if err != nil && len(child.ExtraFiles) > 0 {
		r.t.Log.Info(fmt.Sprintf("in rsync's messages %q is %q", fileName(inherited+1), r.t.Dest.Given))
	}
	if err != nil {
		return fmt.Errorf("rsync to %q: %w; it may be a mixture of old and new files now", r.t.Dest.Given, err)
	}
	return nil
}

// said are the arguments as users know them: v1.x's, in v1.x's order.
func (r *rsync) said(tree string, c care) []string {
	return r.arguments(filepath.Join(tree, r.t.ExcludeFrom), tree, r.t.Dest.Given, c.arguments(c.path()))
}

// arguments are those that care takes, with the name of the temporary
// directory, which must not be deleted where it lies in dest.
func (c care) arguments(temp string) (args []string) {
	if c.option != "" {
		args = append(args, c.option)
	}
	if c.temp != nil {
		args = append(args, "--temp-dir", temp, "--exclude", "/"+filepath.Base(c.temp.Path()))
	}
	return args
}

// arguments are rsync's, with the names it is to use for exclude_from, the
// staged tree and dest.
func (r *rsync) arguments(excludeFrom, tree, dest string, more []string) []string {
	args := []string{"-a", "--delete"}
	if r.t.RsyncVerbose != "" {
		args = append(args, r.t.RsyncVerbose)
	}
	args = append(args, more...)
	if r.t.ExcludeFrom != "" {
		args = append(args, "--exclude-from", excludeFrom)
	}
	for _, pattern := range r.t.Excludes {
		args = append(args, "--exclude", pattern)
	}
	return append(args, tree+"/", dest+"/")
}

const (
	// inherited is the number that a child's first extra file has.
	inherited = 3
	// ownFiles is the directory of a process's descriptors.
	ownFiles = "/proc/self/fd"
	// fromStdin makes rsync read a list from its standard input.
	fromStdin = "-"
)

// command is rsync with descriptors for names. rsync refuses the exclude list
// by a descriptor, since it has no name, and gets it on its standard input.
func (r *rsync) command(tree, dest *disk.Dir, list []byte, care care) (process.Command, error) {
	c := process.Command{Path: "rsync"}
	if r.t.ExcludeFrom != "" {
		c.Stdin = bytes.NewReader(list)
	}
	if _, err := os.Stat(ownFiles); err == nil {
		c.ExtraFiles = []*os.File{tree.File(), dest.File()}
		if care.temp != nil {
			c.ExtraFiles = append(c.ExtraFiles, care.temp.File())
		}
		c.Args = r.arguments(fromStdin, fileName(inherited), fileName(inherited+1), care.arguments(fileName(inherited+2)))
		return c, nil
	}
	if !tree.Private() || !dest.Private() {
		return c, failure.Hinted("mount /proc, or use another sync_strategy", errNoProc)
	}
	c.Args = r.arguments(fromStdin, tree.Path(), dest.Path(), care.arguments(care.path()))
	return c, nil
}

var errNoProc = errors.New("there is no " + ownFiles + ", and others may rename what rsync would be given")

func fileName(fd int) string { return filepath.Join(ownFiles, strconv.Itoa(fd)) }

// Diff compares as rsync does, by size and time, or by what it is told.
func (r *rsync) Diff(ctx context.Context, in archive.Input) (strategy.Changes, error) {
	quick := func(entries []archive.Entry, plan *mirror.Plan) (note string) {
		if r.t.Dest.Dir == nil {
			return ""
		}
		return r.judge(ctx, entries, plan).said()
	}
	return preview.Diff(ctx, &r.t, in, preview.Options{Excludes: true, Quick: quick, Where: &strategy.Where{}})
}

// Live is dest.
func (r *rsync) Live() string { return r.t.Dest.Given }

// OpenLive opens dest.
func (r *rsync) OpenLive() (*disk.Dir, error) { return staging.OpenDest(&r.t) }

// Skip skips what is excluded.
func (r *rsync) Skip(list []byte) (func(string, bool) bool, error) { return staging.Skip(&r.t, list) }

// Close closes the directory that the tree was staged in.
func (r *rsync) Close() error { return r.tree.CloseWork() }

// Keeps is the archive.
func (*rsync) Keeps() strategy.Keeps { return strategy.Archive }
