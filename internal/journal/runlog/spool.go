package runlog

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
)

const (
	// spoolMemory is what the spool keeps in memory before it asks for a
	// file: most runs log less and need none.
	spoolMemory = 256 << 10
	// spoolLost is what it keeps when there is no file to be had, on a full
	// disk for one. What comes later is dropped.
	spoolLost = 1 << 20
)

// Spool keeps the log of one run as text: in a named file, or in memory and,
// when it grows, in an unnamed temporary file.
type Spool struct {
	mu    sync.Mutex
	file  *os.File // nil while all is in memory
	size  int64    // bytes in file
	tail  []byte   // bytes after those in file
	noTmp bool     // there is no file to be had
}

// NewSpool returns a spool that appends to file, which it takes over, or,
// with nil, one that begins in memory.
func NewSpool(file *os.File) *Spool {
	s := &Spool{file: file}
	if file != nil {
		if size, err := file.Seek(0, io.SeekEnd); err == nil {
			s.size = size
		}
	}
	return s
}

// Write keeps p, or as much of it as there is room for. It never fails: a
// log that can't be kept must not stop a deploy.
func (s *Spool) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil && !s.noTmp && len(s.tail)+len(p) > spoolMemory {
		s.spill()
	}
	if s.file != nil && len(s.tail) == 0 {
		n, err := s.file.WriteAt(p, s.size)
		s.size += int64(n)
		if err == nil {
			return len(p), nil
		}
		s.keep(p[n:])
		return len(p), nil
	}
	s.keep(p)
	return len(p), nil
}

// keep appends to the part in memory, up to its bound.
func (s *Spool) keep(p []byte) {
	room := spoolLost - len(s.tail)
	s.tail = append(s.tail, p[:min(len(p), max(room, 0))]...)
}

// spill moves what is in memory to an unnamed file.
func (s *Spool) spill() {
	f, err := os.CreateTemp("", ".stretcher-log-*")
	if err != nil {
		s.noTmp = true
		return
	}
	_ = os.Remove(f.Name())
	n, err := f.Write(s.tail)
	if err != nil {
		s.noTmp = true
		_ = f.Close()
		return
	}
	s.file, s.size, s.tail = f, int64(n), nil
}

// Attach moves what has been kept to file, which the spool takes over, and
// goes on there. It is for a spool that began in memory.
func (s *Spool) Attach(file *os.File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := io.ReadAll(s.reader())
	if err != nil {
		return
	}
	if s.file != nil {
		_ = s.file.Close()
	}
	n, err := file.WriteAt(all, 0)
	s.file, s.size, s.tail = file, int64(n), nil
	if err != nil {
		s.keep(all[n:])
	}
}

// Size is the number of bytes kept.
func (s *Spool) Size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size + int64(len(s.tail))
}

// ReadAt reads what has been written up to now.
func (s *Spool) ReadAt(p []byte, offset int64) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if offset < s.size {
		n, err = s.file.ReadAt(p[:min(int64(len(p)), s.size-offset)], offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
	}
	if at := offset + int64(n) - s.size; n < len(p) && at >= 0 && at < int64(len(s.tail)) {
		n += copy(p[n:], s.tail[at:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// SoFar reads what has been written up to now. Readers are independent.
func (s *Spool) SoFar() io.Reader {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reader()
}

func (s *Spool) reader() io.Reader {
	tail := bytes.NewReader(bytes.Clone(s.tail))
	if s.file == nil {
		return tail
	}
	return io.MultiReader(io.NewSectionReader(s.file, 0, s.size), tail)
}

// Close closes the file, if there is one.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file, s.noTmp = nil, true
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}
