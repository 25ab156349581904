package mirror

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/disk/confined"
	"stretcher/internal/disk/tree"
)

// outline makes the digest of a content that may have holes: of its size, of all its
// blocks that are not zeros alone, and of where they are. So holes need not be read.
type outline struct {
	hash  hash.Hash
	block []byte
	at    int64 // the block that block is
	end   int   // all of block that may not be zeros
}

// add takes bytes of the content that begin at an offset behind all those before.
func (o *outline) add(at int64, p []byte) {
	for len(p) > 0 {
		if i := at / tree.BlockSize; i != o.at {
			o.flush()
			o.at = i
		}
		off := int(at % tree.BlockSize)
		n := copy(o.block[off:], p)
		o.end = off + n
		at, p = at+int64(n), p[n:]
	}
}

func (o *outline) flush() {
	if p := bytes.TrimRight(o.block[:o.end], "\x00"); len(p) > 0 {
		o.number(o.at)
		o.number(int64(len(p)))
		_, _ = o.hash.Write(p)
	}
	clear(o.block[:o.end])
	o.end = 0
}

func (o *outline) number(n int64) {
	_, _ = o.hash.Write(binary.LittleEndian.AppendUint64(nil, uint64(n)))
}

// sum is the digest, when all of the content has been added.
func (o *outline) sum(size int64) *identity {
	o.flush()
	o.number(size)
	return &identity{tree.Digest(o.hash.Sum(nil)), byOutline}
}

// begin begins with a content.
func (d *digest) begin() *outline {
	d.reset()
	o := &d.outline
	if o.block == nil {
		o.hash, o.block = sha256.New(), make([]byte, tree.BlockSize)
	}
	o.hash.Reset()
	clear(o.block[:o.end])
	o.at, o.end = 0, 0
	return o
}

// outlineOf reads a content.
func (d *digest) outlineOf(content *archive.Content) (*identity, error) {
	o := d.begin()
	for at := int64(0); ; {
		if hole := content.Hole(); hole > 0 {
			at += hole
			if err := content.PassHole(); err != nil {
				return nil, err
			}
			continue
		}
		n, err := content.Read(d.block)
		o.add(at, d.block[:n])
		at += int64(n)
		switch {
		case err == io.EOF:
			return o.sum(at), nil
		case err != nil:
			return nil, err
		}
	}
}

// outlineIn reads what the file system has of a file. It is of no content if the file
// gets shorter meanwhile.
func (d *digest) outlineIn(f *os.File, size int64) (*identity, error) {
	o := d.begin()
	err := readData(d.ctx, f, size, d.block, func(at int64, p []byte) (bool, error) {
		o.add(at, p)
		return true, nil
	})
	if err == io.EOF {
		return &identity{by: byOutline}, nil
	}
	return o.sum(size), err
}

// hasOutline tells whether the file at a spot of dest has that content. If it has, the
// file is known.
func (d *digest) hasOutline(at *spot, is *identity) (same bool, err error) {
	f, st, err := openSettled(at)
	if errors.Is(err, unix.EACCES) { // another's, that the caller can't read
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	has, err := d.outlineIn(f, st.Size)
	if err != nil || *has != *is {
		return false, err
	}
	d.found(&st)
	return true, nil
}

// found notes that a file was found to be what it is to be. Its sums are not made.
func (d *digest) found(st *unix.Stat_t) {
	if !d.contents.IsSame(st) {
		d.contents.Add(st, nil)
	}
}

// eachData calls fn for each part between from and to that is no hole. Where a
// file system does not tell, there is none.
func eachData(f *os.File, from, to int64, fn func(start, end int64) error) error {
	for from < to {
		start, err := unix.Seek(int(f.Fd()), from, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) || err == nil && start >= to {
			return nil
		}
		end := to
		if err != nil {
			start = from
		} else if hole, err := unix.Seek(int(f.Fd()), start, unix.SEEK_HOLE); err == nil {
			end = min(hole, to)
		}
		if err := fn(start, end); err != nil {
			return err
		}
		from = end
	}
	return nil
}

// readData reads the first size bytes of a file but for its holes, into buf, and gives
// them to fn as long as that wants more; io.EOF if the file has become shorter.
func readData(
	ctx context.Context, f *os.File, size int64, buf []byte, fn func(at int64, p []byte) (more bool, err error),
) error {
	more := true
	return eachData(f, 0, size, func(start, end int64) error {
		for start < end && more {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			n, err := f.ReadAt(buf[:min(int64(len(buf)), end-start)], start)
			if err != nil && (err != io.EOF || n == 0) {
				return err
			}
			if more, err = fn(start, buf[:n]); err != nil {
				return err
			}
			start += int64(n)
		}
		return nil
	})
}

// sameData tells whether what a has, b has too, of two files of one size.
func sameData(ctx context.Context, a, b *os.File, size int64) (same bool, err error) {
	same = true
	other := make([]byte, copySize)
	err = readData(ctx, a, size, make([]byte, copySize), func(at int64, p []byte) (bool, error) {
		n, err := b.ReadAt(other[:len(p)], at)
		if err != nil && err != io.EOF {
			return false, err
		}
		same = n == len(p) && bytes.Equal(p, other[:n])
		return same, nil
	})
	if err == io.EOF { // a has become shorter
		return false, nil
	}
	return same, err
}

// sameHoles tells whether two files of one size have one content.
func sameHoles(ctx context.Context, a, b *os.File, size int64) (same bool, err error) {
	if same, err = sameData(ctx, a, b, size); same && err == nil {
		same, err = sameData(ctx, b, a, size)
	}
	return same, err
}

// sparse compares a file with holes, of which no sums are kept. It is written
// first, and taken back if dest has it: nothing of it comes from dest, where
// somebody may change what has been compared.
func (s *Stage) sparse(e *archive.Entry, content *archive.Content, at *spot) error {
	if s.out == nil {
		return s.sparseNowhere(e, content, at)
	}
	old, st, err := openSettled(at)
	if errors.Is(err, unix.EACCES) { // another's, that the caller can't read
		s.differ(e.Path)
		return s.fresh(e, content, nil)
	}
	if err != nil {
		return err
	}
	defer old.Close()
	s.digest.reset()
	if err := s.write(e, func(f *os.File) error { return s.digest.copy(f, content) }); err != nil {
		return err
	}
	if st.Size != e.Size { // by now
		s.differ(e.Path)
		return nil
	}
	same, err := s.takeBack(e, old)
	if same && err == nil {
		s.digest.found(&st)
	}
	return err
}

// sparseNowhere compares a file with holes for who writes nothing.
func (s *Stage) sparseNowhere(e *archive.Entry, content *archive.Content, at *spot) error {
	is, err := s.digest.outlineOf(content)
	if err != nil {
		return err
	}
	s.hasHole(e.Path, is)
	same, err := s.digest.hasOutline(at, is)
	if err == nil && !same {
		s.unlike(e.Path, is)
	}
	return err
}

// takeBack removes the staged file of e if old is the same.
func (s *Stage) takeBack(e *archive.Entry, old *os.File) (same bool, err error) {
	dir, name := confined.Split(e.Path)
	fd, err := s.out.At(dir, false)
	if err != nil {
		return false, err
	}
	staged, err := confined.OpenFile(fd, name)
	if err != nil {
		return false, err
	}
	defer staged.Close()
	if same, err = sameHoles(s.digest.ctx, staged, old, e.Size); err != nil {
		return false, err
	}
	if same {
		return true, unix.Unlinkat(fd, name, 0)
	}
	s.differ(e.Path)
	return false, nil
}

// linkHoles writes e, whose content src has, with holes or of more bytes than there are
// sums of, unless dest has a file at that has it. An src that is not trusted must be as
// it was when it was found equal to its entry.
func (s *Stage) linkHoles(e *archive.Entry, src *os.File, trusted bool, at *spot, v verdict) error {
	sure := func() error { return s.digest.sure(src, e.Size, trusted) }
	if err := sure(); err != nil {
		return err
	}
	if v == isCompared {
		same, err := s.hasHoles(src, e.Size, at, sure)
		if same || err != nil {
			return err
		}
		s.differ(e.Path)
	}
	s.digest.reset()
	s.digest.content, s.digest.sum = nil, nil
	return s.write(e, func(f *os.File) error { return errors.Join(copyHoles(s.digest.ctx, f, src, e.Size), sure()) })
}

// sure makes sure that a file is of that size and, unless it is trusted, as it was when
// it became known.
func (d *digest) sure(f *os.File, size int64, trusted bool) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	if st.Size != size || !trusted && !d.contents.IsSame(&st) {
		return ErrStale
	}
	return nil
}

// hasHoles tells whether the file at a spot of dest has the content of src, which is
// sure to be right.
func (s *Stage) hasHoles(src *os.File, size int64, at *spot, sure func() error) (same bool, err error) {
	old, st, err := openSettled(at)
	if errors.Is(err, unix.EACCES) { // another's, that the caller can't read
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer old.Close()
	if st.Size != size {
		return false, nil
	}
	if same, err = sameHoles(s.digest.ctx, src, old, size); !same || err != nil {
		return false, err
	}
	s.digest.found(&st)
	return true, sure()
}

// copyHoles copies what src has to an empty file, and leaves the rest a hole.
func copyHoles(ctx context.Context, f, src *os.File, size int64) error {
	if err := f.Truncate(size); err != nil {
		return err
	}
	return readData(ctx, src, size, make([]byte, copySize), func(at int64, p []byte) (bool, error) {
		_, err := f.WriteAt(p, at)
		return true, err
	})
}
