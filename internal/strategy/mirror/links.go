package mirror

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/disk/confined"
	"stretcher/internal/disk/tree"
)

// Link writes a copy of old for e unless dest has it.
func (s *Stage) Link(e archive.Entry, old string) error {
	if err := errors.Join(s.open(), s.settle(old)); err != nil {
		return stageError(e.Path, err)
	}
	if err := s.Finish(); err != nil { // old may be behind
		return err
	}
	s.follow(&e, old)
	at, v, err := s.look(&e)
	if err == nil && v != isKnown {
		err = s.link(&e, old, at, v)
	}
	s.learn(e.Path, at, v)
	return stageError(e.Path, err)
}

// link writes e, unless dest has a file at that has the content of old.
func (s *Stage) link(e *archive.Entry, old string, at *spot, v verdict) error {
	if s.out == nil {
		is, err := s.foresee(old, e.Size)
		if err != nil {
			return err
		}
		return s.linkNowhere(e, is, at, v)
	}
	src, staged, err := s.source(old, e.Size)
	if err != nil {
		return targetError(old, err)
	}
	defer src.Close()
	if s.isHoled(old, e.Size) {
		err := s.linkHoles(e, src, staged || s.opts.Quick, at, v)
		if errors.Is(err, ErrStale) {
			err = targetError(old, err)
		}
		return err
	}
	if err := s.digest.read(src, e.Size, staged || s.opts.Quick); err != nil {
		return targetError(old, err)
	}
	if v == isCompared {
		same, err := s.digest.matches(at)
		if same || err != nil {
			return err
		}
		s.differ(e.Path)
	}
	return s.write(e, func(f *os.File) error { return s.digest.copyAgain(f, src) })
}

// targetError says of what a hard link leads to what is wrong with it.
func targetError(old string, err error) error {
	if errors.Is(err, ErrStale) {
		return fmt.Errorf("hard link target %q %w", old, err)
	}
	return fmt.Errorf("hard link target %q: %w", old, err)
}

// isHoled tells whether the content of old, of size bytes, is compared and copied by
// what the file system has of it: it has holes, or more bytes than there are sums of.
func (s *Stage) isHoled(old string, size int64) bool {
	_, holed := s.holed[old]
	return holed || !tree.IsKnowable(size)
}

// foresee tells what the content of old is, for who writes nothing; nil = it is not known,
// or it is not in dest any more.
func (s *Stage) foresee(old string, size int64) (is *identity, err error) {
	if is, known := s.contentOf(old); known || size == 0 {
		return is, nil
	}
	src, _, err := s.source(old, size)
	if err != nil { // somebody has been there since
		return nil, nil
	}
	defer src.Close()
	if s.isHoled(old, size) {
		is, err = s.digest.outlineIn(src, size)
		if err == nil {
			err = s.digest.sure(src, size, s.opts.Quick)
		}
	} else if err = s.digest.read(src, size, s.opts.Quick); err == nil {
		is = s.digest.identity(size)
	}
	if cause := context.Cause(s.digest.ctx); cause != nil {
		return nil, cause
	}
	if err != nil { // or is there
		return nil, nil
	}
	return is, nil
}

// linkNowhere compares e, whose content is known by is, or not known where that is nil,
// for who writes nothing: dest may have it though it does not have what e is a link to.
func (s *Stage) linkNowhere(e *archive.Entry, is *identity, at *spot, v verdict) error {
	if e.Size == 0 {
		is = &identity{sumOf(nil), bySums}
	}
	same := false
	if v == isCompared && is != nil {
		var err error
		if same, err = s.digest.hasIdentity(at, is); err != nil {
			return err
		}
	}
	if !same {
		s.unlike(e.Path, is)
	}
	return nil
}

// source opens a file of the archive, of size bytes, where its content is: staged, or
// else in dest, in the file in which that was found. When nothing is written, it may be
// nowhere. Its walk is not the one that look has a directory open by.
func (s *Stage) source(path string, size int64) (f *os.File, staged bool, err error) {
	dir, name := confined.Split(path)
	if s.out != nil {
		if fd, err := s.out.At(dir, false); err == nil {
			f, err := s.openStaged(fd, name)
			if !confined.IsMissing(err) {
				return f, true, err
			}
		}
	}
	fd, err := s.olds.Lookup(dir)
	if err != nil {
		return nil, false, err
	}
	f, err = s.openFound(fd, name, path, size)
	return f, false, err
}

// openFound opens a file of dest, which must be the one that has the content of a path,
// unless that is empty.
func (s *Stage) openFound(fd int, name, path string, size int64) (*os.File, error) {
	f, err := confined.OpenFile(fd, name)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(int(f.Fd()), &st); err == nil && size > 0 && !s.isFound(path, &st) {
		err = ErrStale
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// openStaged opens a file of the caller's own, even if its mode is not to let
// the caller read it.
func (s *Stage) openStaged(fd int, name string) (*os.File, error) {
	f, err := confined.OpenFile(fd, name)
	if !errors.Is(err, unix.EACCES) {
		return f, err
	}
	var st unix.Stat_t
	if lerr := confined.Lstat(fd, name, &st); lerr != nil {
		return nil, lerr
	}
	m := confined.MetaOf(&st)
	open := m
	open.Mode |= 0o400
	if err = confined.Set(fd, name, open, confined.Mode); err != nil {
		return nil, err
	}
	f, err = confined.OpenFile(fd, name)
	err = errors.Join(err, confined.Set(fd, name, m, confined.Mode), s.opts.Contents.Changed(fd, name))
	if err != nil && f != nil {
		_ = f.Close()
		f = nil
	}
	return f, err
}
