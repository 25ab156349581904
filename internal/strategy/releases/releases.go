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

	"stretcher/internal/disk"
)

var (
	// ErrPlain: something else stands where the layout has its directories or
	// its symlink. The error is a *PlainError.
	ErrPlain = errors.New("not a layout of releases")
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

// Dir is a dest in the layout of releases.
type Dir struct {
	path string // absolute
	opts Options
}

// Open returns the layout at dest, which may be a symlink to a directory and
// need not exist. It creates nothing; Check judges what is there.
func Open(dest string, opts Options) (*Dir, error) {
	path, err := filepath.Abs(dest)
	if err != nil {
		return nil, fmt.Errorf("releases: %w", err)
	}
	return &Dir{path: path, opts: opts}, nil
}

// Path is where the release id is, or would be.
func (d *Dir) Path(id string) string { return filepath.Join(d.releases(), id) }

// CurrentPath is where the symlink to the current release is, or would be.
func (d *Dir) CurrentPath() string { return filepath.Join(d.path, currentName) }

func (d *Dir) releases() string { return filepath.Join(d.path, releasesName) }
func (d *Dir) shared() string   { return filepath.Join(d.path, sharedName) }

// Check returns a *PlainError that names the path where something other than
// the layout's own stands. What does not exist yet is fine.
func (d *Dir) Check() error {
	info, err := os.Stat(d.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Lstat(d.path); err == nil {
			return plain(d.path, "is a symlink to nothing")
		}
		return nil
	case err != nil:
		return fmt.Errorf("dest: %w", err)
	case !info.IsDir():
		return plain(d.path, "is not a directory")
	}
	// Not through symlinks: the links from a release to shared are relative,
	// and would lead elsewhere.
	for _, path := range []string{d.releases(), d.shared()} {
		info, err := os.Lstat(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("dest: %w", err)
		}
		if err == nil && !info.IsDir() {
			return plain(path, "is %s, not a directory", kind(info.Mode()))
		}
	}
	_, _, err = d.Current()
	return err
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
// returns the latter: the place to stage a release, since it is on the
// releases' file system. The directory above dest must be there: it may be
// where a file system is to be mounted, or misspelt.
func (d *Dir) Prepare() (string, error) {
	if err := d.Check(); err != nil {
		return "", err
	}
	err := os.Mkdir(d.path, 0o755)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("make dest: the directory above it, %q, is not there: %w", filepath.Dir(d.path), err)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("make dest: %w", err)
	}
	if err := makeDir(d.releases()); err != nil {
		return "", fmt.Errorf("make directory of releases: %w", err)
	}
	return d.releases(), nil
}

// makeDir makes a directory with mode 0755, whatever the umask; one that
// exists is left alone.
func makeDir(path string) error {
	err := os.Mkdir(path, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Chmod(path, 0o755)
}

// Current returns the id of the release that current leads to, which need not
// be there any more; ok is false when there is no current. A current that is
// no symlink into releases is a *PlainError.
func (d *Dir) Current() (id string, ok bool, err error) {
	path := d.CurrentPath()
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", false, nil
	case err != nil:
		return "", false, fmt.Errorf("current release: %w", err)
	case info.Mode()&fs.ModeSymlink == 0:
		return "", false, plain(path, "is %s, not a symlink into %q", kind(info.Mode()), releasesName)
	}
	target, err := os.Readlink(path)
	if err != nil {
		return "", false, fmt.Errorf("current release: %w", err)
	}
	dir, id := filepath.Split(filepath.Clean(target))
	if !d.isReleases(filepath.Clean(dir)) || id == ".." {
		return "", false, plain(path, "leads to %q, not into %q", target, releasesName)
	}
	return id, true, nil
}

// isReleases tells whether the directory part of current's target means the
// releases. Absolute ones are other programs' or people's.
func (d *Dir) isReleases(dir string) bool {
	if dir == releasesName || dir == d.releases() {
		return true
	}
	real, err := filepath.EvalSymlinks(d.path)
	return err == nil && dir == filepath.Join(real, releasesName)
}

// Switch makes current lead to the release id, which must exist, by one
// rename: whoever opens current gets the one release or the other. With
// ErrUnsynced it has switched; with every other error it has not.
func (d *Dir) Switch(id string) error {
	if _, _, err := d.Current(); err != nil {
		return fmt.Errorf("switch: %w", err)
	}
	if err := d.exists(id); err != nil {
		return fmt.Errorf("switch: %w", err)
	}
	temp := filepath.Join(d.path, newCurrent+id)
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("switch: %w", err)
	}
	if err := os.Symlink(filepath.Join(releasesName, id), temp); err != nil {
		return fmt.Errorf("switch: %w", err)
	}
	if err := os.Rename(temp, d.CurrentPath()); err != nil {
		_ = os.Remove(temp)
		// On NFS a rename whose answer was lost is tried again, and fails.
		if now, _, _ := d.Current(); now != id {
			return fmt.Errorf("switch: %w", err)
		}
	}
	if err := d.syncDir(d.path); err != nil {
		return fmt.Errorf("%w: %w", ErrUnsynced, err)
	}
	return nil
}

// exists returns an error unless the release id is there.
func (d *Dir) exists(id string) error {
	if !idPattern.MatchString(id) {
		return fmt.Errorf("%q is not a run id", id)
	}
	info, err := os.Lstat(d.Path(id))
	if err != nil {
		return fmt.Errorf("release: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("release %q is not a directory", d.Path(id))
	}
	return nil
}

// syncDir puts the names in a directory on the disk.
func (d *Dir) syncDir(path string) error {
	if !d.opts.Sync {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

// sweep removes from a directory of the layout what a killed run left there.
func sweep(dir string, name *regexp.Regexp) (left error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !name.MatchString(e.Name()) {
			continue
		}
		left = also(left, disk.RemovePath(filepath.Join(dir, e.Name())))
	}
	return left
}
