package cache

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk"
)

// Put adds an archive, whose checksum the caller has verified, if it is not here
// already. One in files that disk.Unnamed has made on the pool's file system gets
// further names, so that it takes room once; any other is copied, and put together. It
// stays the caller's, and open; where it is read next is not said. What has to go for it
// goes: see Trim. A whole one takes the place of one in pieces.
//
// The error is ErrTooLarge for one that is larger than all that may be here, and
// wraps disk.ErrNoRoom when too little would stay free.
func (p *Pool) Put(checksum string, a *Archive) error {
	if p == nil || p.reads {
		return nil
	}
	if err := p.put(checksum, a); err != nil {
		return fmt.Errorf("keep archive %s: %w", checksum, err)
	}
	return nil
}

func (p *Pool) put(checksum string, a *Archive) error {
	name, err := fileOf(checksum, "")
	if err != nil {
		return err
	}
	size, err := a.Size()
	if err != nil {
		return err
	}
	all, more, err := a.room()
	switch {
	case err != nil:
		return err
	case all > p.max:
		return fmt.Errorf("%w: %d bytes, of %d", ErrTooLarge, all, p.max)
	}
	p.Sweep()
	linked := false
	err = p.locked(func() (err error) {
		if linked = p.holds(name, a, size); linked {
			return nil
		}
		linked, err = p.take(name, a, more)
		return err
	})
	if err == nil && !linked {
		err = p.write(name, size, func(to *os.File) error { return a.Compose(context.Background(), to) })
	}
	return err
}

// take gives an archive its names here, and tells whether it can have them. Where a whole
// one comes, what it was in pieces goes at last.
func (p *Pool) take(name string, a *Archive, more int64) (bool, error) {
	if a.parts != nil {
		return p.takePieces(name, a)
	}
	if err := p.room(more, 0); err != nil {
		return false, err
	}
	if a.link(p.root, name) != nil {
		return false, nil
	}
	p.touch(a)
	return true, p.clear(name+partsSuffix, name+baseSuffix)
}

// takePieces does so for an archive in pieces. It has its names before there is room made
// for them: its base may lose the name that it had here.
func (p *Pool) takePieces(name string, a *Archive) (bool, error) {
	if err := p.clear(name+partsSuffix, name+baseSuffix); err != nil {
		return false, err
	}
	if a.link(p.root, name) != nil {
		return false, nil
	}
	p.touch(a)
	err := p.room(0, 0)
	if err == nil && !isHere(p.root, name, a.size) {
		err = disk.ErrNoRoom
	}
	if err != nil {
		return false, errors.Join(err, p.clear(name+partsSuffix, name+baseSuffix))
	}
	return true, nil
}

// room is how much room the files of an archive take, and how much of that they do not
// take already, and go on doing so.
func (a *Archive) room() (all, more int64, err error) {
	for _, f := range []*os.File{a.base, a.parts} {
		if f == nil {
			continue
		}
		info, err := f.Stat()
		if err != nil {
			return 0, 0, err
		}
		all += info.Size()
		if nodeOf(info).names == 0 {
			more += info.Size()
		}
	}
	return all, more, nil
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

// holds tells whether an archive like that is here already.
func (p *Pool) holds(name string, like *Archive, size int64) bool {
	_, missing := p.root.Lstat(name)
	if isHere(p.root, name, size) {
		return missing == nil || like.parts != nil
	}
	if missing == nil { // whatever it is, it is in the way
		_ = p.clear(name)
	}
	return false
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
		p.touch(Whole(f))
		err = p.locked(func() error {
			if err := disk.Rename(p.root, temp, p.root, name); err != nil {
				return err
			}
			return p.clear(name+partsSuffix, name+baseSuffix)
		})
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
		unit, suffix, _ := unitOf(name)
		switch {
		case temporaryFile.MatchString(name):
			p.sweep(name)
		case suffix == baseSuffix && !slices.Contains(names, unit+partsSuffix):
			_ = p.locked(func() error { return p.clearHalf(unit) })
		}
	}
}

// clearHalf removes a base whose parts have not come to have a name.
func (p *Pool) clearHalf(unit string) error {
	if _, err := p.root.Lstat(unit + partsSuffix); errors.Is(err, fs.ErrNotExist) {
		return p.clear(unit + baseSuffix)
	}
	return nil
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
	return len(held) > 0 && p.place.Helps(roomOfHeld(held), full) && p.locked(func() error { return p.fit(0) }) == nil
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
		total := size + roomOfHeld(held)
		lack := p.place.Room(total + more + margin)
		if lack == nil || len(held) == 0 {
			return lack
		}
		if err := p.remove(held[0].name); err != nil {
			return err
		}
	}
}

// fit removes what was not used for the longest time until those left take at most most
// bytes.
func (p *Pool) fit(most int64) (err error) {
	held, err := p.held()
	if err != nil {
		return err
	}
	slices.Reverse(held)
	out := surplus(held, func(u unit) []node { return u.files }, most)
	for _, u := range slices.Backward(out) {
		err = cmp.Or(err, p.remove(u.name))
	}
	return err
}

// unit is an archive or index that takes room here.
type unit struct {
	name  string
	files []node // those that are nowhere else
	used  time.Time
}

func roomOfHeld(held []unit) int64 {
	var all []node
	for _, u := range held {
		all = append(all, u.files...)
	}
	return roomOf(all)
}

// held are those that take room here, the one that was not used for the longest time
// first.
func (p *Pool) held() (all []unit, err error) {
	names, err := p.names()
	if err != nil {
		return nil, fmt.Errorf("read cache %q: %w", p.place.Path(), err)
	}
	units, here := map[string]*unit{}, map[fileID]uint64{}
	for _, name := range names {
		info, err := p.root.Lstat(name)
		of, suffix, ok := unitOf(name)
		if err != nil || !ok {
			continue
		}
		u := units[of]
		if u == nil {
			u = &unit{name: of}
			units[of] = u
		}
		n := nodeOf(info)
		here[n.id]++
		if u.files = append(u.files, n); suffix != baseSuffix { // which may be another one as well
			u.used = info.ModTime()
		}
	}
	for _, u := range units {
		if u.files = slices.DeleteFunc(u.files, func(n node) bool { return n.names > here[n.id] }); len(u.files) > 0 {
			all = append(all, *u)
		}
	}
	slices.SortFunc(all, func(a, b unit) int { return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.name, b.name)) })
	return all, nil
}
