package staging

import (
	"cmp"

	"stretcher/internal/disk"
	"stretcher/internal/strategy"
)

// Maker makes and removes the private directories of a run. *journal.Private is one.
type Maker interface {
	Make(w disk.Wanted) (*disk.Dir, error)
	Above(w disk.Wanted) (*disk.Dir, error)
	Check(w disk.Wanted) error
	Drop(dir *disk.Dir) error
}

// Places makes the private directories of a strategy. It is its strategy.Places.
type Places struct {
	Maker      Maker
	Candidates []string   // the best first
	Dest       *disk.Dest // nil where there is none
}

// Private makes a directory.
func (p Places) Private(what string, w strategy.Where) (*disk.Dir, error) {
	return p.Maker.Make(p.wanted(what, w))
}

// Above opens the directory that Private would make one in.
func (p Places) Above(w strategy.Where) (*disk.Dir, error) { return p.Maker.Above(p.wanted("", w)) }

// Check tells whether there is a place for a directory.
func (p Places) Check(what string, w strategy.Where) error { return p.Maker.Check(p.wanted(what, w)) }

func (p Places) wanted(what string, w strategy.Where) disk.Wanted {
	wanted := disk.Wanted{
		What: what, Size: -1, Dest: cmp.Or(w.Dest, p.Dest), SameDevice: w.SameDevice, Full: w.Full, Candidates: p.Candidates,
	}
	if w.SameDevice && p.Dest != nil {
		wanted.Candidates = []string{p.Dest.Parent.Path()}
	}
	return wanted
}

// Drop removes a directory.
func (p Places) Drop(dir *disk.Dir) error { return p.Maker.Drop(dir) }
