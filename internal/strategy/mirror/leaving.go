package mirror

import (
	"iter"

	"stretcher/internal/disk/confined"
)

// leaving tells which files are left alone, for who asks for those of a directory one
// after the other.
type leaving struct {
	by      *Options
	last    string // the directory asked for last,
	skipped bool   // and whether it or a parent of it is excluded
}

// excluded tells whether path or a directory above it is left alone.
func (l *leaving) excluded(path string) bool {
	if l.by.Excludes == nil && l.by.Protect == nil {
		return false
	}
	if dir, _ := confined.Split(path); dir != l.last {
		l.last, l.skipped = dir, false
		for i := range len(dir) + 1 {
			if (i == len(dir) || dir[i] == '/') && l.by.excluded(dir[:i], true) {
				l.skipped = true
				break
			}
		}
	}
	return l.skipped || l.by.excluded(path, false)
}

// others are those of some files that are not left alone.
func (l *leaving) others(paths iter.Seq[string]) iter.Seq[string] {
	return func(yield func(string) bool) {
		for path := range paths {
			if !l.excluded(path) && !yield(path) {
				return
			}
		}
	}
}
