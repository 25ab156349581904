package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"stretcher/internal/disk"
	"stretcher/internal/text/runid"
)

// Private makes the private directories of a run. Each is noted before it is
// made, so that there is no moment at which a kill leaves one that nobody
// knows of.
type Private struct {
	journal *Journal
	dirs    []privateDir // that are there
	made    int          // how many there have been
}

// privateDir is known by the open directory that it was made in.
type privateDir struct {
	parent *disk.Dir
	name   string
	hold   *os.File // says that it is in use; nil where the file system knows no locks
}

// NewPrivate returns what makes the directories of the journal's run.
func NewPrivate(j *Journal) *Private { return &Private{journal: j} }

// Make makes a directory in the best place that is wanted, which may be in the
// state directory. The caller closes it; Remove removes it.
func (p *Private) Make(w disk.Wanted) (*disk.Dir, error) {
	places, err := disk.Places(p.withState(w))
	if err != nil {
		return nil, err
	}
	for i, place := range places {
		var dir *disk.Dir
		if dir, err = p.makeIn(place); err == nil {
			for _, other := range places[i+1:] {
				_ = other.Close()
			}
			return dir, nil
		}
	}
	return nil, err
}

// Above opens the directory that Make would make one in.
func (p *Private) Above(w disk.Wanted) (*disk.Dir, error) { return disk.Private(p.withState(w)) }

// Check tells whether there is a place for what is wanted. It makes nothing.
func (p *Private) Check(w disk.Wanted) error {
	dir, err := p.Above(w)
	if err != nil {
		return err
	}
	return dir.Close()
}

func (p *Private) withState(w disk.Wanted) disk.Wanted {
	if dir := p.journal.State(); dir != nil {
		w.State = dir.Path()
	}
	return w
}

// Path makes a directory for a program that is told its path.
func (p *Private) Path(w disk.Wanted) (string, error) {
	dir, err := p.Make(w)
	if err != nil {
		return "", err
	}
	return dir.Path(), dir.Close()
}

// makeIn makes a directory, and keeps the one that it is in.
func (p *Private) makeIn(parent *disk.Dir) (*disk.Dir, error) {
	d := privateDir{parent: parent, name: runid.TempPrefix(p.journal.run.ID) + strconv.Itoa(p.made)}
	p.made++
	p.journal.Leave(d.path())
	disk.Sweep(parent, runid.IsTemp)
	dir, err := parent.Make(d.name, 0o700)
	if err != nil {
		_ = parent.Close()
		return nil, err
	}
	// Says that the directory is in use, to runs that have no history to ask.
	if hold, err := disk.Hold(dir.Root()); err == nil { // some file systems know no locks
		d.hold = hold
	}
	p.dirs = append(p.dirs, d)
	return dir, nil
}

// Drop removes a directory that Make has made, with all that is in it.
func (p *Private) Drop(dir *disk.Dir) error {
	i := slices.IndexFunc(p.dirs, func(d privateDir) bool { return d.path() == dir.Path() })
	if i < 0 {
		return fmt.Errorf("%q is no directory of this run", dir.Path())
	}
	d := p.dirs[i]
	p.dirs = slices.Delete(p.dirs, i, i+1)
	defer d.close()
	return d.remove()
}

// Remove removes all directories that are there.
func (p *Private) Remove() (err error) {
	for _, d := range p.dirs {
		err = errors.Join(err, d.remove())
		d.close()
	}
	p.dirs = nil
	return err
}

func (d privateDir) path() string { return filepath.Join(d.parent.Path(), d.name) }

// remove removes it and leaves the time of the directory that it was in: that
// may be dest.
func (d privateDir) remove() error {
	info, statErr := d.parent.File().Stat()
	err := disk.RemoveAll(d.parent.Root(), d.name)
	if statErr == nil { // not ours to change, perhaps
		_ = d.parent.Root().Chtimes(".", time.Time{}, info.ModTime())
	}
	return err
}

func (d privateDir) close() {
	if d.hold != nil {
		_ = d.hold.Close()
	}
	_ = d.parent.Close()
}
