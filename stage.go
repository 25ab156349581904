package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/policy"
)

// tempPrefix begins the name of every temporary directory of a run, so that
// what a run that died has left can be told and removed.
func tempPrefix(runID string) string { return ".stretcher-" + runID + "-" }

// tempPattern matches the name of every run's temporary directories.
var tempPattern = regexp.MustCompile(`^\.stretcher-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-[0-9]+$`)

// tempParents are the places where a run may keep files, best first: what
// TMPDIR names, since somebody asked for it; the directory that holds dest,
// whose file system must have room for the tree anyway; the system's
// temporary directory.
func (r *run) tempParents() []string {
	if !r.hasDest() { // a hook pod's
		return []string{os.TempDir()}
	}
	beside := filepath.Dir(r.manifest.Dest)
	places := []string{beside, os.TempDir()}
	if dir := r.tmpdir; dir != "" {
		places = []string{dir, beside}
	}
	// Not inside dest, which the sync would clear of it.
	dest := policy.Real(r.manifest.Dest)
	return slices.DeleteFunc(places, func(dir string) bool { return below(policy.Real(dir), dest) })
}

// workDir makes a private directory in the first of the run's places that
// has room for size bytes (-1 = unknown). It is removed when the run ends.
func (r *run) workDir(what string, size int64) (string, error) {
	return r.workDirIn(r.tempParents(), what, size)
}

func (r *run) workDirIn(parents []string, what string, size int64) (string, error) {
	var reasons []string
	var last error
	for _, parent := range parents {
		dir, err := r.makeDir(parent, size)
		if err == nil {
			return dir, nil
		}
		reasons, last = append(reasons, err.Error()), err
	}
	if len(reasons) == 1 {
		return "", fmt.Errorf("no place for the %s: %w", what, last)
	}
	return "", fmt.Errorf("no place for the %s: %s; %w", what, strings.Join(reasons[:len(reasons)-1], "; "), last)
}

func (r *run) makeDir(parent string, size int64) (string, error) {
	if err := disk.Room(parent, size); err != nil {
		return "", err
	}
	dir := filepath.Join(parent, tempPrefix(r.id)+strconv.Itoa(len(r.temp)))
	// Noted before it is made, so that there is no moment at which a kill
	// leaves a directory that nobody knows of.
	r.temp = append(r.temp, dir)
	r.rec.row.Staging = r.temp
	r.rec.update()
	disk.Sweep(parent, tempPattern)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	// Says that the directory is in use, to runs that have no history to ask.
	if hold, err := disk.Hold(dir); err == nil { // some file systems know no locks
		r.holds = append(r.holds, hold)
	}
	return dir, nil
}

// cleanUp removes every temporary directory of the run.
func (r *run) cleanUp() {
	for _, dir := range r.temp {
		if _, err := os.Lstat(dir); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := disk.RemoveAll(dir); err != nil {
			r.log.Warn(fmt.Sprintf("clean-up: %v", err))
		}
	}
	for _, hold := range r.holds {
		_ = hold.Close()
	}
	r.temp, r.holds = nil, nil
}

// extract unpacks the archive into a new staging directory and gives its root
// the mode it shall have in dest.
func (r *run) extract(ctx context.Context, name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	work, err := r.workDirIn(r.strategy.stagingParents(r), "staging directory", -1)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(work, "tree")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	res, err := archive.Extract(ctx, f, dir, archive.Options{
		Mode:   extractMode(r.manifest.Extract),
		Limits: archive.Limits{Bytes: int64(r.manifest.Limits.Unpacked), Entries: r.manifest.Limits.Files},
		Warn:   func(msg string) { r.log.Warn("archive: " + msg) },
	})
	if err != nil {
		return "", fmt.Errorf("archive from %q: %w", r.src, err)
	}
	if !res.HasRoot {
		mode := Mode(defaultDestMode)
		if r.manifest.DestMode != nil {
			mode = *r.manifest.DestMode
		}
		if err := os.Chmod(dir, os.FileMode(mode)); err != nil {
			return "", err
		}
	}
	r.log.Info(fmt.Sprintf("extracted %d entries", res.Entries), "entries", res.Entries, "bytes", res.Bytes)
	// The archive is no longer needed; its room may be, for the sync.
	return dir, os.Remove(name)
}

func extractMode(e policy.Extract) archive.Mode {
	if e == policy.Strict {
		return archive.Strict
	}
	return archive.Compat
}

// checkExcludeFrom makes sure that exclude_from is a file inside the staged
// tree, however the archive's symlinks lie.
func checkExcludeFrom(staging, name string) error {
	if name == "" {
		return nil
	}
	root, err := os.OpenRoot(staging)
	if err != nil {
		return err
	}
	defer root.Close()
	info, err := root.Stat(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return malformed("exclude_from %q is not in the archive", name)
	case err != nil:
		return refused("exclude_from %q: %v", name, errors.Unwrap(err))
	case !info.Mode().IsRegular():
		return malformed("exclude_from %q is not a regular file", name)
	}
	return nil
}
