package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk"
)

// ErrTooLarge: an archive is larger than all that a pool may hold.
var ErrTooLarge = errors.New("larger than all that may be kept")

// Pool holds archives, and their indexes, by the archives' checksums, whoever
// deployed them: what has been fetched once is not fetched again. It is bounded;
// what was not used for the longest time goes first. What is in it is only a
// claim: who takes an archive verifies it, and drops one that is not what its
// name says.
//
// A file appears by its name in one step, so that there is never half of one,
// whoever is killed. Several processes may use one pool at once. A nil Pool
// holds nothing and takes nothing.
type Pool struct {
	place *disk.Dir
	root  *os.Root
	max   int64
	reads bool // nothing is changed

	// Warn is told of files that are dropped. It must be set before the first
	// call; nil means nobody is told.
	Warn func(error)
}

// OpenPool opens the pool in dir, which it makes (mode 0700) when it is missing.
// It holds max bytes; 0 = none, for which there is no pool. A dir that another
// user but root can write to is refused.
func OpenPool(dir string, max int64) (*Pool, error) {
	if max <= 0 {
		return nil, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open cache: %w", err)
	}
	return openPool(dir, max)
}

// OpenPoolReading is OpenPool of a pool that is there, for who changes nothing.
func OpenPoolReading(dir string) (*Pool, error) {
	p, err := openPool(dir, 0)
	if err == nil {
		p.reads = true
	}
	return p, err
}

func openPool(dir string, max int64) (*Pool, error) {
	place, err := openOwn(dir)
	if err != nil {
		return nil, fmt.Errorf("open cache: %w", err)
	}
	return &Pool{place: place, root: place.Root(), max: max}, nil
}

// Close closes the pool.
func (p *Pool) Close() error {
	if p == nil {
		return nil
	}
	return p.place.Close()
}

// Path is the pool's directory, "" for none.
func (p *Pool) Path() string {
	if p == nil {
		return ""
	}
	return p.place.Path()
}

// indexSuffix ends the name of an archive's index.
const indexSuffix = ".idx"

// key is what a file in the pool is called: ALGORITHM-DIGEST, where an archive's
// key may go on. What an archive lies in that is not whole has names of its own.
var key = regexp.MustCompile(`^([a-z0-9]{1,16}-[0-9a-f]{8,128}(?:-[0-9a-f]{1,64})?(?:\.idx)?)(\.parts|\.base)?$`)

// unitOf is the archive or index that a file of the pool is of.
func unitOf(name string) (unit, suffix string, ok bool) {
	m := key.FindStringSubmatch(name)
	if m == nil || m[2] != "" && strings.HasSuffix(m[1], indexSuffix) {
		return "", "", false
	}
	return m[1], m[2], true
}

// fileOf is the name of what has this checksum.
func fileOf(checksum, suffix string) (string, error) {
	name := strings.Replace(checksum, ":", "-", 1) + suffix
	if unit, _, ok := unitOf(name); !ok || unit != name {
		return "", fmt.Errorf("%q is no checksum", checksum)
	}
	return name, nil
}

// Archive opens the archive with this checksum, which counts as used now. The
// caller verifies and closes it. Its files stay whatever happens to the pool.
func (p *Pool) Archive(checksum string) (*Archive, bool) {
	return p.open(checksum, "", func(name string) (*Archive, error) {
		a, err := openArchive(p.root, name, checksum)
		if errors.Is(err, fs.ErrNotExist) { // it may just have been put together by others
			a, err = openArchive(p.root, name, checksum)
		}
		return a, err
	})
}

// Index opens the index of the archive with this checksum, which need not be
// here itself.
func (p *Pool) Index(archive string) (*os.File, bool) {
	a, ok := p.open(archive, indexSuffix, func(name string) (*Archive, error) {
		f, err := openSound(p.root, name)
		return Whole(f), err
	})
	if !ok {
		return nil, false
	}
	return a.File(), true
}

// open opens what the caller may trust to be nobody else's. What is not so is dropped.
func (p *Pool) open(checksum, suffix string, open func(name string) (*Archive, error)) (*Archive, bool) {
	if p == nil {
		return nil, false
	}
	name, err := fileOf(checksum, suffix)
	if err != nil {
		return nil, false
	}
	a, err := open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false
	}
	if err != nil {
		p.refuse(name, err)
		return nil, false
	}
	p.touch(a)
	return a, true
}

// touch notes that an archive was used. Of one in pieces, the parts tell: the base may
// be another one as well.
func (p *Pool) touch(a *Archive) {
	f := a.base
	if a.parts != nil {
		f = a.parts
	}
	if !p.reads {
		now := unix.NsecToTimeval(time.Now().UnixNano())
		_ = unix.Futimes(int(f.Fd()), []unix.Timeval{now, now}) // or it goes earlier
	}
}

// sound tells whether nobody but root and the caller can change an open file.
func sound(f *os.File) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !own(info):
		return errors.New("it belongs to somebody else")
	case info.Mode().Perm()&0o022 != 0:
		return errors.New("others may write it")
	}
	return nil
}

// refuse drops what can't be used.
func (p *Pool) refuse(name string, why error) {
	if p.Warn != nil {
		p.Warn(fmt.Errorf("%q is dropped from the cache: %w", filepath.Join(p.place.Path(), name), why))
	}
	_ = p.locked(func() error { return p.remove(name) })
}

// Drop removes what has this checksum.
func (p *Pool) Drop(checksum string) error {
	name, err := fileOf(checksum, "")
	if p == nil || p.reads || err != nil {
		return err
	}
	return p.locked(func() error { return p.remove(name) })
}

// DropFile removes the archives that lie in a file which is not what it should be. When
// others are there by now, they stay.
func (p *Pool) DropFile(bad *os.File) error {
	if p == nil || p.reads {
		return nil
	}
	return p.locked(func() error {
		names, err := p.names()
		for _, name := range names {
			if unit, _, ok := unitOf(name); ok && isAt(p.root, name, bad) {
				err = cmp.Or(err, p.remove(unit))
			}
		}
		return err
	})
}

// DropIndex drops the index of the archive with this checksum, and warns why.
func (p *Pool) DropIndex(archive string, why error) {
	if name, err := fileOf(archive, indexSuffix); err == nil && p != nil && !p.reads {
		p.refuse(name, why)
	}
}

// IsOf tells whether a file is one that the archive with this checksum lies in here.
func (p *Pool) IsOf(checksum string, f *os.File) bool {
	name, err := fileOf(checksum, "")
	if p == nil || err != nil {
		return false
	}
	return slices.ContainsFunc(files(name), func(name string) bool { return isAt(p.root, name, f) })
}

// remove removes an archive or index, whatever is there by its name.
func (p *Pool) remove(unit string) error { return p.clear(files(unit)...) }

// clear removes what is there by names.
func (p *Pool) clear(names ...string) (err error) {
	for _, name := range names {
		if p.reads {
			break
		}
		if failed := disk.RemoveAll(p.root, name); !errors.Is(failed, fs.ErrNotExist) {
			err = cmp.Or(err, failed)
		}
	}
	return err
}

// locked does something while no other process changes the pool. It is waited
// for, unless one has the lock and goes no further.
func (p *Pool) locked(do func() error) error {
	if p.reads {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lockWait)
	defer cancel()
	unlock, err := lock(ctx, p.root)
	if err != nil {
		return fmt.Errorf("cache %q: %w", p.place.Path(), err)
	}
	defer unlock()
	return do()
}
