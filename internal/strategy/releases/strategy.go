package releases

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/disk/confined"
	"stretcher/internal/strategy"
	"stretcher/internal/strategy/staging"
	"stretcher/internal/text/failure"
)

// Name is what manifests call the strategy.
const Name = "releases"

// Definition is the strategy's line in the list of all.
func Definition() strategy.Definition {
	return strategy.Definition{
		Name:        Name,
		New:         func(t strategy.Target) (strategy.Strategy, error) { return newDeployment(t), nil },
		Sections:    []string{"releases", "rollback"},
		Patterns:    true,
		Deployments: deployments,
	}
}

// deployment makes one release live: a new one, or one that is there.
type deployment struct {
	t      strategy.Target
	dir    *Dir // nil where dest could not be opened
	id     string
	before string // the release that was live; "" = none
	tree   *staging.Tree
	// How far it has come.
	added    bool // the release is there, or a part of it
	switched bool // it is live
	failed   bool // the run has: Revert was called
}

func newDeployment(t strategy.Target) *deployment {
	d := &deployment{t: t, id: cmp.Or(t.Releases.Back, t.Run)}
	if t.NoDest == nil {
		d.dir = In(t.Dest, Options{Sync: true})
	}
	return d
}

func (d *deployment) goesBack() bool { return d.t.Releases.Back != "" }

// CheckLayout refuses what stands where the layout has its own.
func (d *deployment) CheckLayout() (err error) {
	if d.dir == nil {
		return nil
	}
	if err := d.dir.Check(); err != nil {
		return explained(err)
	}
	d.before, _, err = d.dir.Current()
	return err
}

// explained adds what to do about an error of the layout.
func explained(err error) error {
	var plain *PlainError
	switch {
	case errors.As(err, &plain):
		hint := fmt.Sprintf("move it away, for example: mv %[1]s %[1]s.old", plain.Path)
		return failure.Hinted(hint, failure.Refused("%w", err))
	case errors.Is(err, ErrForeign):
		hint := "deploy as its owner, or let it belong to root if you trust what is in it"
		return failure.Hinted(hint, failure.Refused("%w", err))
	case errors.Is(err, ErrWritable):
		return failure.Hinted("look what is in it, then let nobody else write there: chmod go-w DIRECTORY",
			failure.Refused("%w", err))
	case errors.Is(err, ErrShared):
		hint := `a shared path is taken from the first release that has it; ` +
			`write "log/" for a directory that starts empty`
		return failure.Hinted(hint, err)
	}
	return err
}

// Check looks for dest.
func (d *deployment) Check() error { return d.t.NoDest }

// Stage unpacks the archive on the releases' file system.
func (d *deployment) Stage(ctx context.Context, in archive.Input) (strategy.Staged, error) {
	if d.goesBack() {
		dir, err := d.dir.release(d.id)
		return strategy.Staged{Dir: dir}, err
	}
	if err := d.dir.Prepare(); err != nil {
		return strategy.Staged{}, explained(err)
	}
	tree, err := staging.UnpackAt(ctx, &d.t, in, strategy.Where{
		SameDevice: true, Dest: d.dir.place(), Into: d.dir.releases,
	})
	if err != nil {
		return strategy.Staged{}, err
	}
	d.tree = tree
	return tree.Staged(), nil
}

// Close closes the directories of the layout, and the one that the tree was
// staged in. Where nothing was deployed, those that were made for it are gone.
func (d *deployment) Close() error {
	if d.dir != nil {
		if !d.switched {
			d.dir.Unmake()
		}
		d.dir.Close()
	}
	return d.tree.CloseWork()
}

// release opens a release.
func (d *Dir) release(id string) (*disk.Dir, error) {
	if err := d.exists(id); err != nil {
		return nil, err
	}
	return d.releases.Sub(id)
}

// strip removes from a staged tree what is not deployed, and returns the
// archive's exclude list.
func (d *deployment) strip(ctx context.Context, tree *os.Root) (list []byte, err error) {
	if list, err = staging.ReadExcludeFrom(tree, d.t.ExcludeFrom); err != nil {
		return nil, err
	}
	if len(d.t.Excludes) == 0 && len(list) == 0 {
		return list, nil
	}
	excludes, err := staging.Excludes(&d.t, list)
	if err != nil {
		return nil, err
	}
	return list, confined.Each(ctx, tree, func(name string, st *unix.Stat_t, err error) error {
		if err != nil || !excludes.Excluded(name, confined.FileType(st) == fs.ModeDir) {
			return err
		}
		if err := keepTime(tree, path.Dir(name), func() error { return tree.RemoveAll(name) }); err != nil {
			return err
		}
		return fs.SkipDir
	})
}

// share lets files that have not changed share their room with the release
// before, where the file system can.
func (d *deployment) share(ctx context.Context, tree *os.Root) error {
	if d.before == "" {
		return nil
	}
	saved, err := d.dir.Reuse(ctx, tree, d.before, cmp.Or(Link(d.t.Releases.Link), Reflink))
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		return err // the staged tree can't be relied upon any more
	}
	if saved.Files > 0 {
		size := humanize.IBytes(uint64(saved.Bytes))
		d.t.Log.Info(fmt.Sprintf("%d unchanged files share %s with release %s", saved.Files, size, d.before))
	}
	return nil
}

// Sync makes the staged tree a release, if it is not one, and switches to it.
func (d *deployment) Sync(ctx context.Context, s *strategy.Staged) (err error) {
	if !d.goesBack() {
		if s.Excludes, err = d.prepare(ctx, s.Dir.Root()); err != nil {
			return err
		}
		if err := d.add(ctx); err != nil {
			return explained(err)
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	err = d.switchTo(d.id)
	d.switched = hasSwitched(err)
	return err
}

// prepare removes what is excluded from the staged tree and lets its files share
// their room with those of the release before. Not earlier: hooks that work on
// the tree must not write to a release by a hard link, and what they have
// written may be excluded.
func (d *deployment) prepare(ctx context.Context, tree *os.Root) (list []byte, err error) {
	if err := d.tree.Check(ctx); err != nil {
		return nil, err
	}
	if list, err = d.strip(ctx, tree); err != nil {
		return nil, err
	}
	return list, d.share(ctx, tree)
}

func (d *deployment) add(ctx context.Context) error {
	d.added = true // or a part of it
	return d.dir.Add(ctx, d.tree.Work.Root(), d.tree.Name, Release{
		ID: d.id, Name: d.t.Name, Version: d.t.Version, Checksum: d.t.Checksum,
	}, d.t.Releases.Shared)
}

// switchTo makes a release live. An error that hasSwitched tells from others
// says that it may not stay so.
func (d *deployment) switchTo(id string) error {
	err := d.dir.Switch(id)
	if hasSwitched(err) {
		d.t.Log.Info(fmt.Sprintf("%q is release %s now", d.Live(), id))
	}
	return err
}

// hasSwitched tells whether current leads to the release, be it on the disk
// yet or not.
func hasSwitched(err error) bool { return err == nil || errors.Is(err, ErrUnsynced) }

// Live is the symlink to the release.
func (d *deployment) Live() string { return In(d.t.Dest, Options{}).CurrentPath() }

// OpenLive opens the release that the run has made live, or has found live.
func (d *deployment) OpenLive() (*disk.Dir, error) {
	id := d.live()
	if id == "" {
		return nil, &fs.PathError{Op: "open", Path: d.Live(), Err: fs.ErrNotExist}
	}
	return d.dir.release(id)
}

// Skip tells what is excluded: a release does not have it.
func (d *deployment) Skip(list []byte) (func(string, bool) bool, error) {
	return staging.Skip(&d.t, list)
}

// Keeps is the release itself. One that was there has its manifest already.
func (d *deployment) Keeps() strategy.Keeps {
	if d.goesBack() {
		return strategy.Nothing
	}
	return strategy.Itself
}
