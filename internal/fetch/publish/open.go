package publish

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"stretcher/internal/disk"
	"stretcher/internal/text/failure"
)

// OpenDir takes a directory for the source.
func (s *Source) OpenDir(name string) error {
	abs, err := filepath.Abs(name)
	if err != nil {
		return err
	}
	dir, err := disk.Open(abs)
	if errors.Is(err, syscall.ENOTDIR) {
		err = failure.Hinted("an archive that exists is published by --from ARCHIVE",
			failure.Usage("%q is no directory", name))
	}
	if err != nil {
		return err
	}
	s.Name, s.dir = abs, dir
	return nil
}

// OpenArchive takes an archive for the source, and the index that lies beside it.
func (s *Source) OpenArchive(name string) (err error) {
	s.Name = name
	if s.archive, err = disk.OpenRegular(name, os.O_RDONLY, 0); err != nil {
		if info, serr := os.Stat(name); serr == nil && info.IsDir() {
			err = failure.Usage("%q is a directory: it is packed without --from", name)
		}
		return err
	}
	s.index, err = disk.OpenRegular(name+indexEnding, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Close closes what is open.
func (s *Source) Close() {
	if s.dir != nil {
		_ = s.dir.Close()
	}
	for _, f := range []*os.File{s.archive, s.index} {
		if f != nil {
			_ = f.Close()
		}
	}
}
