package mirror

import (
	"errors"
	"slices"

	"stretcher/internal/archive"
)

var _ archive.Resting = (*Stage)(nil)

// late is a file whose content was on its way when the archive came to it.
type late struct {
	entry   archive.Entry
	content *archive.Content
}

// leaves leaves a file for later if its content is still on its way, and what is written
// needs it.
func (s *Stage) leaves(e *archive.Entry, content *archive.Content) bool {
	if s.out == nil {
		return false
	}
	again := content.Later()
	if again == nil {
		return false
	}
	s.keep(late{*e, again})
	return true
}

// lates are files that are left for later.
type lates struct {
	late  []late
	paths map[string]bool
}

func (s *lates) keep(l late) {
	if s.paths == nil {
		s.paths = make(map[string]bool)
	}
	s.late, s.paths[l.entry.Path] = append(s.late, l), true
}

// settle stages the file at path, if it was left for later: something else needs it, or
// takes its place.
func (s *Stage) settle(path string) error {
	if !s.paths[path] {
		return nil
	}
	i := slices.IndexFunc(s.late, func(l late) bool { return l.entry.Path == path })
	l := s.late[i]
	s.late = slices.Delete(s.late, i, i+1)
	return s.fetch(l)
}

// fetch stages a file that was left for later.
func (s *Stage) fetch(l late) error {
	delete(s.paths, l.entry.Path)
	return errors.Join(s.file(&l.entry, l.content), l.content.Close())
}

// Rest stages what was left for later: first what has come meanwhile, and what has not
// is waited for.
func (s *Stage) Rest() error {
	for len(s.late) > 0 {
		had := s.late
		s.late = nil
		for _, l := range had {
			if !l.content.IsHere() {
				s.late = append(s.late, l)
			} else if err := s.fetch(l); err != nil {
				return err
			}
		}
		if len(s.late) == len(had) {
			if err := s.settle(had[0].entry.Path); err != nil {
				return err
			}
		}
	}
	return nil
}
