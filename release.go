package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/dustin/go-humanize"

	"stretcher/internal/releases"
)

// releaseStrategy keeps each deployment in a directory of its own below dest
// and makes it live by switching a symlink.
type releaseStrategy struct {
	dir      *releases.Dir
	id       string // the release that this run makes live
	before   string // the one that was live; "" = none
	switched bool
}

func (s *releaseStrategy) check(r *run) (err error) {
	if s.dir, err = releases.Open(r.manifest.Dest, releases.Options{Sync: true}); err != nil {
		return err
	}
	s.id = r.id
	if err := s.dir.Check(); errors.Is(err, releases.ErrPlain) {
		return &failure{class: errRefused, err: err, hint: fmt.Sprintf("move it away, for example: mv %[1]s %[1]s.old", s.live(r))}
	} else if err != nil {
		return err
	}
	s.before, _, err = s.dir.Current()
	return err
}

// checkLayout refuses a dest whose layout the strategy would not find its way
// in, before anything is fetched: no command is meant to mend that.
func (r *run) checkLayout() error {
	switch s := r.strategy.(type) {
	case *releaseStrategy:
		return s.check(r)
	case rsyncStrategy, *nativeStrategy:
		dir, err := releases.Open(r.manifest.Dest, releases.Options{})
		if err != nil {
			return err
		}
		if id, ok, err := dir.Current(); ok && err == nil {
			if _, err := os.Stat(dir.Path(id)); err == nil {
				return &failure{class: errRefused, hint: "move it away first, or stay with sync_strategy releases",
					err: fmt.Errorf("dest %q holds releases and what they share, which sync_strategy %s would delete", r.manifest.Dest, r.manifest.SyncStrategy)}
			}
		}
	}
	return nil
}

func (*releaseStrategy) live(r *run) string { return filepath.Join(r.manifest.Dest, "current") }

func (s *releaseStrategy) stage(ctx context.Context, r *run, archive string) (string, error) {
	parent, err := s.dir.Prepare()
	if err != nil {
		return "", err
	}
	staging, err := r.unpack(ctx, archive, []string{parent})
	if err != nil {
		return "", err
	}
	if r.excludeText, err = readExcludeFrom(staging, r.manifest.ExcludeFrom); err != nil {
		return "", err
	}
	if err := removeExcluded(ctx, r, staging); err != nil {
		return "", err
	}
	return staging, s.share(ctx, r, staging)
}

// removeExcluded removes from a staged tree what would not be synced.
func removeExcluded(ctx context.Context, r *run, dir string) error {
	if len(r.manifest.Excludes) == 0 && r.manifest.ExcludeFrom == "" {
		return nil
	}
	list, err := excludeList(r.manifest, r.excludeText)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil || !list.Excluded(name, e.IsDir()) {
			return err
		}
		if err := root.RemoveAll(name); err != nil {
			return err
		}
		if e.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
}

// share lets files that have not changed share their room with the release
// before, where the file system can. It is a saving, not a need.
func (s *releaseStrategy) share(ctx context.Context, r *run, staging string) error {
	if s.before == "" {
		return nil
	}
	saved, err := s.dir.Reuse(ctx, staging, s.before, releases.Link(cmp.Or(r.manifest.Releases.Link, string(releases.Reflink))))
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		r.log.Warn(fmt.Sprintf("unchanged files take room again: %v", err))
	}
	if saved.Files > 0 {
		r.log.Info(fmt.Sprintf("%d unchanged files share %s with release %s", saved.Files, humanize.IBytes(uint64(saved.Bytes)), s.before))
	}
	return nil
}

// sync makes the staged tree a release and switches to it.
func (s *releaseStrategy) sync(ctx context.Context, r *run) error {
	m := r.manifest
	err := s.dir.Add(ctx, r.staging, releases.Release{
		ID: s.id, Name: r.log.Masked(m.Name), Version: r.log.Masked(m.Version), Checksum: m.Checksum.String(),
	}, m.Releases.Shared)
	if errors.Is(err, releases.ErrShared) {
		return hinted(`a shared path is taken from the first release that has it; write "log/" for a directory that starts empty`, err)
	}
	if err != nil {
		return err
	}
	return s.switchTo(ctx, r, s.id)
}

func (s *releaseStrategy) switchTo(ctx context.Context, r *run, id string) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := s.dir.Switch(id); err != nil {
		return err
	}
	s.switched = true
	r.log.Info(fmt.Sprintf("%q is release %s now", s.live(r), id))
	return nil
}

// released returns the strategy of a run that has switched releases.
func (r *run) released() (*releaseStrategy, bool) {
	switch s := r.strategy.(type) {
	case *releaseStrategy:
		return s, s.switched
	case *releaseSwitch:
		return &s.releaseStrategy, s.switched
	}
	return nil, false
}

// liveRelease returns the release that a run has made live or found live and
// deployed nothing over.
func (r *run) liveRelease() (dir *releases.Dir, id string, ok bool) {
	if s, ok := r.released(); ok {
		return s.dir, s.id, true
	}
	if s, ok := r.strategy.(*releaseStrategy); ok && r.current {
		return s.dir, s.before, true
	}
	return nil, "", false
}

func (r *run) hasRelease() bool {
	_, _, ok := r.liveRelease()
	return ok
}

// release notes that the release has passed all that judges it. It is live
// and well, noted or not.
func (r *run) release(context.Context) error {
	dir, id, _ := r.liveRelease()
	r.accepted = true
	if err := dir.Mark(id, releases.Good, ""); err != nil {
		r.log.Warn(fmt.Sprintf("release %s can't be gone back to later: %v", id, err))
	}
	return nil
}

// hasOldReleases tells whether there is something to prune.
func (r *run) hasOldReleases() bool {
	dir, id, ok := r.liveRelease()
	if !ok {
		return false
	}
	old, err := dir.Prunable(r.manifest.Releases.keep(), id)
	if err != nil {
		r.log.Warn(fmt.Sprintf("old releases stay: %v", err))
	}
	return len(old) > 0
}

// prune removes old releases. Failing at that fails nothing: what was to be
// deployed is live and good.
func (r *run) prune(ctx context.Context) error {
	dir, id, _ := r.liveRelease()
	removed, err := dir.Prune(ctx, r.manifest.Releases.keep(), id)
	for _, id := range removed {
		r.log.Info(fmt.Sprintf("removed release %s", id))
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		r.log.Warn(fmt.Sprintf("old releases stay: %v", err))
	}
	return nil
}

// goBack switches back to the last good release when the run has failed with
// one that it has made live, and runs what the manifest wants to run again.
// The error says what has become of it.
func (r *run) goBack(ctx context.Context, failure error) error {
	s, ok := r.released()
	if !ok || r.accepted {
		return failure
	}
	r.rec.enter("rollback")
	if s.id == r.id { // not one that was good before
		if err := s.dir.Mark(s.id, releases.Bad, r.log.Masked(failure.Error())); err != nil {
			r.log.Warn(err.Error())
		}
	}
	if r.manifest.Rollback.Off {
		return failure
	}
	target, err := s.lastGood()
	switch {
	case err != nil:
		return fmt.Errorf("%w; release %s stays live: %w", failure, s.id, err)
	case target == "":
		return fmt.Errorf("%w; release %s stays live: there is no good one to go back to", failure, s.id)
	}
	r.log.Warn(fmt.Sprintf("step %q has failed: going back to release %s", r.step, target))
	if err := s.switchTo(ctx, r, target); err != nil {
		return fmt.Errorf("%w; release %s stays live: %w", failure, s.id, err)
	}
	return r.rerun(ctx, fmt.Errorf("%w; switched back to release %s", failure, target))
}

// lastGood is the release to go back to: the one that was live, if it was
// good, or the newest good one.
func (s *releaseStrategy) lastGood() (string, error) {
	all, err := s.dir.List()
	if err != nil {
		return "", err
	}
	good := slices.DeleteFunc(all, func(rel releases.Release) bool { return rel.State != releases.Good || rel.ID == s.id })
	for _, rel := range good {
		if rel.ID == s.before {
			return rel.ID, nil
		}
	}
	if len(good) == 0 {
		return "", nil
	}
	return good[0].ID, nil
}

// rerun runs commands again for the release that is live again: they make the
// application start from it.
func (r *run) rerun(ctx context.Context, failure error) error {
	for _, point := range r.manifest.Rollback.rerun() {
		if err := r.runCommands(ctx, point, r.manifest.Commands.at(point)); err != nil {
			return fmt.Errorf("%w, where %w", failure, err)
		}
	}
	return failure
}
