// Package releases keeps every deployed tree of a dest beside the others and
// switches between them at once.
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
// It may import internal/disk, internal/archive (what an archive holds) and
// golang.org/x/sys, and nothing else of this module.
package releases

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"

	"stretcher/internal/disk"
)

var (
	// ErrPlain: something else stands where the layout has its directories or
	// its symlink. The error is a *PlainError.
	ErrPlain = errors.New("not a layout of releases")
	// ErrForeign: root would work in a directory of releases that belongs to
	// another user.
	ErrForeign = errors.New("belongs to another user")
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

const idText = `[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}`

var (
	idPattern        = regexp.MustCompile(`^` + idText + `$`)
	currentLeftovers = regexp.MustCompile(`^\.current-` + idText + `$`)
	releaseLeftovers = regexp.MustCompile(`^\.(?:mark|prune)-` + idText + `$`)
	sharedLeftovers  = regexp.MustCompile(`^\.shared-` + idText + `$`)
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
	path     string   // dest, absolute: for messages and for who must be told a name
	above    *os.Root // the directory that dest is in; nil = it isn't there
	dest     *os.Root // nil = it isn't there
	releases *os.Root // nil = it isn't there, or has not been needed
	shared   *os.Root // the same
	uid      int      // whom the caller is
	opts     Options
}

// Open returns the layout at dest, which may be a symlink to a directory and
// need not exist. It creates nothing; Check judges what is there.
func Open(dest string, opts Options) (*Dir, error) {
	path, err := filepath.Abs(dest)
	if err != nil {
		return nil, fmt.Errorf("releases: %w", err)
	}
	d := &Dir{path: path, uid: os.Geteuid(), opts: opts}
	d.above, err = openPath(filepath.Dir(path))
	if err == nil {
		d.dest, err = openPath(path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		d.Close()
		return nil, fmt.Errorf("dest: %w", err)
	}
	return d, nil
}

// Close closes dest and the directories of the layout.
func (d *Dir) Close() {
	d.forget()
	closeAll(&d.above, &d.dest)
}

// forget closes the directories of the layout: a command may have put others
// in their place.
func (d *Dir) forget() { closeAll(&d.releases, &d.shared) }

func closeAll(dirs ...**os.Root) {
	for _, dir := range dirs {
		if *dir != nil {
			_ = (*dir).Close()
			*dir = nil
		}
	}
}

// Path is where the release id is, or would be.
func (d *Dir) Path(id string) string { return filepath.Join(d.releasesPath(), id) }

// CurrentPath is where the symlink to the current release is, or would be.
func (d *Dir) CurrentPath() string { return filepath.Join(d.path, currentName) }

func (d *Dir) releasesPath() string { return filepath.Join(d.path, releasesName) }
func (d *Dir) sharedPath() string   { return filepath.Join(d.path, sharedName) }

// openReleases returns the directory of releases; fs.ErrNotExist when there
// is none.
func (d *Dir) openReleases() (*os.Root, error) { return d.open(&d.releases, releasesName) }

// openShared returns the directory of what releases share.
func (d *Dir) openShared() (*os.Root, error) { return d.open(&d.shared, sharedName) }

// open opens a directory of the layout, once. Not through a symlink: the links
// from a release to shared are relative, and would lead elsewhere.
func (d *Dir) open(dir **os.Root, name string) (*os.Root, error) {
	if *dir != nil {
		return *dir, nil
	}
	if !d.found() {
		return nil, &fs.PathError{Op: "open", Path: filepath.Join(d.path, name), Err: fs.ErrNotExist}
	}
	opened, err := openDir(d.dest, name)
	if err != nil {
		return nil, err
	}
	*dir = opened
	return opened, nil
}

// Check returns a *PlainError that names the path where something other than
// the layout's own stands, and ErrForeign when root works in somebody else's
// directory of releases. What does not exist yet is fine. The directories that
// Check opens are those that everything works in until it is called again.
func (d *Dir) Check() error {
	if !d.found() {
		return d.checkMissing()
	}
	d.forget()
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

// checkMissing tells a dest that isn't there from one that can't be one.
func (d *Dir) checkMissing() error {
	if d.above == nil {
		return nil // Prepare says so
	}
	info, err := d.above.Lstat(filepath.Base(d.path))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("dest: %w", err)
	case info.Mode()&fs.ModeSymlink != 0:
		return plain(d.path, "is a symlink to nothing")
	default:
		return plain(d.path, "is not a directory")
	}
}

// found tells whether dest is there. A command may have made it.
func (d *Dir) found() bool {
	if d.dest == nil && d.above != nil {
		d.dest, _ = openDir(d.above, filepath.Base(d.path))
	}
	return d.dest != nil
}

// checkOwner refuses a directory of releases that another user may fill: the
// marks in it say what is live and what to go back to.
func (d *Dir) checkOwner() error {
	if d.releases == nil || d.uid != 0 {
		return nil
	}
	info, err := d.releases.Stat(".")
	if err != nil {
		return fmt.Errorf("dest: %w", err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 0 {
		return fmt.Errorf("%q %w: user %d may change what is live", d.releasesPath(), ErrForeign, uid)
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

// Prepare makes dest and the directory of releases (0755) where missing, and
// returns the name of the latter: the place to stage a release, since it is on
// the releases' file system. The directory above dest must be there: it may be
// where a file system is to be mounted, or misspelt.
func (d *Dir) Prepare() (string, error) {
	if err := d.makeDest(); err != nil {
		return "", err
	}
	if err := d.Check(); err != nil {
		return "", err
	}
	if d.releases == nil {
		made, err := makeDir(d.dest, releasesName)
		if err != nil {
			return "", fmt.Errorf("make directory of releases: %w", err)
		}
		d.releases = made
	}
	return d.releasesPath(), d.checkOwner()
}

// makeDest makes dest where it is missing.
func (d *Dir) makeDest() (err error) {
	if d.found() {
		return nil
	}
	if err := d.checkMissing(); err != nil {
		return err
	}
	if d.above == nil {
		return fmt.Errorf("make dest: the directory above it, %q, is not there: %w", filepath.Dir(d.path), fs.ErrNotExist)
	}
	if d.dest, err = makeDir(d.above, filepath.Base(d.path)); err != nil {
		return fmt.Errorf("make dest: %w", err)
	}
	return nil
}

// Current returns the id of the release that current leads to, which need not
// be there any more; ok is false when there is no current. A current that is
// no symlink into releases is a *PlainError.
func (d *Dir) Current() (id string, ok bool, err error) {
	if !d.found() {
		return "", false, nil
	}
	info, err := d.dest.Lstat(currentName)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", false, nil
	case err != nil:
		return "", false, fmt.Errorf("current release: %w", err)
	case info.Mode()&fs.ModeSymlink == 0:
		return "", false, plain(d.CurrentPath(), "is %s, not a symlink into %q", kind(info.Mode()), releasesName)
	}
	target, err := d.dest.Readlink(currentName)
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
	if dir == releasesName || dir == d.releasesPath() {
		return true
	}
	real, err := filepath.EvalSymlinks(d.path)
	return err == nil && dir == filepath.Join(real, releasesName)
}

// Switch makes current lead to the release id, which must exist, by one
// rename: whoever opens current gets the one release or the other. With
// ErrUnsynced it has switched; with every other error it has not.
func (d *Dir) Switch(id string) error {
	if err := d.switchTo(id); err != nil {
		return fmt.Errorf("switch: %w", err)
	}
	if err := d.syncDir(d.dest, d.path); err != nil {
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
	temp := newCurrent + id
	if err := d.dest.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return at(d.path, err)
	}
	if err := d.dest.Symlink(filepath.Join(releasesName, id), temp); err != nil {
		return at(d.path, err)
	}
	if err := d.dest.Rename(temp, currentName); err != nil {
		_ = d.dest.Remove(temp)
		// On NFS a rename whose answer was lost is tried again, and fails.
		if now, _, _ := d.Current(); now != id {
			return at(d.path, err)
		}
	}
	return nil
}

// exists returns an error unless the release id is there.
func (d *Dir) exists(id string) error {
	if !idPattern.MatchString(id) {
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

// sweep removes from a directory of the layout what a killed run left there.
func sweep(dir *os.Root, name *regexp.Regexp) (left error) {
	entries, err := fs.ReadDir(dir.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !name.MatchString(e.Name()) {
			continue
		}
		left = also(left, disk.RemoveAll(dir, e.Name()))
	}
	return left
}
