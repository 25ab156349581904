package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk"
	"stretcher/internal/journal"
	"stretcher/internal/policy"
	"stretcher/internal/strategy"
	"stretcher/internal/text/failure"
)

// workDir is a private directory of the run, known by the open directory that
// it was made in.
type workDir struct {
	parent *disk.Dir
	name   string
	hold   *os.File // says that it is in use; nil where the file system knows no locks
}

func (w workDir) path() string { return filepath.Join(w.parent.Path(), w.name) }

// remove removes it and leaves the time of the directory that it was in: that
// may be dest.
func (w workDir) remove() error {
	info, statErr := w.parent.File().Stat()
	err := disk.RemoveAll(w.parent.Root(), w.name)
	if statErr == nil { // not ours to change, perhaps
		_ = setTime(w.parent.File(), info.ModTime())
	}
	return err
}

// setTime sets the time of an open directory.
func setTime(dir *os.File, modified time.Time) error {
	return unix.UtimesNanoAt(int(dir.Fd()), ".", []unix.Timespec{
		{Nsec: unix.UTIME_OMIT}, unix.NsecToTimespec(modified.UnixNano()),
	}, 0)
}

func (w workDir) close() {
	if w.hold != nil {
		_ = w.hold.Close()
	}
	_ = w.parent.Close()
}

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
// for size bytes (-1 = unknown), or where there is a better place. It is
// removed when the run ends.
func (r *run) workDirIn(parents []string, what string, size int64) (string, error) {
	dir, err := r.private(disk.Wanted{What: what, Size: size, Candidates: parents, State: r.statePath()})
	if err != nil {
		return "", err
	}
	return dir.Path(), dir.Close()
}

// statePath is the state directory, "" where there is none.
func (r *run) statePath() string {
	if dir := r.rec.State(); dir != nil {
		return dir.Path()
	}
	return ""
}

// private makes a private directory in the best place that is wanted.
func (r *run) private(w disk.Wanted) (*disk.Dir, error) {
	places, err := disk.Places(w)
	if err != nil {
		return nil, err
	}
	for i, place := range places {
		var dir *disk.Dir
		if dir, err = r.makeWorkDir(place); err == nil {
			for _, other := range places[i+1:] {
				_ = other.Close()
			}
			return dir, nil
		}
	}
	return nil, err
}

// makeWorkDir makes a directory, and keeps the one that it is in.
func (r *run) makeWorkDir(parent *disk.Dir) (*disk.Dir, error) {
	w := workDir{parent: parent, name: journal.TempPrefix(r.id) + strconv.Itoa(r.made)}
	r.made++
	// Noted before it is made, so that there is no moment at which a kill
	// leaves a directory that nobody knows of.
	r.rec.Leave(w.path())
	disk.Sweep(parent, journal.TempPattern)
	dir, err := parent.Make(w.name, 0o700)
	if err != nil {
		_ = parent.Close()
		return nil, err
	}
	// Says that the directory is in use, to runs that have no history to ask.
	if hold, err := disk.Hold(dir.Root()); err == nil { // some file systems know no locks
		w.hold = hold
	}
	r.temp = append(r.temp, w)
	return dir, nil
}

// cleanUp removes every temporary directory of the run.
func (r *run) cleanUp() {
	for _, w := range r.temp {
		if err := w.remove(); err != nil {
			r.log.Warn(failure.Sayf("clean-up: %v", err))
		}
		w.close()
	}
	if r.archive != nil {
		_ = r.archive.Close()
	}
	r.temp, r.archive = nil, nil
}

// runPlaces makes the private directories of a strategy.
type runPlaces struct {
	r          *run
	candidates []string   // the best first
	dest       *disk.Dest // nil where there is none
}

// Private makes a directory.
func (p runPlaces) Private(what string, w strategy.Where) (*disk.Dir, error) {
	wanted := disk.Wanted{What: what, Size: -1, Dest: p.dest, SameDevice: w.SameDevice, Full: w.Full,
		Candidates: p.candidates, State: p.r.statePath()}
	if w.SameDevice && p.dest != nil {
		wanted.Candidates = []string{p.dest.Parent.Path()}
	}
	return p.r.private(wanted)
}

// Drop removes a directory.
func (p runPlaces) Drop(dir *disk.Dir) error {
	i := slices.IndexFunc(p.r.temp, func(w workDir) bool { return w.path() == dir.Path() })
	if i < 0 {
		return fmt.Errorf("%q is no directory of this run", dir.Path())
	}
	w := p.r.temp[i]
	p.r.temp = slices.Delete(p.r.temp, i, i+1)
	defer w.close()
	return w.remove()
}
