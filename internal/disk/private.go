package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"stretcher/internal/text/failure"
)

// Wanted says what a private place is wanted for.
type Wanted struct {
	What       string   // for messages: "staging directory"
	Size       int64    // the room it needs, in bytes; -1 is unknown
	Dest       *Dest    // nil where there is none
	SameDevice bool     // what is there is renamed to or in dest
	Full       []uint64 // not on these devices: they have no room
	Candidates []string // absolute paths, the best first
	State      string   // the state directory, "" where there is none
}

// Private opens the best place where nobody else can rename what is made: the
// first of the candidates that is private, can be written and has room; else,
// unless one of them lacked nothing but room, the state directory; else, where
// a candidate was not private, the nearest such directory above dest. Where the
// device of dest is wanted each of them must be on it, and dest itself is a
// candidate, after the others. No other place is in dest, which a sync clears.
//
// The error is failure.ErrRefused when others could rename in all of them.
func Private(w Wanted) (*Dir, error) {
	places, err := Places(w)
	if err != nil {
		return nil, err
	}
	for _, other := range places[1:] {
		_ = other.Close()
	}
	return places[0], nil
}

// Places opens all places that Private chooses from, the best first. There is
// one at least, and the caller closes them.
func Places(w Wanted) ([]*Dir, error) {
	s := search{Wanted: w}
	for _, path := range w.Candidates {
		s.try(path)
	}
	if w.Dest != nil && w.Dest.Dir != nil && w.SameDevice {
		s.try(w.Dest.Real())
	}
	if w.State != "" && !s.crowded {
		s.try(w.State)
	}
	if len(s.found) == 0 && w.Dest != nil && s.exposed != "" {
		s.above(w.Dest.Parent.Path())
	}
	if len(s.found) == 0 {
		return nil, s.failed()
	}
	return s.found, nil
}

// search is one call of Places.
type search struct {
	Wanted
	found   []*Dir
	seen    []string
	reasons []error
	crowded bool   // a place would do, but has no room
	exposed string // why the first place that would do otherwise is not private
}

// above tries the directories above dest, the nearest first.
func (s *search) above(path string) {
	for len(s.found) == 0 {
		s.try(path)
		if path == "/" {
			return
		}
		path = filepath.Dir(path)
	}
}

// try adds a place if it will do.
func (s *search) try(path string) {
	d, err := Open(path)
	if err == nil && s.known(d.Path()) {
		_ = d.Close()
		return
	}
	if err == nil {
		err = s.judge(d)
	}
	if err == nil {
		s.found = append(s.found, d)
		return
	}
	if d != nil {
		_ = d.Close()
	}
	s.reasons = append(s.reasons, err)
}

func (s *search) known(path string) bool {
	if slices.Contains(s.seen, path) {
		return true
	}
	s.seen = append(s.seen, path)
	return false
}

var (
	errInDest = errors.New("is in dest")
	errDevice = errors.New("is on another file system than")
)

// judge says why a place will not do.
func (s *search) judge(d *Dir) error {
	if s.Dest != nil && s.inDest(d) {
		return fmt.Errorf("%q %w", d.Path(), errInDest)
	}
	if s.Dest != nil && s.SameDevice && !sameMount(int(d.file.Fd()), s.target()) {
		return fmt.Errorf("%q %w %q", d.Path(), errDevice, s.Dest.Real())
	}
	if err := unix.Faccessat(int(d.file.Fd()), ".", unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return &fs.PathError{Op: "write", Path: d.Path(), Err: err}
	}
	if !d.Private() {
		if s.exposed == "" {
			s.exposed = d.Exposed()
		}
		return errors.New(d.Exposed())
	}
	err := d.Room(s.Size)
	if slices.Contains(s.Full, d.Device()) {
		err = fmt.Errorf("%q: %w", d.Path(), ErrNoRoom)
	}
	s.crowded = s.crowded || err != nil
	return err
}

// inDest tells whether a sync would clear the place.
func (s *search) inDest(d *Dir) bool {
	dest := s.Dest.Real()
	if d.Path() == dest {
		return !s.SameDevice
	}
	return strings.HasPrefix(d.Path(), dest+"/")
}

// target is the descriptor whose file system is wanted.
func (s *search) target() int {
	if s.Dest.Dir != nil {
		return int(s.Dest.Dir.file.Fd())
	}
	return int(s.Dest.Parent.file.Fd())
}

// failed says why there is no place.
func (s *search) failed() error {
	all := joined(s.reasons)
	if s.exposed == "" || errors.Is(all, ErrNoRoom) {
		return fmt.Errorf("no place for the %s: %w", s.What, all)
	}
	where := "on any file system"
	if s.Dest != nil && s.SameDevice {
		where = fmt.Sprintf("on the file system of %q", s.Dest.Real())
	}
	hint := fmt.Sprintf("let root or uid %d alone write a directory %s and all above it; or put the state directory there",
		os.Geteuid(), where)
	return failure.Hinted(hint, failure.Refused("no private place for the %s: %s", s.What, s.exposed))
}

// joined is a list of errors in one line.
func joined(errs []error) error {
	switch len(errs) {
	case 0:
		return errors.New("nowhere to look")
	case 1:
		return errs[0]
	}
	return fmt.Errorf("%w; %w", errs[0], joined(errs[1:]))
}
