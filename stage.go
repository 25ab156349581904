package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/journal"
	"stretcher/internal/policy"
	"stretcher/internal/text/failure"
)

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

// workDirIn makes a private directory in the first of parents that has room
// for size bytes (-1 = unknown). It is removed when the run ends.
func (r *run) workDirIn(parents []string, what string, size int64) (string, error) {
	var reasons []string
	var last error
	for _, parent := range parents {
		dir, err := r.makeDir(parent, size)
		if err == nil {
			return dir, nil
		}
		reasons, last = append(reasons, failure.Text(err)), err
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
	dir := filepath.Join(parent, journal.TempPrefix(r.id)+strconv.Itoa(len(r.temp)))
	// Noted before it is made, so that there is no moment at which a kill
	// leaves a directory that nobody knows of.
	r.temp = append(r.temp, dir)
	r.rec.Leave(dir)
	disk.SweepPath(parent, journal.TempPattern)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	// Says that the directory is in use, to runs that have no history to ask.
	if hold, err := disk.HoldPath(dir); err == nil { // some file systems know no locks
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
		if err := removeQuietly(dir); err != nil {
			r.log.Warn(failure.Sayf("clean-up: %v", err))
		}
	}
	for _, hold := range r.holds {
		_ = hold.Close()
	}
	if r.archive != nil {
		_ = r.archive.Close()
	}
	r.temp, r.holds, r.archive = nil, nil, nil
}

// removeQuietly removes a tree and leaves the time of the directory that it
// was in: that may be dest.
func removeQuietly(dir string) error {
	parent := filepath.Dir(dir)
	info, statErr := os.Stat(parent)
	err := disk.RemovePath(dir)
	if statErr == nil {
		_ = os.Chtimes(parent, time.Time{}, info.ModTime()) // not ours to change, perhaps
	}
	return err
}

// unpack unpacks the archive into a new staging directory in the first
// of parents that has room for it, and gives its root the mode it shall have.
func (r *run) unpack(ctx context.Context, file *os.File, parents []string) (dir string, err error) {
	for i := range parents {
		dir, err = r.unpackIn(ctx, file, parents[i:])
		if dir == "" || !errors.Is(err, syscall.ENOSPC) || i == len(parents)-1 {
			return dir, err
		}
		work := filepath.Dir(dir)
		if filepath.Dir(work) != filepath.Clean(parents[i]) {
			continue // this one could not be used at all
		}
		r.log.Warn(fmt.Sprintf("%q has no room for what is in the archive: trying elsewhere", parents[i]))
		if err := disk.RemovePath(work); err != nil {
			return "", err
		}
	}
	return "", errors.New("no place to unpack in")
}

func (r *run) unpackIn(ctx context.Context, file *os.File, parents []string) (string, error) {
	dir, err := r.stagingDir(parents)
	if err != nil {
		return "", err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	res, err := archive.Extract(ctx, file, root, r.archiveOptions())
	if err != nil {
		return dir, r.archiveError(err)
	}
	if !res.HasRoot {
		if err := os.Chmod(dir, r.destMode()); err != nil {
			return "", err
		}
	}
	r.log.Info(fmt.Sprintf("extracted %d entries", res.Entries), "entries", res.Entries, "bytes", res.Bytes)
	return dir, nil
}

// stagingDir makes an empty directory to stage a tree in.
func (r *run) stagingDir(parents []string) (string, error) {
	work, err := r.workDirIn(parents, "staging directory", -1)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(work, "tree")
	return dir, os.Mkdir(dir, 0o755)
}

func (r *run) archiveError(err error) error { return fmt.Errorf("archive from %q: %w", r.src, err) }

// archiveOptions say how the manifest and the host want archives read.
func (r *run) archiveOptions() archive.Options {
	m := r.manifest
	return archive.Options{
		Mode:   extractMode(m.Extract),
		Limits: archive.Limits{Bytes: int64(m.Limits.Unpacked), Entries: m.Limits.Files},
		Warn:   func(msg string) { r.log.Warn("archive: " + msg) },
	}
}

const defaultDestMode = 0o755

// destMode is the mode of dest when the archive does not tell it.
func (r *run) destMode() os.FileMode {
	if r.manifest.DestMode != nil {
		return os.FileMode(*r.manifest.DestMode)
	}
	return defaultDestMode
}

func extractMode(e policy.Extract) archive.Mode {
	if e == policy.Strict {
		return archive.Strict
	}
	return archive.Compat
}

// maxExcludeFrom bounds an exclude list, in bytes.
const maxExcludeFrom = 16 << 20

// readExcludeFrom returns the text of exclude_from, a file inside the tree at
// dir, however the tree's symlinks lie. "" is none.
func readExcludeFrom(dir, name string) ([]byte, error) {
	if name == "" {
		return nil, nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Stat(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, failure.Malformed("exclude_from %q is not in the archive", name)
	case err != nil:
		return nil, failure.Refused("exclude_from %q leads out of the archive: %v", name, errors.Unwrap(err))
	case !info.Mode().IsRegular():
		return nil, failure.Malformed("exclude_from %q is not a regular file", name)
	case info.Size() > maxExcludeFrom:
		return nil, failure.Refused("exclude_from %q is larger than %d bytes", name, maxExcludeFrom)
	}
	return root.ReadFile(name)
}
