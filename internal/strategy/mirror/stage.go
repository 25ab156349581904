package mirror

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/disk/confined"
)

var _ archive.Sink = (*Stage)(nil)

// Stage takes the regular files of an archive that differ from dest while it
// is scanned, and writes them, finished, at their paths below a directory.
//
// An excluded file is written without a look at dest: a hard link that is not
// excluded may want its content later. Apply leaves it out.
//
// In one case the result is not that of rsync: a file of dest that deceives
// the comparison by size and time is also what hard links to it are copied
// from.
type Stage struct {
	opts    Options
	to, dir *os.Root
	opened  bool
	dest    *confined.Walk // nil: nothing there
	out     *confined.Walk // nil: nothing is written
	always  []string
	differs map[string]bool // with Checksum: of dest's size, but not its content; all that differ when nothing is written
	last    string          // the directory asked for last,
	skipped bool            // and whether it or a parent of it is excluded
	pair    pair
}

// NewStage makes a stage that compares with dest, nil if that is missing, and
// writes below dir, on the same file system. Without a dir it writes nothing
// and only learns what Differs. Both stay the caller's to close.
func NewStage(dest, dir *os.Root, opts Options) *Stage {
	return &Stage{opts: opts, to: dest, dir: dir}
}

// Always makes the stage write the file at path whatever dest has.
func (s *Stage) Always(path string) { s.always = append(s.always, path) }

// Differs is Options.Differs for Compare after the scan. When nothing is
// written, a hard link counts as different if its content was not compared.
func (s *Stage) Differs(path string) bool { return s.differs[path] }

// Close gives back what the stage holds open. What it wrote stays.
func (s *Stage) Close() error {
	s.dest.Close()
	s.out.Close()
	s.dest, s.out = nil, nil
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
	}
	if s.to == nil {
		return nil
	}
	if s.dest, err = confined.NewWalk(s.to); err != nil {
		return fmt.Errorf("open dest: %w", err)
	}
	return nil
}

// File writes the content of e unless dest has it.
func (s *Stage) File(e archive.Entry, content *archive.Content) error {
	same, old, err := s.look(&e)
	if err != nil || same {
		return stageError(e.Path, err)
	}
	if old != nil {
		defer old.Close()
		return stageError(e.Path, s.compare(&e, content, old))
	}
	return stageError(e.Path, s.write(&e, content.CopyTo))
}

func stageError(path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("stage %q: %w", path, err)
}

// look compares e with what dest has, as far as that needs no content. When it
// needs it, it gives dest's file.
func (s *Stage) look(e *archive.Entry) (same bool, old *os.File, err error) {
	if err := s.open(); err != nil {
		return false, nil, err
	}
	if slices.Contains(s.always, e.Path) || s.excluded(e.Path) {
		return false, nil, nil
	}
	dir, name := confined.Split(e.Path)
	fd, err := s.dest.Lookup(dir)
	var st unix.Stat_t
	if err == nil {
		err = confined.Lstat(fd, name, &st)
	}
	switch {
	case confined.IsMissing(err):
		return false, nil, nil
	case err != nil:
		return false, nil, err
	case confined.FileType(&st) != 0 || st.Size != e.Size:
		return false, nil, nil
	case !s.opts.Checksum:
		return sameSecond(st.Mtim.Nano(), e.MTime), nil, nil
	}
	delete(s.differs, e.Path)
	old, err = confined.OpenFile(fd, name)
	return false, old, err
}

// excluded tells whether path or a directory above it is left alone.
func (s *Stage) excluded(path string) bool {
	if s.opts.Excludes == nil && s.opts.Protect == nil {
		return false
	}
	if dir, _ := confined.Split(path); dir != s.last {
		s.last, s.skipped = dir, false
		for i := range len(dir) + 1 {
			if (i == len(dir) || dir[i] == '/') && s.opts.excluded(dir[:i], true) {
				s.skipped = true
				break
			}
		}
	}
	return s.skipped || s.opts.excluded(path, false)
}

// write makes the file of e; fill puts the content into it.
func (s *Stage) write(e *archive.Entry, fill func(*os.File) error) error {
	if s.out == nil {
		if s.opts.Checksum {
			s.differ(e.Path)
		}
		return nil
	}
	dir, name := confined.Split(e.Path)
	fd, err := s.out.At(dir, true)
	if err != nil {
		return err
	}
	f, err := confined.Create(fd, name, 0o600)
	if errors.Is(err, unix.EEXIST) {
		if err = confined.Unlink(fd, name); err == nil {
			f, err = confined.Create(fd, name, 0o600)
		}
	}
	if err != nil {
		return err
	}
	if err = fill(f); err == nil {
		err = confined.SetFile(f, fd, name, metaOf(e), s.opts.parts())
	}
	return errors.Join(err, f.Close())
}

// compare reads content along with dest's file, and writes it from the first
// difference on; what was equal until then comes from dest.
func (s *Stage) compare(e *archive.Entry, content *archive.Content, old *os.File) error {
	equal, n, err := s.pair.prefix(content, old)
	if err != nil || n < 0 {
		return err
	}
	s.differ(e.Path)
	return s.write(e, func(f *os.File) error {
		if _, err := old.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.CopyN(f, old, equal); err != nil {
			return err
		}
		if _, err := f.Write(s.pair.a[:n]); err != nil {
			return err
		}
		return content.CopyTo(f)
	})
}

func (s *Stage) differ(path string) {
	if s.differs == nil {
		s.differs = make(map[string]bool)
	}
	s.differs[path] = true
}

// Link writes a copy of old for e unless dest has it.
func (s *Stage) Link(e archive.Entry, old string) error {
	same, was, err := s.look(&e)
	if err != nil || same {
		return stageError(e.Path, err)
	}
	if was != nil {
		defer was.Close()
	}
	return stageError(e.Path, s.link(&e, old, was))
}

// link compares the content of old with was, dest's file, if that is not nil.
func (s *Stage) link(e *archive.Entry, old string, was *os.File) error {
	if s.out == nil && was == nil {
		return s.write(e, nil)
	}
	src, err := s.source(old)
	if confined.IsMissing(err) && s.out == nil {
		return s.write(e, nil)
	}
	if err != nil {
		return fmt.Errorf("hard link target %q: %w", old, err)
	}
	defer src.Close()
	if was != nil {
		if _, n, err := s.pair.prefix(src, was); err != nil || n < 0 {
			return err
		}
		s.differ(e.Path)
		if _, err := src.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	return s.write(e, func(f *os.File) error {
		_, err := io.Copy(f, src)
		return err
	})
}

// source opens a file of the archive where its content is: staged, or else in
// dest, which it then was found equal to. When nothing is written, it may be
// nowhere.
func (s *Stage) source(path string) (*os.File, error) {
	dir, name := confined.Split(path)
	if s.out != nil {
		if fd, err := s.out.At(dir, false); err == nil {
			if f, err := confined.OpenFile(fd, name); err == nil {
				return f, nil
			}
		}
	}
	if s.out == nil && s.differs[path] {
		return nil, unix.ENOENT
	}
	fd, err := s.dest.Lookup(dir)
	if err != nil {
		return nil, err
	}
	return confined.OpenFile(fd, name)
}

// Drop removes the staged file at path, if there is one.
func (s *Stage) Drop(path string) error {
	if s.out == nil {
		return nil
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
