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
	"stretcher/internal/manifest"
	"stretcher/internal/process"
	"stretcher/internal/text/failure"
)

// syncStrategy is a way by which an archive becomes what is deployed. A value
// serves one run.
//
// checkLayout runs before anything is fetched and refuses a dest whose layout
// the strategy would not find its way in, or would destroy: no command is
// meant to mend that. check runs before anything is staged and says early what
// would stop sync.
// stage unpacks the archive's file into a new private directory, and tells
// its name: all of the tree, or what of it differs from dest. sync makes dest
// what the manifest says; it may consume what is staged. Both stop when ctx
// ends; an error from sync says what state dest is in where that is not "as
// before". live is the directory that the deployed tree is in, or will be.
type syncStrategy interface {
	checkLayout(r *run) error
	check(r *run) error
	stage(ctx context.Context, r *run, archive *os.File) (staging string, err error)
	sync(ctx context.Context, r *run) error
	live(r *run) string
}

// Strategies by which a staged tree becomes the destination.
const (
	strategyRsync    = "rsync"
	strategyMv       = "mv"
	strategyNative   = "native"
	strategyReleases = "releases"
)

// newStrategy returns the strategy of a checked manifest.
func newStrategy(m *manifest.Manifest) syncStrategy {
	switch m.SyncStrategy {
	case strategyMv:
		return mvStrategy{}
	case strategyNative:
		return &nativeStrategy{}
	case strategyReleases:
		return &releaseStrategy{}
	default:
		return rsyncStrategy{}
	}
}

// settleStrategy chooses a strategy for a manifest that names none: rsync, as
// v1.x, or what does the same without it where it is not installed.
func settleStrategy(m *manifest.Manifest, say func(string)) {
	if m.SyncStrategy != "" {
		return
	}
	m.SyncStrategy = strategyRsync
	if _, err := exec.LookPath("rsync"); err != nil && len(m.Src) > 0 {
		m.SyncStrategy = strategyNative
		say("rsync is not installed: sync_strategy is native")
	}
}

// rsyncStrategy syncs by rsync(1), as v1.x does. Stopped in the middle, it
// leaves dest a mixture of old and new files.
type rsyncStrategy struct{}

func (rsyncStrategy) stage(ctx context.Context, r *run, archive *os.File) (string, error) {
	return r.unpack(ctx, archive, r.tempParents())
}

func (rsyncStrategy) live(r *run) string { return r.manifest.Dest }

func (rsyncStrategy) checkLayout(r *run) error { return r.sparesReleases() }

func (rsyncStrategy) check(r *run) error {
	if _, err := exec.LookPath("rsync"); err != nil {
		return failure.Hinted("install rsync, or use another sync_strategy", fmt.Errorf("sync_strategy rsync: %w", err))
	}
	return checkDir(r.manifest.Dest)
}

// checkDir refuses a dest that is there and not a directory.
func checkDir(dest string) error {
	info, err := os.Stat(dest)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Lstat(dest); err == nil {
			return fmt.Errorf("dest %q is a symlink that leads nowhere", dest)
		}
		return checkAbove(dest)
	case err != nil:
		return fmt.Errorf("dest: %w", err)
	case !info.IsDir():
		return fmt.Errorf("dest %q is not a directory", dest)
	}
	return nil
}

// checkAbove makes sure that dest can be made: only the last directory of it
// is, so that a mistyped dest makes no path.
func checkAbove(dest string) error {
	above := filepath.Dir(dest)
	if info, err := os.Stat(above); err != nil || !info.IsDir() {
		return failure.Hinted(fmt.Sprintf("make it, for example in a pre command: mkdir -p %s", above), fmt.Errorf("dest: there is no directory %q", above))
	}
	return nil
}

func (rsyncStrategy) sync(ctx context.Context, r *run) (err error) {
	if r.excludeText, err = readExcludeFrom(r.staging, r.manifest.ExcludeFrom); err != nil {
		return err
	}
	args := rsyncArgs(r.manifest, r.opts.RsyncVerbose, r.staging)
	r.log.Info("rsync " + strings.Join(args, " "))
	out := r.log.Output("")
	defer out.Close()
	_, err = process.Run(ctx, process.Command{Path: "rsync", Args: args, Env: r.rec.Starting(r.commandEnv("sync")), Stdout: out, Stderr: out, Started: r.rec.Started})
	r.rec.Started(0)
	if err != nil {
		return fmt.Errorf("rsync to %q: %w; it may be a mixture of old and new files now", r.manifest.Dest, err)
	}
	return nil
}

// rsyncArgs are v1.x's arguments in v1.x's order.
func rsyncArgs(m *manifest.Manifest, verbose, staging string) []string {
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

// stage has one place only, since a rename can't cross file systems.
func (mvStrategy) stage(ctx context.Context, r *run, archive *os.File) (string, error) {
	return r.unpack(ctx, archive, []string{filepath.Dir(r.manifest.Dest)})
}

func (mvStrategy) live(r *run) string { return r.manifest.Dest }

func (mvStrategy) checkLayout(*run) error { return nil }

func (mvStrategy) check(r *run) error {
	_, err := os.Lstat(r.manifest.Dest)
	switch {
	case err == nil:
		return failure.Hinted("move it away in a pre command, or use sync_strategy rsync",
			fmt.Errorf("dest %q exists already, and sync_strategy mv replaces nothing", r.manifest.Dest))
	case errors.Is(err, fs.ErrNotExist):
		return nil
	default:
		return fmt.Errorf("dest: %w", err)
	}
}

func (mvStrategy) sync(ctx context.Context, r *run) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if _, err := readExcludeFrom(r.staging, r.manifest.ExcludeFrom); err != nil {
		return err
	}
	if err := disk.RenamePath(r.staging, r.manifest.Dest); err != nil {
		return fmt.Errorf("move to dest: %w", err)
	}
	r.log.Info(fmt.Sprintf("moved to %q", r.manifest.Dest))
	return nil
}
