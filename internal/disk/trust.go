package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"stretcher/internal/text/failure"
)

// What this program runs, or obeys, must be its caller's: a file is trusted
// when it, each directory on the way to it and each symlink there belong to
// root or the caller, and nobody else may write it or rename on the way. A
// sticky directory is no harm above a directory: names of the caller's stay
// there, and nobody else can move a directory of the caller's into it. A file or
// a symlink they can, from a directory of their own, so that none counts there.
//
// A trusted file may be used by its name: nobody else can make the name lead
// elsewhere. A program is, since a script's interpreter opens it by its name.
//
// Errors are failure.ErrRefused where others have a hand in, and name the path
// and who they are.

// OpenTrusted opens a trusted regular file for reading.
func OpenTrusted(path string) (*os.File, error) {
	w, base, err := trustedWay(path)
	if err != nil {
		return nil, err
	}
	defer w.close()
	f, err := openIn(w.last().fd, base, path, os.O_RDONLY, 0, false)
	if errors.Is(err, fs.ErrNotExist) && w.inTarget {
		err = &fs.PathError{Op: "open", Path: path, Err: ErrDangling}
	}
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(int(f.Fd()), &st); err == nil {
		err = w.trust(&st, base)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// TrustedMode judges what a path leads to, and returns its mode. Nothing is
// opened: it may be a program that its caller may run and not read, or
// something else that the caller has no use for.
func TrustedMode(path string) (fs.FileMode, error) {
	w, base, err := trustedWay(path)
	if err != nil {
		return 0, err
	}
	defer w.close()
	var st unix.Stat_t
	if err := unix.Fstatat(w.last().fd, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return 0, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return modeOf(&st), w.trust(&st, base)
}

// OpenTrustedDir is Open for a directory whose entries are run or obeyed: nobody
// else may write it, sticky or not. One that is not there is fs.ErrNotExist only
// if nobody else can have taken it away.
func OpenTrustedDir(path string) (*Dir, error) { return openTrustedDir(path, false) }

// openTrustedDir is OpenTrustedDir; above tells that only a directory in it is
// used, so that it may be sticky.
func openTrustedDir(path string, above bool) (*Dir, error) {
	w, err := walk(path)
	defer w.close()
	switch {
	case w.writers != "": // also where nothing is there: they may have taken it away
		return nil, distrust(w.writers)
	case err != nil:
		return nil, untrusted(err)
	case w.missing != "":
		return nil, &fs.PathError{Op: "open", Path: path, Err: unix.ENOENT}
	case !above && w.last().step.writable():
		return nil, distrust(w.last().step.writers(w.path()))
	}
	return w.open()
}

// trustedWay goes to the directory that a file is in, if nobody else can
// rename on the way there.
func trustedWay(path string) (*walker, string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, "", err
	}
	w, base, err := walkToFile(abs)
	switch {
	case w.writers != "": // also where nothing is there: they may have taken it away
		w.close()
		return nil, "", distrust(w.writers)
	case err != nil:
		return nil, "", untrusted(err)
	}
	return w, base, nil
}

// trust judges what is in a directory where nobody else can rename. Where others
// can make names, a file may be one that they have moved there.
func (w *walker) trust(st *unix.Stat_t, base string) error {
	path, file := filepath.Join(w.path(), base), newStep(st)
	switch {
	case !trusted(file.uid), file.writable() && !(isDir(st) && file.mode&unix.S_ISVTX != 0):
		return distrust(file.writers(path))
	case !isDir(st) && w.last().step.writable():
		return distrust(w.last().step.writers(w.path()))
	}
	return nil
}

// writable tells whether its group or others may write it.
func (s step) writable() bool { return s.mode&0o022 != 0 }

// writers says who else may write at path.
func (s step) writers(path string) string {
	switch {
	case !trusted(s.uid):
		return fmt.Sprintf("%q may be written by uid %d, its owner", path, s.uid)
	case s.mode&0o002 != 0:
		return fmt.Sprintf("%q may be written by everybody", path)
	}
	return fmt.Sprintf("%q may be written by gid %d, its group", path, s.gid)
}

func distrust(why string) error {
	hint := fmt.Sprintf("let root or uid %d alone write it, and all above it: chown, chmod go-w", os.Geteuid())
	if os.Geteuid() == 0 {
		hint = "let root alone write it, and all above it: chown root, chmod go-w"
	}
	return failure.Hinted(hint, failure.Refused("not trusted: %s", why))
}

// untrusted makes a refusal of what a symlink of another user's has led to.
func untrusted(err error) error {
	if errors.Is(err, ErrForeignLink) {
		return failure.Refused("not trusted: %w", err)
	}
	return err
}

func isDir(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFDIR }

// modeOf is the mode as package fs has it, without setuid and the like.
func modeOf(st *unix.Stat_t) fs.FileMode {
	mode := fs.FileMode(st.Mode) & fs.ModePerm
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return mode
	case unix.S_IFDIR:
		return mode | fs.ModeDir
	}
	return mode | fs.ModeIrregular
}

// OpenNearestTrusted is OpenTrustedDir for the directory at path, or the nearest
// one above it that is there; missing are the names from there on.
func OpenNearestTrusted(path string) (dir *Dir, missing []string, err error) {
	for {
		dir, err = openTrustedDir(path, len(missing) > 0)
		if !errors.Is(err, fs.ErrNotExist) || path == filepath.Dir(path) {
			return dir, missing, err
		}
		missing = slices.Insert(missing, 0, filepath.Base(path))
		path = filepath.Dir(path)
	}
}
