package main

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/disk/tree"
	"stretcher/internal/hooks"
	"stretcher/internal/manifest"
	"stretcher/internal/policy"
	"stretcher/internal/process"
	"stretcher/internal/strategy"
	allstrategies "stretcher/internal/strategy/all"
	"stretcher/internal/text/failure"
)

// settleStrategy chooses a strategy for a manifest that names none.
func settleStrategy(m *manifest.Manifest, say func(string)) {
	if m.SyncStrategy != "" {
		return
	}
	name, why := allstrategies.List().Settle()
	if m.SyncStrategy = name; why != "" && len(m.Src) > 0 {
		say(why)
	}
}

// chooseStrategy opens dest, lets the host policy judge what has been opened,
// and makes the strategy of the run for it. It is done before anything is
// fetched, and again before anything is staged: commands may have made dest,
// or moved it away. From then on nothing looks dest up by its name.
//
// A dest that can't be opened is told by the strategy's Check.
func (r *run) chooseStrategy() error {
	r.closeDest()
	dest, missing := disk.OpenDest(r.manifest.Dest)
	if missing != nil {
		dest, missing = &disk.Dest{Given: r.manifest.Dest}, explainDest(r.manifest.Dest, missing)
	}
	s, err := allstrategies.List().New(r.manifest.SyncStrategy, r.target(dest, missing))
	if err == nil && missing == nil {
		err = r.policy.Dest(dest.Real())
	}
	r.dest, r.strategy = dest, s
	return err
}

func (r *run) closeDest() {
	_ = r.staged.Close()
	if r.dest != nil && r.dest.Parent != nil {
		_ = r.dest.Close()
	}
	r.dest, r.staged = nil, strategy.Staged{}
}

// explainDest adds what to do about a dest that can't be opened.
func explainDest(dest string, err error) error {
	switch {
	case errors.Is(err, disk.ErrNoParent):
		return failure.Hinted("make it, for example in a pre command: mkdir -p "+filepath.Dir(dest), err)
	case errors.Is(err, disk.ErrForeignLink):
		return failure.Hinted("name in dest where it leads, or let it belong to root: chown -h root LINK", failure.Refused("%w", err))
	}
	return err
}

// target is all that a strategy is told of the run.
func (r *run) target(dest *disk.Dest, missing error) strategy.Target {
	m := r.manifest
	t := strategy.Target{
		Run: r.id, Dest: dest, NoDest: missing,
		Excludes: m.Excludes, ExcludeFrom: m.ExcludeFrom,
		Name: r.log.Masked(m.Name), Version: r.log.Masked(m.Version),
		Whole:   r.hasHooksAt(hooks.PostExtract, hooks.PreSync),
		Source:  strategy.Source{Archive: r.archiveOptions(), Origin: func() string { return r.src }, Checksum: m.Checksum.String()},
		Tools:   strategy.Tools{Log: r.log, Child: r.child},
		Options: r.strategyOptions(),
	}
	if missing == nil {
		t.Place = runPlaces{r: r, candidates: r.tempParents(), dest: dest}
	}
	if m.DestMode != nil {
		mode := fs.FileMode(*m.DestMode)
		t.DestMode = &mode
	}
	return t
}

// archiveOptions say how the manifest and the host want archives read.
func (r *run) archiveOptions() archive.Options {
	m := r.manifest
	return archive.Options{
		Mode:   extractMode(m.Extract),
		Limits: archive.Limits{Bytes: int64(m.Limits.Unpacked), Entries: m.Limits.Files},
		Warn:   func(msg string) { r.log.Warn("archive: " + msg) },
	}
}

func extractMode(e policy.Extract) archive.Mode {
	if e == policy.Strict {
		return archive.Strict
	}
	return archive.Compat
}

// strategyOptions are what flags and the manifest say to one strategy alone.
func (r *run) strategyOptions() strategy.Options {
	m := r.manifest
	o := strategy.Options{
		RsyncVerbose: r.opts.RsyncVerbose,
		Native:       strategy.NativeOptions{Checksum: m.Native.Checksum},
		Releases: strategy.ReleasesOptions{
			Keep: m.Releases.KeepCount(), Shared: m.Releases.Shared, Link: m.Releases.Link, Stay: m.Rollback.Off,
		},
	}
	if r.isRollback() {
		o.Releases.Back = r.back.id
	}
	return o
}

// child runs a child process of the strategy as a command of step sync.
func (r *run) child(ctx context.Context, c process.Command) error {
	out := r.log.Output("")
	defer out.Close()
	c.Env, c.Stdout, c.Stderr = r.rec.Starting(r.commandEnv("sync")), out, out
	c.Started = r.rec.Started
	_, err := process.Run(ctx, c)
	r.rec.Started(0)
	return err
}

// stage unpacks the archive. A dest that was current when the run began is
// looked at again if commands have run since.
func (r *run) stage(ctx context.Context) (err error) {
	if r.current && (len(r.manifest.Commands.Pre) == 0 || r.isCurrent(ctx)) {
		return nil
	}
	if r.current {
		r.current = false
		if err := r.bring(ctx); err != nil {
			return err
		}
	}
	if err := r.chooseStrategy(); err != nil {
		return err
	}
	if err := r.strategy.CheckLayout(); err != nil {
		return err
	}
	if err := r.strategy.Check(); err != nil {
		return err
	}
	if r.staged, err = r.strategy.Stage(ctx, r.archive); err != nil {
		return err
	}
	return r.dropArchive()
}

// sync makes dest equal to the staged tree.
func (r *run) sync(ctx context.Context) error {
	r.begun = true
	if err := r.strategy.Sync(ctx, &r.staged); err != nil {
		return err
	}
	r.synced = true
	r.remember(ctx)
	return nil
}

// remember records dest as it is after the sync, before anything else
// changes it.
func (r *run) remember(ctx context.Context) {
	name := r.rec.Tree()
	if name == "" {
		return
	}
	if err := r.save(ctx, name); err != nil {
		r.log.Warn(failure.Sayf("dest can't be recorded, so the next run will deploy in full: %v", err))
		return
	}
	r.recorded = name
}

// save records what is live.
func (r *run) save(ctx context.Context, record string) error {
	skip, err := r.strategy.Skip(r.staged.Excludes)
	if err != nil {
		return err
	}
	live, err := disk.Open(r.live())
	if err != nil {
		return err
	}
	defer live.Close()
	return tree.Save(ctx, live.Root(), skip, r.staged.Excludes, record)
}

// live is the directory that the deployed tree is in.
func (r *run) live() string {
	if r.strategy == nil {
		return r.manifest.Dest
	}
	return r.strategy.Live()
}

// stagedPath is the directory of the staged tree, for messages and for
// programs; "" before there is one.
func (r *run) stagedPath() string {
	if r.staged.Dir == nil {
		return ""
	}
	return r.staged.Dir.Path()
}
