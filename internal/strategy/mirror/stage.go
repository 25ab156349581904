package mirror

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/disk/confined"
	"stretcher/internal/disk/tree"
)

var (
	_ archive.Sink     = (*Stage)(nil)
	_ archive.Finisher = (*Stage)(nil)
)

// Stage takes the regular files of an archive that differ from dest while it
// is scanned, and writes them, finished, at their paths below a directory.
// What dest has is known, or read along with the archive; what is written, and
// what was read, is known from then on.
//
// An excluded file is written without a look at dest: a hard link that is not
// excluded may want its content later. Apply leaves it out.
type Stage struct {
	opts    Options
	to, dir *os.Root
	opened  bool
	dest    *confined.Walk   // nil: nothing there
	olds    *confined.Walk   // of dest too, for what hard links lead to
	soon    iter.Seq[string] // the files to come; nil = nobody has said
	ahead   *confined.Ahead  // of what dest has of them; nil = nobody looks
	out     *confined.Walk   // nil: nothing is written
	always  []string
	learned
	leaving
	digest digest
	behind *behind // nil: all is written at once
	lates
}

// NewStage makes a stage that compares with dest, nil if that is missing, and
// writes below dir, on the same file system. Without a dir it writes nothing
// and only learns what Differs. Both stay the caller's to close. ctx ends a long
// reading of dest.
func NewStage(ctx context.Context, dest, dir *os.Root, opts Options) *Stage {
	if opts.Contents == nil {
		opts.Contents = tree.NewContents()
	}
	s := &Stage{
		opts: opts, to: dest, dir: dir, learned: newLearned(), digest: digest{ctx: ctx, contents: opts.Contents},
	}
	s.leaving.by = &s.opts
	return s
}

// Expect says for which files File is going to be called, in this order. It saves time,
// and nothing else depends on it.
func (s *Stage) Expect(paths iter.Seq[string]) { s.soon = paths }

// Always makes the stage write the file at path whatever dest has.
func (s *Stage) Always(path string) { s.always = append(s.always, path) }

// Differs is Options.Differs for Compare after the scan. A file that was not
// compared, or has changed since, differs; so does another one in its place.
func (s *Stage) Differs(path string, st *unix.Stat_t) bool {
	return !s.isFound(path, st) || !s.opts.Contents.IsSame(st)
}

// Finish writes what is not written yet.
func (s *Stage) Finish() error { return s.behind.flush(s.opts.Contents) }

// Close gives back what the stage holds open. What it wrote stays.
func (s *Stage) Close() error {
	s.behind.close()
	s.ahead.Close()
	s.dest.Close()
	s.olds.Close()
	s.out.Close()
	s.behind, s.dest, s.olds, s.out = nil, nil, nil, nil
	s.soon, s.ahead = nil, nil
	return nil
}

func (s *Stage) open() error {
	if s.opened {
		return nil
	}
	s.opened = true
	var err error
	if s.dir != nil {
		if s.out, err = confined.NewWalk(s.dir); err != nil {
			return fmt.Errorf("open staging directory: %w", err)
		}
		s.behind = newBehind(s.dir, s.opts.parts())
	}
	if s.to == nil {
		return nil
	}
	if s.dest, err = confined.NewWalk(s.to); err == nil {
		s.olds, err = confined.NewWalk(s.to)
	}
	if err != nil {
		return fmt.Errorf("open dest: %w", err)
	}
	if s.soon != nil {
		s.ahead = confined.LookAhead(s.to, (&leaving{by: &s.opts}).others(s.soon))
	}
	return nil
}

// File writes the content of e unless dest has it.
func (s *Stage) File(e archive.Entry, content *archive.Content) error {
	if err := s.open(); err != nil {
		return stageError(e.Path, err)
	}
	s.digest.of(content)
	if st := s.hasSeen(&e); st != nil {
		s.forget(e.Path)
		s.find(e.Path, st)
		return nil
	}
	return s.file(&e, content)
}

// file writes the content of e unless dest has it.
func (s *Stage) file(e *archive.Entry, content *archive.Content) error {
	s.forget(e.Path)
	if content.Sparse() && e.Size > 0 {
		s.hasHole(e.Path, nil)
	}
	at, v, err := s.look(e)
	s.digest.of(content)
	switch {
	case err != nil || v == isKnown || v == isCompared && s.holds(e, at):
	case s.leaves(e, content):
		return nil
	case v == isWritten || s.out != nil && slices.Contains(s.always, e.Path):
		err = s.fresh(e, content, at)
	case s.out == nil && s.digest.sum != nil:
		err = s.weigh(e, at)
	case content.Sparse():
		err = s.sparse(e, content, at)
	default:
		err = s.compare(e, content, at)
	}
	s.learn(e.Path, at, v)
	return stageError(e.Path, err)
}

// learn notes which file of dest, at a spot, has the content of a path, unless that differs.
func (s *Stage) learn(path string, at *spot, v verdict) {
	if _, differs := s.differs[path]; at != nil && v != isWritten && !differs {
		s.find(path, &at.st)
	}
}

// hasSeen is what dest was seen to have by now for e, where that is known to have its
// content; nil = it is to be looked at.
func (s *Stage) hasSeen(e *archive.Entry) *unix.Stat_t {
	if s.ahead == nil || e.Size == 0 || s.digest.sum == nil {
		return nil
	}
	st := s.ahead.Take(e.Path)
	if st == nil || s.opts.judge(e, st) != isCompared || !s.holds(e, &spot{st: *st}) {
		return nil
	}
	return st
}

// holds tells whether it is known that the file at a spot of dest has the
// content of e, which then needs not be read.
func (s *Stage) holds(e *archive.Entry, at *spot) bool {
	same, known := s.digest.is(at)
	return known && same && !slices.Contains(s.always, e.Path)
}

// weigh compares the file at a spot of dest with the digest of e, for who writes
// nothing: the content of e need not be here.
func (s *Stage) weigh(e *archive.Entry, at *spot) error {
	same, known := s.digest.is(at)
	var err error
	if !known {
		same, err = s.digest.weigh(at)
	}
	if !same {
		s.unlike(e.Path, s.digest.identity(e.Size))
	}
	return err
}

// Wants tells whether File would read the content of e, whose digest is known.
// The content is not read.
func (s *Stage) Wants(e archive.Entry, content *archive.Content) (bool, error) {
	if err := s.open(); err != nil {
		return false, stageError(e.Path, err)
	}
	at, v, err := s.look(&e)
	s.digest.of(content)
	return v == isWritten || v == isCompared && !s.holds(&e, at), stageError(e.Path, err)
}

func stageError(path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("stage %q: %w", path, err)
}

// spot is where dest has a regular file.
type spot struct {
	fd   int
	name string
	st   unix.Stat_t
}

// look judges what dest has in the place of e. The spot is nil where that is
// no regular file of its size, or excluded.
func (s *Stage) look(e *archive.Entry) (*spot, verdict, error) {
	if s.excluded(e.Path) {
		return nil, isWritten, nil
	}
	dir, name := confined.Split(e.Path)
	at := &spot{name: name}
	var err error
	if at.fd, err = s.dest.Lookup(dir); err == nil {
		err = confined.Lstat(at.fd, name, &at.st)
	}
	switch {
	case confined.IsMissing(err):
		return nil, isWritten, nil
	case err != nil:
		return nil, 0, err
	case confined.FileType(&at.st) != 0 || at.st.Size != e.Size:
		return nil, isWritten, nil
	}
	return at, s.opts.judge(e, &at.st), nil
}

// fresh writes e whatever dest has. What it has, at, may be the same all the
// same, if the file is one of those that are always written.
func (s *Stage) fresh(e *archive.Entry, content *archive.Content, at *spot) error {
	if at == nil && s.behind.takes(e, content) {
		return s.behind.add(e, content, s.opts.Contents)
	}
	s.digest.reset()
	if s.out == nil {
		return s.pass(e, content)
	}
	err := s.write(e, func(f *os.File) error { return s.digest.copy(f, content) })
	if err != nil || at == nil || s.opts.judge(e, &at.st) != isCompared {
		return err
	}
	same, err := s.digest.matches(at)
	if !same {
		s.differ(e.Path)
	}
	return err
}

// write makes the file of e; fill puts the content into it, and its sums into
// the digest. It has its mode from the beginning: nobody else comes to where it
// is staged.
func (s *Stage) write(e *archive.Entry, fill func(*os.File) error) error {
	dir, name := confined.Split(e.Path)
	fd, err := s.out.At(dir, true)
	if err != nil {
		return err
	}
	f, err := confined.Create(fd, name, e.Mode.Perm())
	if errors.Is(err, unix.EEXIST) {
		if err = confined.Unlink(fd, name); err == nil {
			f, err = confined.Create(fd, name, e.Mode.Perm())
		}
	}
	if err != nil {
		return err
	}
	if err = fill(f); err == nil {
		var st unix.Stat_t
		if st, err = confined.SetMade(f, fd, name, metaOf(e), s.opts.parts()); err == nil {
			s.digest.add(&st)
		}
	}
	return errors.Join(err, f.Close())
}

// compare reads content block by block beside what is known or read of dest's
// file, and writes it from the first difference on. What was equal until then
// comes from dest.
func (s *Stage) compare(e *archive.Entry, content *archive.Content, at *spot) error {
	equal, n, err := s.digest.compare(content, at)
	if errors.Is(err, unix.EACCES) { // another's, that the caller can't read
		s.differ(e.Path)
		return s.fresh(e, content, nil)
	}
	if err != nil || n < 0 {
		return err
	}
	if s.out == nil {
		return s.pass(e, content)
	}
	s.differ(e.Path)
	return s.write(e, func(f *os.File) error {
		if err := s.digest.restore(f, at, equal); err != nil {
			return err
		}
		s.digest.again(s.digest.block[:n])
		if _, err := f.Write(s.digest.block[:n]); err != nil {
			return err
		}
		return s.digest.copy(f, content)
	})
}

// pass reads what is left of the content of e, which is written nowhere, unless its digest
// is known: dest, if there is one, may have it as a hard link.
func (s *Stage) pass(e *archive.Entry, content *archive.Content) error {
	var is *identity
	var err error
	switch {
	case s.digest.sum == nil && s.to != nil && content.Sparse():
		is, err = s.digest.outlineOf(content)
		s.hasHole(e.Path, is)
	case s.digest.sum == nil && s.to != nil:
		err = s.digest.rest(content, func([]byte) error { return nil })
	}
	if is == nil {
		is = s.digest.identity(e.Size)
	}
	s.unlike(e.Path, is)
	return err
}

// Drop removes the staged file at path, if there is one.
func (s *Stage) Drop(path string) error {
	if s.out == nil {
		return nil
	}
	if err := errors.Join(s.settle(path), s.Finish()); err != nil {
		return err
	}
	dir, name := confined.Split(path)
	fd, err := s.out.At(dir, false)
	if err == nil {
		err = unix.Unlinkat(fd, name, 0)
	}
	if confined.IsMissing(err) {
		return nil
	}
	return stageError(path, err)
}
