package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/disk/tree"
	"stretcher/internal/hooks"
	"stretcher/internal/policy"
	"stretcher/internal/process"
	"stretcher/internal/strategy"
	"stretcher/internal/strategy/ahead"
	strategies "stretcher/internal/strategy/all"
	"stretcher/internal/strategy/staging"
	"stretcher/internal/text/failure"
)

// open opens dest, lets the host policy judge what has been opened, and makes
// the strategy of the run for it. It is done before anything is fetched, and
// again before anything is staged: commands may have made dest, or moved it
// away. From then on nothing looks dest up by its name.
//
// A dest that can't be opened is told by the strategy's Check. told is how far
// the run has come, when it is asked.
func (d *deployer) open(s Spec, whole bool, told func() run, adapt ...func(*strategy.Target)) (Spec, error) {
	s.close() // a strategy that has been made before, and its dest
	dest, missing := disk.OpenDest(s.Manifest.Dest)
	if missing != nil {
		dest, missing = &disk.Dest{Given: s.Manifest.Dest}, disk.ExplainDest(s.Manifest.Dest, missing)
	}
	t := d.target(s, told)
	t.Dest, t.NoDest, t.Whole = dest, missing, whole
	if missing == nil {
		t.Place = staging.Places{Maker: d.private, Candidates: s.tempParents(), Dest: dest}
	}
	t.Last = d.last(&s)
	for _, change := range adapt {
		change(&t)
	}
	var err error
	s.Dest = dest
	s.Strategy, err = strategies.List().New(s.SyncStrategy, t)
	if err == nil && missing == nil {
		err = d.judge(dest)
	}
	return s, err
}

// judge asks the host policy about a dest that has been opened, and whether it
// is apart from what is the host's own.
func (t *tools) judge(dest *disk.Dest) error {
	if err := t.policy.Dest(dest.Real()); err != nil {
		return err
	}
	for _, q := range t.apart(dest.Path(), dest.Way()) {
		if err := q.Ask(); err != nil {
			return err
		}
	}
	return nil
}

// close closes what the strategy has opened, and dest.
func (s Spec) close() {
	if s.Strategy != nil {
		_ = s.Strategy.Close()
	}
	if s.Dest != nil && s.Dest.Parent != nil {
		_ = s.Dest.Close()
	}
}

// target is all that a strategy is told of the run, but dest.
func (d *deployer) target(s Spec, told func() run) strategy.Target {
	m := s.Manifest
	t := strategy.Target{
		Run: d.id, Excludes: m.Excludes, ExcludeFrom: m.ExcludeFrom,
		Name: d.log.Masked(m.Name), Version: d.log.Masked(m.Version),
		Source: strategy.Source{
			Archive: d.archiveOptions(s), Origin: func() string { return told().archive.Source }, Checksum: m.Checksum.String(),
		},
		Tools: strategy.Tools{
			Log: d.log, Progress: d.screen.Progress(),
			Child: func(ctx context.Context, c process.Command) error { return d.runChild(ctx, told(), c) },
		},
		Options: strategy.Options{
			RsyncVerbose: d.settings.RsyncVerbose,
			Native:       strategy.NativeOptions{Checksum: m.Native.Checksum},
			Releases: strategy.ReleasesOptions{
				Keep: m.Releases.KeepCount(), Shared: m.Releases.Shared, Link: m.Releases.Link, Stay: m.Rollback.Off,
			},
		},
	}
	if m.DestMode != nil {
		mode := fs.FileMode(*m.DestMode)
		t.DestMode = &mode
	}
	if s.Past != nil {
		t.Releases.Back = s.Past.Standing
	}
	return t
}

// archiveOptions say how the manifest and the host want archives read.
func (t *tools) archiveOptions(s Spec) archive.Options {
	mode := archive.Compat
	if s.Extract == policy.Strict {
		mode = archive.Strict
	}
	return archive.Options{
		Mode:   mode,
		Strip:  int(s.Strip),
		Limits: archive.Limits{Bytes: int64(s.Limits.Unpacked), Entries: s.Limits.Files},
		Warn:   func(msg string) { t.log.Warn("archive: " + msg) },

		Progress: t.screen.Unpacked(),
	}
}

// check asks what would stop the sync. A layout that is refused is looked at no
// further.
func (s Spec) check() error {
	if err := s.Strategy.CheckLayout(); err != nil {
		return err
	}
	return s.Strategy.Check()
}

// sayStrip says what becomes of names, before anything is said to be unpacked.
func sayStrip(log strategy.Logger, s Spec) {
	if s.Strip > 0 {
		log.Info(fmt.Sprintf("names in the archive lose their first components: strip_components %d", s.Strip))
	}
}

// stage makes the tree of the archive ready for the sync.
func (d *deployer) stage(ctx context.Context, s Spec, a *Archive) (staged strategy.Staged, err error) {
	if err := s.check(); err != nil {
		return strategy.Staged{}, err
	}
	defer d.screen.Bar("extract").Close()
	err = d.ways().Read(ctx, d.wanted(s), a, func(in archive.Input) (err error) {
		staged, err = s.Strategy.Stage(ctx, in)
		return err
	})
	return staged, err
}

// begun is a staged tree that was begun while the archive was still coming.
type begun struct {
	stage *ahead.Stage
	spec  Spec
	told  *run // how far the run was then; and is, once the tree counts
}

// stagesAhead is what begins to stage an archive while it comes; nil = nothing does:
// there is something that must not begin, or see anything, before all has come.
func stagesAhead(ctx context.Context, d *deployer, r *run) func(archive.Input) func() {
	if r.turn != nil || r.spec.Hooks != nil || len(r.spec.Commands.Pre) > 0 {
		return nil
	}
	return func(in archive.Input) func() {
		then, s, err := *r, r.spec, error(nil)
		b := &begun{stage: ahead.New(), told: &then}
		s.Strategy, s.Dest = nil, nil // they stay open until the tree counts
		b.spec, err = d.open(s, false, func() run { return *b.told }, b.stage.Adapt)
		if err == nil {
			err = b.spec.check()
		}
		if err != nil { // who stages it later says so
			b.spec.close()
			return func() {}
		}
		b.stage.Begin(ctx, b.spec.Strategy, in)
		r.ahead = b
		return func() {
			b.end()
			r.ahead = nil
		}
	}
}

// end ends it, and closes what it has.
func (b *begun) end() {
	if b != nil {
		b.stage.End()
		b.spec.close()
	}
}

// take makes the tree that was begun while the archive came the staged one, if there is
// one, and dest is still the directory that it was made for.
func (b *begun) take(d *deployer, r *run) bool {
	if r.ahead = nil; b == nil {
		return false
	}
	defer d.screen.Bar("extract").Close()
	staged, ok := b.stage.Wait()
	if !ok || !b.spec.Dest.IsSame(r.spec.Dest) {
		b.end()
		return false
	}
	r.spec.close()
	r.spec, r.staged = b.spec, staged
	b.told = r
	return true
}

// remember records dest as it is after the sync, before anything else changes
// it, and returns the record's name; "" = there is none.
func (d *deployer) remember(ctx context.Context, s Spec, staged *strategy.Staged) string {
	paths := staged.Paths
	staged.Paths = nil // which may take much memory
	name := d.journal.Tree()
	if name == "" {
		return ""
	}
	skip, err := s.Strategy.Skip(staged.Excludes)
	if err == nil {
		r := tree.Recorded{
			Skip: skip, Checksum: s.Checksum.String(), Excludes: staged.Excludes,
			Contents: staged.Contents, Archived: staged.Archived, Paths: paths,
		}
		err = s.withLive(func(live *os.Root) error { return tree.Save(ctx, live, r, name) })
	}
	if err != nil {
		d.log.Warn(failure.Sayf("dest can't be recorded, so the next run will deploy in full: %v", err))
		return ""
	}
	return name
}

// stageNothing makes an empty staged tree for hooks that work on one, where
// nothing is going to be deployed: what they write must not come into a live
// tree. Without one, there is none.
func (t *tools) stageNothing(s Spec) strategy.Staged {
	dir, err := t.private.Make(disk.Wanted{What: "staging directory", Size: -1,
		Candidates: append([]string{os.TempDir()}, s.tempParents()...)})
	if err != nil {
		t.log.Warn(failure.Sayf("hooks get no staged tree: %v", err))
		return strategy.Staged{}
	}
	return strategy.Staged{Dir: dir}
}

// isThere returns an error when what was deployed is gone: a command or hook
// has removed it, and what is not there is not good. Nor is what can't be looked
// at.
func (r *run) isThere() error {
	if !r.synced && !r.archive.IsCurrent() {
		return nil
	}
	info, err := os.Stat(r.spec.live())
	if err == nil && !info.IsDir() {
		err = disk.ErrNotDir
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, disk.ErrNotDir):
		return fmt.Errorf("what was deployed is gone, a command or hook has removed it: %w", err)
	}
	return fmt.Errorf("what was deployed can't be looked at: %w", err)
}

// reverter is the run's strategy, if its deployments stand beside one another
// and this run has made one live, or found it live and deployed nothing over
// it; else nil.
func (r run) reverter() strategy.Reverter {
	s, ok := r.spec.Strategy.(strategy.Reverter)
	if ok && (r.synced || r.archive.IsCurrent()) {
		return s
	}
	return nil
}

// accept notes that what is live has passed all that judges it. It is live and
// well, noted or not.
func (d *deployer) accept(ctx context.Context, r run) {
	if err := r.reverter().Accept(ctx); err != nil {
		d.log.Warn(failure.Sayf("what is live can't be gone back to later: %v", err))
	}
}

// hasOld tells whether there is something to prune.
func (d *deployer) hasOld(r run) bool {
	s := r.reverter()
	if s == nil {
		return false
	}
	old, err := s.Old()
	if err != nil {
		d.log.Warn(failure.Sayf("old releases stay: %v", err))
	}
	return len(old) > 0
}

// prune removes old deployments. Failing at that fails nothing: what was to be
// deployed is live and good.
func (d *deployer) prune(ctx context.Context, r run) error {
	removed, err := r.reverter().Prune(ctx)
	d.sayRemoved(removed)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		d.log.Warn(failure.Sayf("old releases stay: %v", err))
	}
	return nil
}

// sayRemoved says which deployments are gone.
func (t *tools) sayRemoved(ids []string) {
	for _, id := range ids {
		t.log.Info(fmt.Sprintf("removed release %s", id))
	}
}

// last is what is known of the deployment that dest holds, found out when it
// is asked for: s is settled by then.
func (p provider) last(s *Spec) strategy.Last {
	return strategy.Last{
		Contents: func() *tree.Contents { return p.knownOf(*s) },
		Deployed: func() string {
			if good, ok := p.recorded(*s); ok && p.journal.IsLast(good) {
				return tree.Checksum(p.journal.TreeOf(good.ID))
			}
			return ""
		},
		Touched: func(ctx context.Context) bool { return p.isTouched(ctx, *s) },
	}
}

// knownOf is what the last good run has recorded of the content of dest's
// files. What nothing is known of is compared by content.
func (p provider) knownOf(s Spec) *tree.Contents {
	good, ok := p.recorded(s)
	if !ok || s.Dest == nil || s.Dest.Dir == nil {
		return tree.NewContents()
	}
	known, err := p.left.Take(p.journal.TreeOf(good.ID), s.Dest.Dir.Root())
	if err != nil { // which has been said when it was asked whether dest is current
		return tree.NewContents()
	}
	return known
}

// isTouched tells whether a file of dest may have another content than the
// last good run has left in it, with the same size and time. Where there is no
// record, nothing says so.
func (p provider) isTouched(ctx context.Context, s Spec) bool {
	good, ok := p.recorded(s)
	if !ok {
		return false
	}
	drifts, err := p.drifts(ctx, s, good)
	return err == nil && drifts.Hidden
}

// errNoDest: what is unpacked is not deployed.
var errNoDest = errors.New("there is no dest")

// unpacking is what unpacking an archive that is not deployed is told: it goes
// to one of places, on the file system of their dest, where they have one.
func (d *deployer) unpacking(s Spec, a Archive, p staging.Places) *strategy.Target {
	t := d.target(s, func() run { return run{spec: s, archive: a} })
	t.NoDest, t.Place = errNoDest, p
	return &t
}

// programs is the directory that has the files which hooks of the manifest
// name: the staged tree until it is synced, where nobody else can change it,
// then the copy that was made of the archive. What is at dest is never run.
func (r run) programs() string {
	if r.copied != nil && (r.begun || r.archive.IsCurrent() || r.spec.isSwitch()) {
		return r.copied.Dir.Path()
	}
	if r.begun || r.spec.isSwitch() {
		return ""
	}
	return r.stagedPath()
}

// repository is the directory that holds the manifest, where one in a file has
// nothing else that hooks could name files of: before its archive is unpacked,
// or without src.
func (r run) repository(p hooks.Point) string {
	if r.spec.Loaded == nil || r.spec.hasSrc() && !p.Early() {
		return ""
	}
	return r.spec.Repository
}

// copyForHooks unpacks the archive once more, for the manifest's hooks. When it is not here, since dest has its
// content already, it is the one that has been kept, or is fetched.
func (d *deployer) copyForHooks(ctx context.Context, r *run) error {
	if !d.needsCopy(r.spec) {
		return nil
	}
	d.log.Info("the archive is unpacked once more, for hooks of the manifest")
	a, s := r.archive, r.spec
	if a.Input == nil {
		var err error
		a, err = d.verified(ctx, *r, func() (Archive, error) { return d.ways().Passing(ctx, d.wanted(s)) })
		if err != nil {
			return fmt.Errorf("archive for hooks: %w", err)
		}
		defer a.Close()
	}
	t := d.unpacking(s, a, staging.Places{Maker: d.private, Candidates: s.tempParents()})
	t.Archive.Warn = nil // all has been said
	var tree *staging.Tree
	err := d.ways().Read(ctx, d.wanted(s), &a, func(in archive.Input) (err error) {
		tree, err = staging.Unpack(ctx, t, in, false)
		return err
	})
	if err != nil {
		return fmt.Errorf("archive for hooks: %w", err)
	}
	r.copied = tree
	return d.letIn(tree)
}

// letIn lets the user whom hooks run as find a tree that is not deployed.
func (t *tools) letIn(tree *staging.Tree) error {
	if t.user == nil {
		return nil
	}
	if err := tree.LetIn(t.user.GID); err != nil {
		return fmt.Errorf("let %q into the staging directory: %w", t.user.Name, err)
	}
	return nil
}

// removePrivate removes the run's private directories.
func (t *tools) removePrivate() {
	if err := t.private.Remove(); err != nil {
		t.log.Warn(failure.Sayf("clean-up: %v", err))
	}
}

// lock takes the lock on dest; finish gives it back. Where keys must vouch for
// manifests, nothing goes on without, since an older one may be on its way, and
// the name is locked as well: it may have another dest there. A rollback knows
// no name yet.
func (t *tools) lock(ctx context.Context, dest, name string) (unlock func() error, err error) {
	unlock, err = t.journal.LockFor(ctx, name, dest, t.settings.LockWait, t.keys != nil)
	if errors.Is(err, failure.ErrRefused) { // the host must be mended, and the event waits for that
		err = failure.NotYet(err)
	}
	if err != nil {
		return nil, err
	}
	if err := t.readKeys(); err != nil {
		return nil, errors.Join(failure.NotYet(err), unlock())
	}
	t.clearDied(ctx) // the one that was waited for may have been killed
	return unlock, nil
}

// locking takes the lock for a run.
func (t *tools) locking(r *run) func(context.Context) error {
	return func(ctx context.Context) (err error) {
		r.unlock, err = t.lock(ctx, r.spec.Manifest.Dest, r.spec.Name)
		return err
	}
}
