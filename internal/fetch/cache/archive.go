package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sort"

	"stretcher/internal/disk"
)

// Archive is an archive that is here, open. It is whole, in a file of its own, or
// lies in pieces of two files: of its base, which is another archive, and of its
// parts, which hold what that does not have. A base is whole, so that there is
// never a chain of them.
type Archive struct {
	base  *os.File // all of it, where there are no parts
	parts *os.File // nil = it is whole
	key   string   // what it is called here; "" = that is not known
	shape
}

// Whole is an archive in a file; nil = there is none. Closing it closes the file.
func Whole(f *os.File) *Archive {
	if f == nil {
		return nil
	}
	return &Archive{base: f}
}

// File is the file that the archive is whole in; nil = it lies in pieces.
func (a *Archive) File() *os.File {
	if a == nil || a.parts != nil {
		return nil
	}
	return a.base
}

// Parts is the file that a part of the archive lies in, and Base the other one, with
// the key that this had when it was whole. They are for who finds out which of them is
// damaged.
func (a *Archive) Parts() *os.File { return a.parts }

// Base is described at Parts.
func (a *Archive) Base() (f *os.File, key string) { return a.base, a.baseKey }

// Size is that of the archive, in bytes, however it lies here.
func (a *Archive) Size() (int64, error) {
	if a.parts != nil {
		return a.size, nil
	}
	info, err := a.base.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("the archive is %w", disk.ErrIrregular)
	}
	return info.Size(), nil
}

// Close closes the archive's files.
func (a *Archive) Close() error {
	if a.parts == nil {
		return a.base.Close()
	}
	return errors.Join(a.base.Close(), a.parts.Close())
}

// ReadAt reads the archive.
func (a *Archive) ReadAt(p []byte, off int64) (n int, err error) {
	if a.parts == nil {
		return a.base.ReadAt(p, off)
	}
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	for _, l := range a.within(off, int64(len(p))) {
		m, err := a.fileOf(l).ReadAt(p[n:n+int(l.size)], l.at)
		n += m
		if m < int(l.size) {
			return n, err
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// fileOf is the file that a piece lies in. The place of one in the parts counts from
// the beginning of that file.
func (a *Archive) fileOf(l piece) *os.File {
	if l.inParts {
		return a.parts
	}
	return a.base
}

// within are the pieces of size bytes at a place of an archive, as far as it goes.
func (a *Archive) within(off, size int64) (all []piece) {
	i := sort.Search(len(a.pieces), func(i int) bool { return a.pieces[i].off+a.pieces[i].size > off })
	for ; i < len(a.pieces) && size > 0; i++ {
		l := a.pieces[i]
		skip := off - l.off
		l.at, l.off, l.size = l.at+skip, off, min(l.size-skip, size)
		all = append(all, l)
		off, size = off+l.size, size-l.size
	}
	return all
}

// copyTo copies the archive. io.Copy uses copy_file_range(2) where there is one, which
// shares the blocks on file systems that can.
func (a *Archive) copyTo(ctx context.Context, to *os.File) error {
	if a.parts != nil {
		return a.Compose(ctx, to)
	}
	if _, err := a.base.Seek(0, io.SeekStart); err != nil {
		return err
	}
	size, err := a.Size()
	for left := size; left > 0 && err == nil; left -= chunk {
		if err = context.Cause(ctx); err == nil {
			_, err = io.CopyN(to, a.base, min(left, chunk))
		}
	}
	if err != nil && context.Cause(ctx) == nil {
		return fmt.Errorf("copy the archive: %w", err)
	}
	return err
}

// Compose writes all of the archive to a file. Who takes that for the archive
// verifies it.
func (a *Archive) Compose(ctx context.Context, to io.Writer) error {
	size, err := a.Size()
	if err != nil {
		return err
	}
	from := io.NewSectionReader(a, 0, size)
	for left := size; left > 0; left -= chunk {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if _, err := io.CopyN(to, from, min(left, chunk)); err != nil {
			return fmt.Errorf("put the archive together: %w", err)
		}
	}
	return nil
}

// What the files are called that an archive lies in, behind what a whole one is called.
// The base has its name first and loses it last: an archive is here as long as its parts
// have one.
const (
	baseSuffix  = ".base"
	partsSuffix = ".parts"
)

// openArchive opens an archive by its name in a directory. The error is
// fs.ErrNotExist where there is none.
func openArchive(dir *os.Root, name, key string) (*Archive, error) {
	f, err := openSound(dir, name)
	if err == nil {
		return &Archive{base: f, key: key}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	base, err := openSound(dir, name+baseSuffix)
	if err != nil {
		return nil, err
	}
	parts, err := openSound(dir, name+partsSuffix)
	if err != nil {
		return nil, errors.Join(err, base.Close())
	}
	a := &Archive{base: base, parts: parts, key: key}
	if !isAt(dir, name+baseSuffix, base) { // others have put another there meanwhile
		return nil, errors.Join(fs.ErrNotExist, a.Close())
	}
	if a.shape, err = readShape(parts); err == nil {
		err = a.fits()
	}
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// isAt tells whether a name is that of an open file.
func isAt(dir *os.Root, name string, f *os.File) bool {
	there, err := dir.Lstat(name)
	if err != nil {
		return false
	}
	info, err := f.Stat()
	return err == nil && os.SameFile(there, info)
}

// openSound opens a file that nobody but root and the caller can change.
func openSound(dir *os.Root, name string) (*os.File, error) {
	f, err := disk.OpenRegularIn(dir, name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	if err := sound(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// fits tells whether the base may be the one that the parts are of.
func (a *Archive) fits() error {
	info, err := a.base.Stat()
	if err == nil && info.Size() != a.baseSize {
		err = fmt.Errorf("%w: its base has another size", errShape)
	}
	return err
}

// link gives an archive names in a directory of the same file system, so that it takes
// no room there.
func (a *Archive) link(dir *os.Root, name string) error {
	if a.parts == nil {
		return disk.LinkOwn(a.base, dir, name)
	}
	if err := disk.LinkOwn(a.base, dir, name+baseSuffix); err != nil {
		return err
	}
	if err := disk.LinkOwn(a.parts, dir, name+partsSuffix); err != nil {
		return errors.Join(err, dir.Remove(name+baseSuffix))
	}
	return nil
}

// files are what an archive may lie in, in the order in which they go.
func files(name string) []string { return []string{name + partsSuffix, name, name + baseSuffix} }

// isHere tells whether an archive of some size is in a directory by its name, as far as
// that shows without reading it.
func isHere(dir *os.Root, name string, size int64) bool {
	info, err := dir.Lstat(name)
	if err == nil {
		return info.Mode().IsRegular() && own(info) && info.Size() == size
	}
	base, err := dir.Lstat(name + baseSuffix)
	if err != nil || !base.Mode().IsRegular() || !own(base) {
		return false
	}
	parts, err := openSound(dir, name+partsSuffix)
	if err != nil {
		return false
	}
	defer parts.Close()
	s, err := readHead(parts)
	return err == nil && s.size == size && s.baseSize == base.Size()
}
