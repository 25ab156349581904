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

	"stretcher/internal/manifest"
	"stretcher/internal/strategy/releases"
	"stretcher/internal/text/failure"
)

// releaseStrategy keeps each deployment in a directory of its own below dest
// and makes it live by switching a symlink.
type releaseStrategy struct {
	dir      *releases.Dir
	id       string // the release that this run makes live
	before   string // the one that was live; "" = none
	added    bool   // the release is there
	switched bool
}

func (s *releaseStrategy) checkLayout(r *run) (err error) {
	if s.dir == nil {
		if s.dir, err = releases.Open(r.manifest.Dest, releases.Options{Sync: true}); err != nil {
			return cmp.Or(checkDir(r.manifest.Dest), err)
		}
	}
	s.id = r.id
	if err := s.dir.Check(); err != nil {
		return plainError(err)
	}
	s.before, _, err = s.dir.Current()
	return err
}

// plainError adds what to do about something that is in the way.
func plainError(err error) error {
	if errors.Is(err, releases.ErrForeign) {
		return failure.Hinted("deploy as its owner, or let it belong to root if you trust what is in it", failure.Refused("%w", err))
	}
	var plain *releases.PlainError
	if !errors.As(err, &plain) {
		return err
	}
	return failure.Hinted(fmt.Sprintf("move it away, for example: mv %[1]s %[1]s.old", plain.Path), failure.Refused("%w", err))
}

func (s *releaseStrategy) check(r *run) error {
	if err := s.checkLayout(r); err != nil {
		return err
	}
	return checkDir(r.manifest.Dest)
}

// sparesReleases refuses a sync that would delete releases.
func (r *run) sparesReleases() error {
	if !r.deletesReleases() {
		return nil
	}
	return failure.Hinted("move it away first, exclude /releases, /shared and /current, or stay with sync_strategy releases",
		failure.Refused("dest %q holds releases and what they share, which sync_strategy %s would delete", r.manifest.Dest, r.manifest.SyncStrategy))
}

// deletesReleases tells whether a sync would delete releases. Those are known
// by their marks: an application may have a directory of that name.
func (r *run) deletesReleases() bool {
	dir, err := releases.Open(r.manifest.Dest, releases.Options{})
	if err != nil {
		return false
	}
	all, err := dir.List()
	if err != nil || !slices.ContainsFunc(all, func(rel releases.Release) bool { return rel.Seq > 0 }) {
		return false
	}
	list, err := excludeList(r.manifest, nil)
	return err != nil || !list.Excluded("releases", true) || !list.Excluded("shared", true) || !list.Excluded("current", false)
}

// isLive tells whether the release that current leads to was deployed from the
// manifest's archive and is good.
func (s *releaseStrategy) isLive(m *manifest.Manifest) bool {
	all, err := s.dir.List()
	return err == nil && slices.ContainsFunc(all, func(rel releases.Release) bool {
		return rel.ID == s.before && rel.State == releases.Good && rel.Checksum == m.Checksum.String()
	})
}

func (*releaseStrategy) live(r *run) string { return filepath.Join(r.manifest.Dest, "current") }

func (s *releaseStrategy) stage(ctx context.Context, r *run, archive *os.File) (string, error) {
	if err := s.dir.Prepare(); err != nil {
		return "", err
	}
	staging, err := r.unpack(ctx, archive, []string{filepath.Join(r.manifest.Dest, "releases")})
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
// before, where the file system can.
func (s *releaseStrategy) share(ctx context.Context, r *run, staging string) error {
	if s.before == "" {
		return nil
	}
	tree, err := os.OpenRoot(staging)
	if err != nil {
		return err
	}
	defer tree.Close()
	saved, err := s.dir.Reuse(ctx, tree, s.before, releases.Link(cmp.Or(r.manifest.Releases.Link, string(releases.Reflink))))
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		return err // the staged tree can't be relied upon any more
	}
	if saved.Files > 0 {
		r.log.Info(fmt.Sprintf("%d unchanged files share %s with release %s", saved.Files, humanize.IBytes(uint64(saved.Bytes)), s.before))
	}
	return nil
}

// sync makes the staged tree a release and switches to it.
func (s *releaseStrategy) sync(ctx context.Context, r *run) error {
	m := r.manifest
	from, err := os.OpenRoot(filepath.Dir(r.staging))
	if err != nil {
		return err
	}
	defer from.Close()
	s.added = true // or a part of it
	err = s.dir.Add(ctx, from, filepath.Base(r.staging), releases.Release{
		ID: s.id, Name: r.log.Masked(m.Name), Version: r.log.Masked(m.Version), Checksum: m.Checksum.String(),
	}, m.Releases.Shared)
	if err != nil {
		return sharedError(err)
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return s.switchTo(r, s.id)
}

// sharedError adds what to do about a shared path.
func sharedError(err error) error {
	if !errors.Is(err, releases.ErrShared) {
		return err
	}
	return failure.Hinted(`a shared path is taken from the first release that has it; write "log/" for a directory that starts empty`, err)
}

// switchTo makes a release live. An error that hasSwitched tells from others
// says that it may not stay so.
func (s *releaseStrategy) switchTo(r *run, id string) error {
	err := s.dir.Switch(id)
	if hasSwitched(err) {
		s.switched = true
		r.log.Info(fmt.Sprintf("%q is release %s now", s.live(r), id))
	}
	return err
}

// hasSwitched tells whether current leads to the release, be it on the disk
// yet or not.
func hasSwitched(err error) bool { return err == nil || errors.Is(err, releases.ErrUnsynced) }

// ofReleases returns the strategy of a run that works with releases.
func (r *run) ofReleases() (*releaseStrategy, bool) {
	switch s := r.strategy.(type) {
	case *releaseStrategy:
		return s, true
	case *releaseSwitch:
		return &s.releaseStrategy, true
	}
	return nil, false
}

// released returns the strategy of a run that has switched releases.
func (r *run) released() (*releaseStrategy, bool) {
	s, ok := r.ofReleases()
	return s, ok && s.switched
}

// liveRelease returns the release that a run has made live or found live and
// deployed nothing over.
func (r *run) liveRelease() (dir *releases.Dir, id string, ok bool) {
	s, ok := r.ofReleases()
	switch {
	case ok && s.switched:
		return s.dir, s.id, true
	case ok && r.current:
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
func (r *run) release(ctx context.Context) error {
	dir, id, _ := r.liveRelease()
	r.accepted = true
	if r.isRollback() {
		r.leaveNewer(dir, id)
	}
	if err := dir.Mark(id, releases.Good, ""); err != nil {
		r.log.Warn(failure.Sayf("release %s can't be gone back to later: %v", id, err))
	}
	r.sweepReleases(ctx)
	return nil
}

// leaveNewer notes which good releases have been rolled back from, those newer
// than the one that is live: the next rollback goes further back.
func (r *run) leaveNewer(dir *releases.Dir, live string) {
	all, err := dir.List() // newest first
	newer := true
	for _, rel := range all {
		newer = newer && rel.ID != live
		switch {
		case rel.State != releases.Good || newer == rel.RolledBack:
		case newer:
			err = cmp.Or(err, dir.Leave(rel.ID, r.id))
		default:
			err = cmp.Or(err, dir.Mark(rel.ID, releases.Good, ""))
		}
	}
	if err != nil {
		r.log.Warn(failure.Text(err))
	}
}

// sweepReleases removes what killed runs have left among the releases, unless
// there are old ones: the step that removes those does it.
func (r *run) sweepReleases(ctx context.Context) {
	dir, id, _ := r.liveRelease()
	keep := r.manifest.Releases.KeepCount()
	if old, err := dir.Prunable(keep, id); err != nil || len(old) > 0 {
		return
	}
	if _, err := dir.Prune(ctx, keep, id); err != nil && context.Cause(ctx) == nil {
		r.log.Warn(failure.Sayf("clean-up of releases: %v", err))
	}
}

// hasOldReleases tells whether there is something to prune.
func (r *run) hasOldReleases() bool {
	dir, id, ok := r.liveRelease()
	if !ok {
		return false
	}
	old, err := dir.Prunable(r.manifest.Releases.KeepCount(), id)
	if err != nil {
		r.log.Warn(failure.Sayf("old releases stay: %v", err))
	}
	return len(old) > 0
}

// prune removes old releases. Failing at that fails nothing: what was to be
// deployed is live and good.
func (r *run) prune(ctx context.Context) error {
	dir, id, _ := r.liveRelease()
	removed, err := dir.Prune(ctx, r.manifest.Releases.KeepCount(), id)
	for _, id := range removed {
		r.log.Info(fmt.Sprintf("removed release %s", id))
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		r.log.Warn(failure.Sayf("old releases stay: %v", err))
	}
	return nil
}

// goBack marks a release of a run that has failed. If it is live, the run
// switches back to the last good one, and runs what the manifest wants to run
// again. The error says what has become of it.
func (r *run) goBack(ctx, late context.Context, why error) error {
	s, ok := r.ofReleases()
	if !ok || r.accepted || !s.added && !s.switched {
		return why
	}
	failedIn := r.rec.Step()
	r.rec.Aside("rollback", func() { why = r.leaveFailed(ctx, late, failedIn, why) })
	return why
}

// leaveFailed is what goBack does, once there is something to do.
func (r *run) leaveFailed(ctx, late context.Context, failedIn string, why error) error {
	s, _ := r.ofReleases()
	if s.added { // not one that was good before
		if err := s.dir.Mark(s.id, releases.Bad, r.log.Masked(failure.Text(why))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.log.Warn(failure.Text(err))
		}
	}
	if s.switched && !r.manifest.Rollback.Off {
		why = r.switchBack(ctx, late, s, failedIn, why)
	}
	if _, err := s.dir.PruneBad(late, s.id); err != nil {
		r.log.Warn(failure.Sayf("releases that failed stay: %v", err))
	}
	return why
}

// switchBack leaves the release that has failed. That is one rename: there is
// time for it, however late it is.
func (r *run) switchBack(ctx, late context.Context, s *releaseStrategy, failedIn string, why error) error {
	target, err := s.lastGood()
	switch {
	case err != nil:
		return fmt.Errorf("%w; release %s stays live: %w", why, s.id, err)
	case target == "":
		return fmt.Errorf("%w; release %s stays live: there is no good one to go back to", why, s.id)
	}
	r.log.Warn(fmt.Sprintf("step %q has failed: going back to release %s", failedIn, target))
	err = s.switchTo(r, target)
	if !hasSwitched(err) {
		return fmt.Errorf("%w; release %s stays live: %w", why, s.id, err)
	}
	if err != nil {
		r.log.Warn(failure.Text(err))
	}
	return r.rerun(ctx, late, fmt.Errorf("%w; switched back to release %s", why, target))
}

// lastGood is the release to go back to: the one that was live, if it was
// good, or the newest good one.
func (s *releaseStrategy) lastGood() (string, error) {
	all, err := s.dir.List()
	if err != nil {
		return "", err
	}
	good := slices.DeleteFunc(all, func(rel releases.Release) bool {
		return rel.State != releases.Good || rel.ID == s.id || !rel.Sound() && rel.ID != s.before
	})
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
// application start from it. After an interruption of ctx they have half of
// late's time: what hangs again must leave some to the why commands.
func (r *run) rerun(ctx, late context.Context, why error) error {
	half, cancel := outlive(ctx, late, afterSignal/2, nil)
	defer cancel()
	for _, point := range r.manifest.Rollback.Points() {
		if err := r.runCommands(half, point, r.manifest.Commands.At(point)); err != nil {
			return fmt.Errorf("%w, where %w", why, err)
		}
	}
	return why
}
