package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"stretcher/internal/text/failure"
)

// Dest is the place of a deployment, resolved once.
type Dest struct {
	Parent  *Dir   // the directory above it
	Name    string // its name there
	Dir     *Dir   // it; nil when it is not there
	IsMount bool   // a file system is mounted on it
	Given   string // as the manifest names it

	way Way
}

// Errors of OpenDest that its caller may want to explain.
var (
	ErrNotDir   = errors.New("is not a directory")
	ErrDangling = errors.New("is a symlink that leads nowhere")
	ErrNoParent = errors.New("there is no directory")
)

// OpenDest opens a dest, or the directory above it when it is not there. It
// follows symlinks as Open does. Only the last directory of a dest may be
// missing, so that a mistyped one makes no path.
func OpenDest(path string) (*Dest, error) {
	w, err := walk(path)
	if err != nil {
		return nil, destError(path, len(w.todo) == 0, err)
	}
	defer w.close()
	switch {
	case w.missing != "" && w.inTarget:
		return nil, fmt.Errorf("dest %q %w", path, ErrDangling)
	case w.missing == "" && len(w.way) == 1:
		return nil, fmt.Errorf("dest %q is %q", path, "/")
	}
	return newDest(w)
}

func newDest(w *walker) (*Dest, error) {
	d := &Dest{Name: w.missing, Given: w.given, way: wayOf(w)}
	above := w.way
	if w.missing == "" {
		above = w.way[:len(w.way)-1]
		d.Name = w.last().name
	}
	parent, err := openPlace(above)
	if err != nil {
		return nil, fmt.Errorf("dest: %w", err)
	}
	d.Parent = parent
	if w.missing != "" {
		return d, nil
	}
	if d.Dir, err = w.open(); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("dest: %w", err)
	}
	d.IsMount = !sameMount(int(parent.file.Fd()), int(d.Dir.file.Fd()))
	return d, nil
}

// destError explains why a dest can't be opened, at its last name or before.
func destError(path string, last bool, err error) error {
	switch {
	case errors.Is(err, unix.ENOTDIR) && last:
		return fmt.Errorf("dest %q %w", path, ErrNotDir)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("dest: %w %q", ErrNoParent, filepath.Dir(path))
	}
	return fmt.Errorf("dest: %w", err)
}

// Path is the dest as the manifest names it.
func (d *Dest) Path() string { return d.Given }

// Real is the name of what was opened, without symlinks. A policy judges it.
func (d *Dest) Real() string { return filepath.Join(d.Parent.Path(), d.Name) }

// Way is how the dest was come to when it was opened.
func (d *Dest) Way() Way { return d.way }

// OpenDir opens the dest for a caller who closes it: the directory that was
// opened before, or what has come to be at its name since, which no symlink
// leads to.
func (d *Dest) OpenDir() (*Dir, error) {
	if d.Dir != nil {
		return d.Dir.Again()
	}
	return d.Parent.Sub(d.Name)
}

// IsSame tells whether another dest that was opened is the same directory, or is missing
// in the same one.
func (d *Dest) IsSame(other *Dest) bool {
	if d.Parent == nil || other.Parent == nil || d.Name != other.Name || !isSame(d.Parent, other.Parent) {
		return false
	}
	if d.Dir == nil || other.Dir == nil {
		return d.Dir == other.Dir
	}
	return isSame(d.Dir, other.Dir)
}

// isSame tells whether two open directories are one.
func isSame(a, b *Dir) bool {
	is, err := a.File().Stat()
	if err != nil {
		return false
	}
	other, err := b.File().Stat()
	return err == nil && os.SameFile(is, other)
}

// Close closes what is open of the dest. It may be called again.
func (d *Dest) Close() error {
	err := d.Parent.Close()
	if d.Dir != nil {
		err = errors.Join(err, d.Dir.Close())
	}
	return err
}

// ExplainDest adds what to do about a dest that can't be opened.
func ExplainDest(dest string, err error) error {
	switch {
	case errors.Is(err, ErrNoParent):
		return failure.Hinted("make it, for example in a pre command: mkdir -p "+filepath.Dir(dest), err)
	case errors.Is(err, ErrForeignLink):
		return failure.Hinted("name in dest where it leads, or let it belong to root: chown -h root LINK",
			failure.Refused("%w", err))
	}
	return err
}

// Below reports whether name is dir or lies in it.
func Below(name, dir string) bool {
	rel, err := filepath.Rel(dir, name)
	return err == nil && filepath.IsLocal(rel)
}
