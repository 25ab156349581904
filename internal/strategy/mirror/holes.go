package mirror

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/disk/confined"
)

// compareHoles compares content with holes with a file: what neither has is not
// read.
func (d *digest) compareHoles(content *archive.Content, f *os.File) (same bool, err error) {
	d.reset()
	other := make([]byte, len(d.block))
	for at := int64(0); ; {
		if hole := content.Hole(); hole > 0 {
			if empty, err := isEmpty(d.ctx, f, at, at+hole, other); err != nil || !empty {
				return false, err
			}
			at += hole
			if err := content.PassHole(); err != nil {
				return false, err
			}
			continue
		}
		n, err := content.Read(d.block)
		if err != nil && err != io.EOF {
			return false, err
		}
		m, rerr := f.ReadAt(other[:n], at)
		if rerr != nil && rerr != io.EOF {
			return false, rerr
		}
		if m < n || !bytes.Equal(d.block[:n], other[:n]) || err == io.EOF {
			return m == n && bytes.Equal(d.block[:n], other[:n]), nil
		}
		at += int64(n)
	}
}

// isEmpty tells whether a part of a file is zeros. It reads what the file
// system has of it.
func isEmpty(ctx context.Context, f *os.File, from, to int64, buf []byte) (empty bool, err error) {
	empty = true
	err = eachData(f, from, to, func(start, end int64) error {
		for start < end && empty {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			n, err := f.ReadAt(buf[:min(int64(len(buf)), end-start)], start)
			if err != nil && (err != io.EOF || n == 0) {
				return err
			}
			empty = bytes.Count(buf[:n], []byte{0}) == n
			start += int64(n)
		}
		return nil
	})
	return empty, err
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

// sameData tells whether what a has, b has too, of two files of one size.
func sameData(ctx context.Context, a, b *os.File, size int64) (same bool, err error) {
	same = true
	bufA, bufB := make([]byte, copySize), make([]byte, copySize)
	err = eachData(a, 0, size, func(start, end int64) error {
		for start < end && same {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			n, err := a.ReadAt(bufA[:min(copySize, end-start)], start)
			if err != nil && (err != io.EOF || n == 0) {
				return err
			}
			m, err := b.ReadAt(bufB[:n], start)
			if err != nil && err != io.EOF {
				return err
			}
			same = m == n && bytes.Equal(bufA[:n], bufB[:n])
			start += int64(n)
		}
		return nil
	})
	return same, err
}

// sparse compares a file with holes, of which no sums are kept. It is written
// first, and taken back if dest has it: nothing of it comes from dest, where
// somebody may change what has been compared.
func (s *Stage) sparse(e *archive.Entry, content *archive.Content, at *spot) error {
	old, err := confined.OpenFile(at.fd, at.name)
	if errors.Is(err, unix.EACCES) { // another's, that the caller can't read
		s.differ(e.Path)
		return s.fresh(e, content, nil)
	}
	if err != nil {
		return err
	}
	defer old.Close()
	if s.out == nil {
		same, err := s.digest.compareHoles(content, old)
		if err == nil && !same {
			s.differ(e.Path)
		}
		return err
	}
	s.digest.reset()
	if err := s.write(e, func(f *os.File) error { return s.digest.copy(f, content) }); err != nil {
		return err
	}
	return s.takeBack(e, old)
}

// takeBack removes the staged file of e if old is the same.
func (s *Stage) takeBack(e *archive.Entry, old *os.File) error {
	dir, name := confined.Split(e.Path)
	fd, err := s.out.At(dir, false)
	if err != nil {
		return err
	}
	staged, err := confined.OpenFile(fd, name)
	if err != nil {
		return err
	}
	defer staged.Close()
	same, err := sameData(s.digest.ctx, staged, old, e.Size)
	if same && err == nil {
		same, err = sameData(s.digest.ctx, old, staged, e.Size)
	}
	if err != nil {
		return err
	}
	if same {
		return unix.Unlinkat(fd, name, 0)
	}
	s.differ(e.Path)
	return nil
}
