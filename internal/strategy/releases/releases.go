// Package releases keeps every deployed tree of a dest beside the others and
// switches between them at once. Dir is the layout on the disk and what can be
// done with it; Definition is the strategy that works with it.
//
// Its words: a release is one deployed tree, DEST/releases/RUN_ID; current is
// the symlink DEST/current, which always leads to one whole release; a mark is
// the small file DEST/releases/RUN_ID.json that says how a release fared; a
// shared path stands once, in DEST/shared, and each release has a symlink to
// it. A release is pending until it is marked good or bad; one without a
// readable mark counts as bad. It is sound when it is good and nobody has
// rolled back from it.
//
// Releases are ordered by a sequence number in their marks, not by time: a
// clock may be set back.
//
// Killed at any moment, the package leaves current as it was or as it shall
// be, and what it leaves besides has names that begin with a dot and hold the
// run id; the next Prune removes it. Whoever calls what changes the layout
// holds the lock of dest.
//
// Dir imports disk, disk/confined, text/* and golang.org/x/sys; the strategy also strategy,
// staging, preview, mirror, filter and archive.
package releases

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk"
	"stretcher/internal/text/runid"
)

var (
	// ErrPlain: something else stands where the layout has its directories or
	// its symlink. The error is a *PlainError.
	ErrPlain = errors.New("not a layout of releases")
	// ErrForeign: root would work in a directory of releases that belongs to
	// another user.
	ErrForeign = errors.New("belongs to another user")
	// ErrWritable: root would work in a directory of releases that others may
	// write in.
	ErrWritable = errors.New("may be written by others")
	// ErrUnsynced: current leads to the new release, but may not after a power
	// cut.
	ErrUnsynced = errors.New("switched, but not known to be on disk")
)

// PlainError says what stands in the way of the layout. It matches ErrPlain.
type PlainError struct {
	Path string // what to move away: dest, or its current, releases or shared
	what string
}

// Error names the path and what it is.
func (e *PlainError) Error() string { return fmt.Sprintf("%q %s: %v", e.Path, e.what, ErrPlain) }

// Unwrap is ErrPlain.
func (*PlainError) Unwrap() error { return ErrPlain }

func plain(path, format string, args ...any) error {
	return &PlainError{path, fmt.Sprintf(format, args...)}
}

// Names below dest.
const (
	releasesName = "releases"
	sharedName   = "shared"
	currentName  = "current"
	markSuffix   = ".json"
)

// Prefixes of temporary names; a run id follows.
const (
	newCurrent = ".current-" // in dest
	newMark    = ".mark-"    // in releases
	pruned     = ".prune-"   // in releases
	newShared  = ".shared-"  // in the staged tree, and in shared beside the target
)

// Options say how a Dir works.
type Options struct {
	// Sync makes Add, Switch, Mark and Prune wait until what they rely on is
	// on the disk, so that current leads to a whole release after a power cut
	// too.
	Sync bool
}

// Dir is a dest in the layout of releases. Dest and the directories of the
// layout are opened once, and everything in them is reached through them:
// their names may lead elsewhere the next moment, since dest may belong to
// another user.
type Dir struct {
	at       *disk.Dest
	releases *disk.Dir // nil = it isn't there, or has not been needed
	shared   *disk.Dir // the same
	own      bool      // at is its own to close
	uid      int       // whom the caller is
	made     []made    // by this Dir
	opts     Options
}

// made is a directory that was made.
type made struct {
	in   *disk.Dir
	name string
}

// Open opens the layout at the path of a dest, which need not exist. It
// creates nothing; Check judges what is there.
func Open(path string, opts Options) (*Dir, error) {
	at, err := disk.OpenDest(path)
	if err != nil {
		return nil, err
	}
	d := In(at, opts)
	d.own = true
	return d, nil
}

// In returns the layout at an open dest, which stays the caller's to close.
func In(at *disk.Dest, opts Options) *Dir {
	return &Dir{at: at, uid: os.Geteuid(), opts: opts}
}

// Close closes the directories of the layout.
func (d *Dir) Close() {
	for _, dir := range []**disk.Dir{&d.releases, &d.shared} {
		if *dir != nil {
			_ = (*dir).Close()
			*dir = nil
		}
	}
	if d.own {
		_ = d.at.Close()
	}
}

// Path is where the release id is, or would be.
func (d *Dir) Path(id string) string { return filepath.Join(d.releasesPath(), id) }

// CurrentPath is where the symlink to the current release is, or would be.
func (d *Dir) CurrentPath() string { return filepath.Join(d.at.Given, currentName) }

func (d *Dir) releasesPath() string { return filepath.Join(d.at.Given, releasesName) }
func (d *Dir) sharedPath() string   { return filepath.Join(d.at.Given, sharedName) }

// openReleases returns the directory of releases; fs.ErrNotExist when there
// is none.
func (d *Dir) openReleases() (*os.Root, error) { return d.open(&d.releases, releasesName) }

// openShared returns the directory of what releases share.
func (d *Dir) openShared() (*os.Root, error) { return d.open(&d.shared, sharedName) }

// open opens a directory of the layout, once. Not through a symlink: the links
// from a release to shared are relative, and would lead elsewhere.
func (d *Dir) open(dir **disk.Dir, name string) (*os.Root, error) {
	if *dir != nil {
		return (*dir).Root(), nil
	}
	if d.at.Dir == nil {
		return nil, &fs.PathError{Op: "open", Path: filepath.Join(d.at.Given, name), Err: fs.ErrNotExist}
	}
	info, err := d.at.Dir.Root().Lstat(name)
	if err != nil {
		return nil, at(d.at.Given, err)
	}
	if !info.IsDir() {
		return nil, notDir(info.Mode())
	}
	opened, err := d.at.Dir.Sub(name)
	if err != nil {
		return nil, err
	}
	*dir = opened
	return opened.Root(), nil
}

// Check returns a *PlainError that names the path where something other than
// the layout's own stands, and ErrForeign or ErrWritable when root works in a
// directory of releases that others may fill. What does not exist yet is fine.
func (d *Dir) Check() error {
	for _, place := range []struct {
		open func() (*os.Root, error)
		path string
	}{{d.openReleases, d.releasesPath()}, {d.openShared, d.sharedPath()}} {
		_, err := place.open()
		var other *notDirError
		switch {
		case errors.As(err, &other):
			return plain(place.path, "is %s, not a directory", kind(other.mode))
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("dest: %w", err)
		}
	}
	if err := d.checkOwner(); err != nil {
		return err
	}
	_, _, err := d.Current()
	return err
}

// checkOwner refuses a directory of releases that another user may fill: the
// marks in it say what is live and what to go back to.
func (d *Dir) checkOwner() error {
	if d.releases == nil || d.uid != 0 {
		return nil
	}
	info, err := d.releases.Root().Stat(".")
	if err != nil {
		return fmt.Errorf("dest: %w", err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 0 {
		return fmt.Errorf("%q %w: user %d may change what is live", d.releasesPath(), ErrForeign, uid)
	}
	// Nor does the sticky bit help: it keeps nobody from adding a release.
	if mode := info.Mode(); mode.Perm()&0o022 != 0 {
		return fmt.Errorf("%q %w, who could change what is live: its mode is %04o",
			d.releasesPath(), ErrWritable, mode.Perm())
	}
	return nil
}

// kind names the type of a file.
func kind(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode.IsRegular():
		return "a file"
	case mode&fs.ModeSymlink != 0:
		return "a symlink"
	default:
		return "a special file"
	}
}

// Prepare makes dest and the directory of releases (0755) where missing.
func (d *Dir) Prepare() (err error) {
	if d.at.Dir == nil {
		if d.at.Dir, err = d.make(d.at.Parent, d.at.Name); err != nil {
			return fmt.Errorf("make dest: %w", err)
		}
	}
	if err := d.Check(); err != nil || d.releases != nil {
		return err
	}
	if d.releases, err = d.make(d.at.Dir, releasesName); err != nil {
		return fmt.Errorf("make directory of releases: %w", err)
	}
	return nil
}

// place is the directory of releases, for who looks for another one on its file
// system: that may be another than dest's.
func (d *Dir) place() *disk.Dest {
	return &disk.Dest{Parent: d.at.Dir, Name: releasesName, Dir: d.releases, Given: d.releasesPath()}
}

// dirMode is the mode of the directories of the layout.
const dirMode = 0o755

// make makes dest or a directory in it, with its mode whatever the umask.
func (d *Dir) make(in *disk.Dir, name string) (*disk.Dir, error) {
	dir, err := in.Make(name, dirMode)
	if err != nil {
		return nil, err
	}
	d.made = append(d.made, made{in, name})
	if err := dir.File().Chmod(dirMode); err != nil {
		_ = dir.Close()
		return nil, err
	}
	return dir, nil
}

// Unmake removes the directories that Prepare and Add have made here, save those
// that hold something by now.
func (d *Dir) Unmake() {
	for _, m := range slices.Backward(d.made) {
		_ = unix.Unlinkat(int(m.in.File().Fd()), m.name, unix.AT_REMOVEDIR) // removes no more than an empty directory
	}
	d.made = nil
}

// Current returns the id of the release that current leads to, which need not
// be there any more; ok is false when there is no current. A current that is
// no symlink into releases is a *PlainError.
func (d *Dir) Current() (id string, ok bool, err error) {
	if d.at.Dir == nil {
		return "", false, nil
	}
	dest := d.at.Dir.Root()
	info, err := dest.Lstat(currentName)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", false, nil
	case err != nil:
		return "", false, fmt.Errorf("current release: %w", err)
	case info.Mode()&fs.ModeSymlink == 0:
		return "", false, plain(d.CurrentPath(), "is %s, not a symlink into %q", kind(info.Mode()), releasesName)
	}
	target, err := dest.Readlink(currentName)
	if err != nil {
		return "", false, fmt.Errorf("current release: %w", err)
	}
	dir, id := filepath.Split(filepath.Clean(target))
	if !d.isReleases(filepath.Clean(dir)) || id == ".." {
		return "", false, plain(d.CurrentPath(), "leads to %q, not into %q", target, releasesName)
	}
	return id, true, nil
}

// isReleases tells whether the directory part of current's target means the
// releases. Absolute ones are other programs' or people's.
func (d *Dir) isReleases(dir string) bool {
	return dir == releasesName || dir == d.releasesPath() || dir == filepath.Join(d.at.Real(), releasesName)
}

// Switch makes current lead to the release id, which must exist, by one
// rename: whoever opens current gets the one release or the other. With
// ErrUnsynced it has switched; with every other error it has not.
func (d *Dir) Switch(id string) error {
	if err := d.switchTo(id); err != nil {
		return fmt.Errorf("switch: %w", err)
	}
	if err := d.syncDir(d.at.Dir.Root(), d.at.Given); err != nil {
		return fmt.Errorf("%w: %w", ErrUnsynced, err)
	}
	return nil
}

func (d *Dir) switchTo(id string) error {
	if _, _, err := d.Current(); err != nil {
		return err
	}
	if err := d.exists(id); err != nil {
		return err
	}
	dest, temp := d.at.Dir.Root(), newCurrent+id
	if err := dest.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return at(d.at.Given, err)
	}
	if err := dest.Symlink(filepath.Join(releasesName, id), temp); err != nil {
		return at(d.at.Given, err)
	}
	if err := dest.Rename(temp, currentName); err != nil {
		_ = dest.Remove(temp)
		// On NFS a rename whose answer was lost is tried again, and fails.
		if now, _, _ := d.Current(); now != id {
			return at(d.at.Given, err)
		}
	}
	return nil
}

// exists returns an error unless the release id is there.
func (d *Dir) exists(id string) error {
	if !runid.Is(id) {
		return fmt.Errorf("%q is not a run id", id)
	}
	in, err := d.openReleases()
	if err != nil {
		return fmt.Errorf("release: %w", err)
	}
	info, err := in.Lstat(id)
	if err != nil {
		return fmt.Errorf("release: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("release %q is not a directory", d.Path(id))
	}
	return nil
}

// syncDir puts the names in a directory on the disk.
func (d *Dir) syncDir(dir *os.Root, path string) error {
	if !d.opts.Sync {
		return nil
	}
	f, err := dir.Open(".")
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		return fmt.Errorf("sync directory: %w", at(path, err))
	}
	return nil
}

// sweep removes from a directory of the layout what a killed run left there:
// names of one of the prefixes and a run id.
func sweep(dir *os.Root, prefixes ...string) (left error) {
	entries, err := fs.ReadDir(dir.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if isLeftover(e.Name(), prefixes) {
			left = also(left, disk.RemoveAll(dir, e.Name()))
		}
	}
	return left
}

func isLeftover(name string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool {
		id, ok := strings.CutPrefix(name, prefix)
		return ok && runid.Is(id)
	})
}
