// Package native makes dest what `rsync -a --delete` makes of it, without
// rsync and without a second copy: of the archive only what differs from dest
// is staged, and renamed into place. Killed at any moment, it leaves each path
// old or new, and the next run finishes the job.
//
// Package mirror does the work; this one joins it to a run.
//
// Its words are those of packages strategy and mirror.
package native

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/disk/tree"
	"stretcher/internal/strategy"
	"stretcher/internal/strategy/mirror"
	"stretcher/internal/strategy/preview"
	"stretcher/internal/strategy/staging"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/runid"
)

// Name is what manifests call the strategy, and their key for its options.
const Name = "native"

// Definition is the strategy's line in the list of all.
func Definition() strategy.Definition {
	return strategy.Definition{
		Name:     Name,
		New:      func(t strategy.Target) (strategy.Strategy, error) { return &native{t: t}, nil },
		Sections: []string{Name},
		Patterns: true,
		Default:  true,
	}
}

type native struct {
	t        strategy.Target
	tree     *staging.Tree                           // nil before Stage
	entries  []archive.Entry                         // of the archive
	contents *tree.Contents                          // what is known of the files in dest; nil = nothing
	differs  func(path string, st *unix.Stat_t) bool // in content; nil = to be found out
}

// CheckLayout refuses to delete what another strategy has deployed.
func (n *native) CheckLayout() error { return staging.Spares(&n.t) }

// Check looks for dest.
func (n *native) Check() error { return n.t.NoDest }

// Live is dest.
func (n *native) Live() string { return n.t.Dest.Given }

// OpenLive opens dest.
func (n *native) OpenLive() (*disk.Dir, error) { return staging.OpenDest(&n.t) }

// Skip tells what is excluded.
func (n *native) Skip(list []byte) (func(string, bool) bool, error) { return staging.Skip(&n.t, list) }

// Keeps is the archive: what was in dest before is gone.
func (*native) Keeps() strategy.Keeps { return strategy.Archive }

// Close closes the directory that the tree was staged in.
func (n *native) Close() error { return n.tree.CloseWork() }

// Stage reads the archive once and writes what dest does not have, or all of
// it where others want to look. It stages on dest's mount, so that Sync need
// only rename.
func (n *native) Stage(ctx context.Context, in archive.Input) (strategy.Staged, error) {
	stage := n.differences
	if n.t.Whole {
		stage = n.whole
	}
	if err := stage(ctx, in); err != nil {
		if n.tree != nil {
			_ = staging.Drop(&n.t, n.tree) // the room may be needed for another attempt
			n.tree = nil
		}
		return strategy.Staged{}, err
	}
	return strategy.Staged{Dir: n.tree.Dir, Contents: n.contents}, nil
}

// whole unpacks all of the archive. What the tree is then, Sync finds out: hooks
// may change it until then.
func (n *native) whole(ctx context.Context, in archive.Input) (err error) {
	n.tree, err = staging.Unpack(ctx, &n.t, in, true)
	return err
}

func (n *native) differences(ctx context.Context, in archive.Input) (err error) {
	if n.tree, err = staging.NewTree(&n.t, strategy.Where{SameDevice: true}); err != nil {
		return err
	}
	n.contents = n.t.KnownContents()
	stage, err := n.stage(ctx, n.tree.Dir.Root())
	if err != nil {
		return err
	}
	defer stage.Close()
	f, err := in.Open()
	if err != nil {
		return err
	}
	defer f.Close()
	if built, ok := f.(archive.Rebuilding); ok {
		stage.Expect(n.paths(built))
	}
	entries, res, err := archive.Scan(ctx, f, n.t.Archive, stage)
	if err != nil {
		return staging.ArchiveError(&n.t, err)
	}
	mode, set := staging.RootMode(&n.t, entries[0].Mode, res.HasRoot)
	if !set {
		staging.WarnMode(&n.t, mode)
	}
	entries[0].Mode = fs.ModeDir | mode
	n.entries, n.differs = entries, stage.Differs
	n.t.Log.Info(fmt.Sprintf("read %d entries", res.Entries), "entries", res.Entries, "bytes", res.Bytes)
	return stage.Close()
}

// paths are those of the files in an archive, by its index.
func (n *native) paths(built archive.Rebuilding) iter.Seq[string] {
	files, strip := built.Index().Files, n.t.Archive.Strip
	return func(yield func(string) bool) {
		for i := range files {
			if !yield(archive.Strip(files[i].Path, strip)) {
				return
			}
		}
	}
}

// stage makes the stage that writes what differs from dest into a directory.
func (n *native) stage(ctx context.Context, to *os.Root) (*mirror.Stage, error) {
	opts, err := n.options(nil)
	if err != nil {
		return nil, err
	}
	if n.t.ExcludeFrom != "" {
		opts.Excludes = nil // not known before the archive's own are read
	}
	stage := mirror.NewStage(ctx, preview.PlaceOf(n.t.Dest).Dir, to, opts)
	if n.t.ExcludeFrom != "" {
		stage.Always(path.Clean(n.t.ExcludeFrom))
	}
	return stage, nil
}

// Wants looks what dest has, by its record alone.
func (n *native) Wants(ctx context.Context, in archive.Input) (map[tree.Digest]bool, bool, error) {
	if n.t.Whole || n.t.NoDest != nil {
		return nil, false, nil
	}
	n.contents = n.t.KnownContents()
	stage, err := n.stage(ctx, nil)
	if err != nil {
		return nil, false, err
	}
	defer stage.Close()
	f, err := in.Open()
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	w := &wanting{stage: stage, wants: map[tree.Digest]bool{}}
	quiet := n.t.Archive
	quiet.Warn = nil // all is said when it is staged
	if _, _, err = archive.Scan(ctx, f, quiet, w); err != nil {
		return nil, false, staging.ArchiveError(&n.t, err)
	}
	return w.wants, !w.unknown, nil
}

// wanting notes what a stage would read.
type wanting struct {
	stage   *mirror.Stage
	wants   map[tree.Digest]bool
	unknown bool // a content has no digest
}

// File looks what becomes of a content.
func (w *wanting) File(e archive.Entry, content *archive.Content) error {
	sum, ok := content.Sum()
	if !ok {
		w.unknown = w.unknown || e.Size > 0
		return nil
	}
	wants, err := w.stage.Wants(e, content)
	if wants {
		w.wants[sum] = true
	}
	return err
}

// Link takes its content from another entry.
func (*wanting) Link(archive.Entry, string) error { return nil }

// Drop leaves what was wanted: it is read before it is dropped.
func (*wanting) Drop(string) error { return nil }

// options say what of dest is left alone, and how it is compared. list is the
// text of the archive's exclude list.
func (n *native) options(list []byte) (mirror.Options, error) {
	excludes, err := staging.Excludes(&n.t, list)
	if err != nil {
		return mirror.Options{}, err
	}
	return mirror.Options{
		Excludes: excludes,
		Checksum: n.t.Native.Checksum,
		Contents: n.contents,
		Owners:   os.Geteuid() == 0,
		Groups:   os.Geteuid() != 0,
		Protect:  runid.IsTemp, // runs stage in dest where they must
	}, nil
}

// Sync compares and carries out what is to be done.
func (n *native) Sync(ctx context.Context, s *strategy.Staged) (err error) {
	if err := n.tree.Check(ctx); err != nil {
		return err
	}
	if n.t.Whole {
		if n.entries, err = mirror.FromDir(ctx, s.Dir.Root()); err != nil {
			return err
		}
	}
	staging.Groups(n.entries, staging.GroupIn(n.tree.Work))
	if s.Excludes, err = n.excludeFrom(s); err != nil {
		return err
	}
	opts, err := n.options(s.Excludes)
	if err != nil {
		return err
	}
	opts.TempName = runid.TempPrefix(n.t.Run) + "0"
	opts.Warn = func(msg string) { n.t.Log.Warn(msg) }
	opts.Differs, opts.Tree, opts.Progress = n.differs, s.Dir.Root(), n.t.Progress
	plan, err := mirror.Compare(ctx, n.entries, preview.PlaceOf(n.t.Dest), opts)
	if err != nil {
		return err
	}
	n.say(plan)
	err = plan.Apply(ctx, mirror.Place{
		Path: s.Dir.Path(), Parent: n.tree.Work.Root(), Name: n.tree.Name, Dir: s.Dir.Root(),
	})
	if errors.Is(err, mirror.ErrStale) {
		return failure.Hinted("something else writes there: exclude that, or deploy again", err)
	}
	if err != nil {
		return fmt.Errorf("sync to %q: %w", n.t.Dest.Given, err)
	}
	n.entries, n.differs, s.Paths = nil, nil, plan.Paths()
	return nil
}

// excludeFrom is the text of exclude_from. It may be reached through symlinks,
// which are not staged where they differ not, so that the file may be in dest
// alone: unchanged then.
func (n *native) excludeFrom(s *strategy.Staged) ([]byte, error) {
	name := n.t.ExcludeFrom
	if n.t.Whole || name == "" {
		return staging.ReadExcludeFrom(s.Dir.Root(), name)
	}
	name, err := staging.Resolve(n.entries, path.Clean(name))
	if err != nil {
		return nil, err
	}
	text, err := staging.ReadExcludeFrom(s.Dir.Root(), name)
	if !errors.Is(err, failure.ErrMalformed) || n.t.Dest.Dir == nil {
		return text, err
	}
	return staging.ReadExcludeFrom(n.t.Dest.Dir.Root(), name)
}

// maxNamed is how many changed paths the log names.
const maxNamed = 20

// say says what a sync is about to do.
func (n *native) say(plan *mirror.Plan) {
	tally, all := strategy.Tally{Bytes: plan.Bytes()}, 0
	plan.Each(func(c strategy.Change) {
		tally.Count(c.Kind)
		if all++; all <= maxNamed {
			n.t.Log.Info("sync: " + c.String())
		}
	})
	if all > maxNamed {
		n.t.Log.Info(fmt.Sprintf("sync: and %d more", all-maxNamed))
	}
	n.t.Log.Info(fmt.Sprintf("sync to %q: %s", n.t.Dest.Given, tally),
		"added", tally.Added, "changed", tally.Changed, "deleted", tally.Deleted, "bytes", tally.Bytes)
}

// Diff compares the archive with dest.
func (n *native) Diff(ctx context.Context, in archive.Input) (strategy.Changes, error) {
	return preview.Diff(ctx, &n.t, in, preview.Options{
		Excludes: true, Checksum: n.t.Native.Checksum, Where: &strategy.Where{SameDevice: true},
	})
}
