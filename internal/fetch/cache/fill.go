package cache

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk"
)

// Put adds an archive, whose checksum the caller has verified, if it is not here
// already. A file that disk.Unnamed has made on the pool's file system gets a
// further name, so that it takes room once; any other is copied. The file stays the caller's, and open; where it
// is read next is not said. What has to go for it goes: see Trim.
//
// The error is ErrTooLarge for one that is larger than all that may be here, and
// wraps disk.ErrNoRoom when too little would stay free.
func (p *Pool) Put(checksum string, f *os.File) error {
	if p == nil || p.reads {
		return nil
	}
	if err := p.put(checksum, f); err != nil {
		return fmt.Errorf("keep archive %s: %w", checksum, err)
	}
	return nil
}

func (p *Pool) put(checksum string, f *os.File) error {
	name, err := fileOf(checksum, "")
	if err != nil {
		return err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return disk.ErrIrregular
	case info.Size() > p.max:
		return fmt.Errorf("%w: %d bytes, of %d", ErrTooLarge, info.Size(), p.max)
	}
	p.Sweep()
	linked, size := false, info.Size()
	if links(info) > 0 { // it takes room already, and goes on doing so
		size = 0
	}
	err = p.locked(func() error {
		if linked = p.holds(name, info); linked {
			return nil
		}
		if err := p.room(size, 0); err != nil {
			return err
		}
		if linked = disk.LinkOwn(f, p.root, name) == nil; linked {
			p.touch(f)
		}
		return nil
	})
	if err == nil && !linked {
		err = p.write(name, info.Size(), func(to *os.File) error {
			_, err := io.Copy(to, io.NewSectionReader(f, 0, info.Size()))
			return err
		})
	}
	return err
}

// PutIndex adds the index of the archive with this checksum, in the place of the
// one that is here.
func (p *Pool) PutIndex(archive string, data []byte) error {
	if p == nil || p.reads {
		return nil
	}
	name, err := fileOf(archive, indexSuffix)
	if err == nil && int64(len(data)) > p.max {
		err = fmt.Errorf("%w: %d bytes, of %d", ErrTooLarge, len(data), p.max)
	}
	if err == nil {
		err = p.write(name, int64(len(data)), func(to *os.File) error {
			_, err := to.Write(data)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("keep the index of archive %s: %w", archive, err)
	}
	return nil
}

// holds tells whether a file like that is here already.
func (p *Pool) holds(name string, like fs.FileInfo) bool {
	info, err := p.root.Lstat(name)
	if err == nil && info.Mode().IsRegular() && own(info) && info.Size() == like.Size() {
		return true
	}
	if err == nil { // whatever it is, it is in the way
		_ = p.remove(name)
	}
	return false
}

// links is how many names a file has.
func links(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Nlink)
	}
	return 0
}

// write makes a file of what fill writes, completely or not at all.
func (p *Pool) write(name string, size int64, fill func(*os.File) error) (err error) {
	err = p.locked(func() error { return p.room(size, size) })
	if err != nil {
		return err
	}
	temp := ".new-" + rand.Text()
	f, err := p.root.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()                                                           // which gives the mark back as well
	if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil { // against Sweep
		err = fill(f)
	}
	if err == nil {
		p.touch(f)
		err = p.locked(func() error { return disk.Rename(p.root, temp, p.root, name) })
	}
	if err != nil {
		return errors.Join(err, p.root.Remove(temp)) // or Sweep does
	}
	return nil
}

// temporaryFile are the names of files that are written.
var temporaryFile = regexp.MustCompile(`^\.(new|stretcher)-[0-9A-Z]+$`)

// Sweep removes what killed runs have left, and nothing that a live one writes.
func (p *Pool) Sweep() {
	if p == nil || p.reads {
		return
	}
	names, _ := p.names()
	for _, name := range names {
		if temporaryFile.MatchString(name) {
			p.sweep(name)
		}
	}
}

func (p *Pool) sweep(name string) {
	f, err := disk.OpenRegularIn(p.root, name, os.O_RDONLY, 0)
	if err != nil {
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || time.Since(info.ModTime()) < settled {
		return
	}
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
		_ = p.root.Remove(name)
	}
}

// settled is how old a file must be before Sweep looks at it: between its making
// and its mark there is a moment.
const settled = time.Minute

func (p *Pool) names() ([]string, error) {
	dir, err := p.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Readdirnames(-1)
}

// Trim removes what was not used for the longest time, until what is here and
// nowhere else fits beside others bytes into what the pool may hold. An archive
// that an entry of a Store has as well takes no room here, and stays.
func (p *Pool) Trim(others int64) error {
	if p == nil || p.reads {
		return nil
	}
	p.Sweep()
	return p.locked(func() error { return p.fit(p.max - others) })
}

// Spare makes room on the pool's file system for what is made of an archive, as
// far as the pool takes room there.
func (p *Pool) Spare(archive *os.File) {
	info, err := archive.Stat()
	if p == nil || p.reads || err != nil || p.place.Room(unpacked*info.Size()) == nil {
		return
	}
	_ = p.locked(func() error { return p.spare(info.Size()) })
}

// GiveWay gives all room back that the pool takes, if that can mend an error of a
// full file system, and tells whether it has done so. What a server announces may
// be more than there ever was: nothing goes for that.
func (p *Pool) GiveWay(full error) bool {
	if p == nil || p.reads {
		return false
	}
	held, _ := p.held()
	total := int64(0)
	for _, h := range held {
		total += h.size
	}
	return len(held) > 0 && p.place.Helps(total, full) && p.locked(func() error { return p.fit(0) }) == nil
}

// unpacked is how much room an archive is thought to need on its way, in times of
// its size: itself, the staged tree, and what changes in dest.
const unpacked = 10

func (p *Pool) spare(size int64) error {
	for p.place.Room(unpacked*size) != nil {
		held, err := p.held()
		if err != nil || len(held) == 0 {
			return err
		}
		if err := p.remove(held[0].name); err != nil {
			return err
		}
	}
	return nil
}

// room makes room for size bytes more, in the pool and on its file system: what is
// in the pool alone is never more than what stays free beside it, since deployments
// come first. Of the size, more is still to be written.
func (p *Pool) room(size, more int64) error {
	if err := cmp.Or(p.fit(p.max-size), p.spare(size)); err != nil {
		return err
	}
	for {
		held, err := p.held()
		if err != nil {
			return err
		}
		total := size
		for _, h := range held {
			total += h.size
		}
		lack := p.place.Room(total + more + margin)
		if lack == nil || len(held) == 0 {
			return lack
		}
		if err := p.remove(held[0].name); err != nil {
			return err
		}
	}
}

// fit removes files until those left have at most most bytes.
func (p *Pool) fit(most int64) (err error) {
	held, err := p.held()
	if err != nil {
		return err
	}
	total := int64(0)
	for _, h := range held {
		total += h.size
	}
	for _, h := range held {
		if total <= most {
			break
		}
		total -= h.size
		err = cmp.Or(err, p.remove(h.name))
	}
	return err
}

// held is a file that takes room here.
type held struct {
	name string
	size int64
	used time.Time
}

// held are the files that take room here, the one that was not used for the
// longest time first.
func (p *Pool) held() (all []held, err error) {
	names, err := p.names()
	if err != nil {
		return nil, fmt.Errorf("read cache %q: %w", p.place.Path(), err)
	}
	for _, name := range names {
		info, err := p.root.Lstat(name)
		if err != nil || !key.MatchString(name) {
			continue
		}
		if links(info) < 2 {
			all = append(all, held{name, info.Size(), info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b held) int { return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.name, b.name)) })
	return all, nil
}
