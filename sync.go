package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"stretcher/internal/disk"
	"stretcher/internal/process"
)

// syncStrategy is a way by which a staged tree becomes dest.
//
// check runs before anything is staged and says early what would stop sync.
// stagingParents are the directories in which the tree may be staged, best
// first. sync makes dest equal to staging; it may consume staging. It stops
// when ctx ends, and an error from it says what state dest is in where that
// is not "as before".
type syncStrategy interface {
	check(r *run) error
	stagingParents(r *run) []string
	sync(ctx context.Context, r *run, staging string) error
}

// newStrategy returns the strategy of a checked manifest.
func newStrategy(m *Manifest) syncStrategy {
	if m.SyncStrategy == strategyMv {
		return mvStrategy{}
	}
	return rsyncStrategy{}
}

// rsyncStrategy syncs by rsync(1), as v1.x does. Stopped in the middle, it
// leaves dest a mixture of old and new files.
type rsyncStrategy struct{}

func (rsyncStrategy) stagingParents(r *run) []string { return r.tempParents() }

func (rsyncStrategy) check(r *run) error {
	if _, err := exec.LookPath("rsync"); err != nil {
		return hinted("install rsync, or use another sync_strategy", fmt.Errorf("sync_strategy rsync: %w", err))
	}
	info, err := os.Stat(r.manifest.Dest)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("dest: %w", err)
	case !info.IsDir():
		return fmt.Errorf("dest %q is not a directory", r.manifest.Dest)
	}
	return nil
}

func (rsyncStrategy) sync(ctx context.Context, r *run, staging string) error {
	args := rsyncArgs(r.manifest, r.opts.RsyncVerbose, staging)
	r.log.Info("rsync " + strings.Join(args, " "))
	out := r.log.Output("")
	defer out.Close()
	_, err := process.Run(ctx, process.Command{Path: "rsync", Args: args, Env: r.commandEnv("sync"), Stdout: out, Stderr: out, Started: r.rec.setGroup})
	r.rec.setGroup(0)
	if err != nil {
		return fmt.Errorf("rsync to %q: %w", r.manifest.Dest, err)
	}
	return nil
}

// rsyncArgs are v1.x's arguments in v1.x's order.
func rsyncArgs(m *Manifest, verbose, staging string) []string {
	args := []string{"-a", "--delete"}
	if verbose != "" {
		args = append(args, verbose)
	}
	if m.ExcludeFrom != "" {
		args = append(args, "--exclude-from", filepath.Join(staging, m.ExcludeFrom))
	}
	for _, pattern := range m.Excludes {
		args = append(args, "--exclude", pattern)
	}
	return append(args, staging+"/", m.Dest+"/")
}

// mvStrategy renames the staged tree to dest, which must not exist: dest is
// there completely or not at all.
type mvStrategy struct{}

// stagingParents has one place only, since a rename can't cross file systems.
func (mvStrategy) stagingParents(r *run) []string { return []string{filepath.Dir(r.manifest.Dest)} }

func (mvStrategy) check(r *run) error {
	_, err := os.Lstat(r.manifest.Dest)
	switch {
	case err == nil:
		return hinted("move it away in a pre command, or use sync_strategy rsync",
			fmt.Errorf("dest %q exists already, and sync_strategy mv replaces nothing", r.manifest.Dest))
	case errors.Is(err, fs.ErrNotExist):
		return nil
	default:
		return fmt.Errorf("dest: %w", err)
	}
}

func (mvStrategy) sync(ctx context.Context, r *run, staging string) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := disk.RenameNew(staging, r.manifest.Dest); err != nil {
		return fmt.Errorf("move to dest: %w", err)
	}
	r.log.Info(fmt.Sprintf("moved to %q", r.manifest.Dest))
	return nil
}
