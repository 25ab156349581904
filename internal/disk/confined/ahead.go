package confined

import (
	"iter"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

const (
	// aheadChunk is how many paths are handed over at a time: to wake who waits for them
	// takes as long as to look at dozens.
	aheadChunk = 512
	// aheadChunks are on their way at most.
	aheadChunks = 3
	// aheadPassed is how many paths may be left out between two that are asked for.
	aheadPassed = 2 * aheadChunk
)

// Ahead looks at paths below a root before they are asked for, on a goroutine of its
// own. What it finds is a little old then: who uses what stands at a path looks again.
type Ahead struct {
	cur  []seen
	buf  []seen // the whole of cur
	full chan []seen
	free chan []seen
	stop chan struct{}
}

// seen is what was found at a path.
type seen struct {
	path  string
	st    unix.Stat_t
	there bool
}

// LookAhead begins to look at paths below an open directory, which stays the caller's to
// close. They are going to be asked for in this order, though not all of them. It is nil,
// which has seen nothing, where there is one core. paths is used on another goroutine.
func LookAhead(root *os.Root, paths iter.Seq[string]) *Ahead {
	if runtime.GOMAXPROCS(0) < 2 {
		return nil
	}
	walk, err := NewWalk(root)
	if err != nil {
		return nil
	}
	a := &Ahead{full: make(chan []seen, aheadChunks), free: make(chan []seen, aheadChunks), stop: make(chan struct{})}
	for range aheadChunks {
		a.free <- nil
	}
	go a.run(walk, paths)
	return a
}

// run closes full when it is done.
func (a *Ahead) run(walk *Walk, paths iter.Seq[string]) {
	defer close(a.full)
	defer walk.Close()
	var chunk []seen
	for path := range paths {
		if chunk == nil {
			select {
			case chunk = <-a.free:
			case <-a.stop:
				return
			}
		}
		if cap(chunk) == 0 {
			chunk = make([]seen, 0, aheadChunk)
		}
		chunk = append(chunk, seen{path: path})
		chunk[len(chunk)-1].look(walk)
		if len(chunk) == aheadChunk {
			a.full <- chunk // never blocks: as many places as chunks
			chunk = nil
		}
	}
	if len(chunk) > 0 {
		a.full <- chunk
	}
}

func (s *seen) look(walk *Walk) {
	dir, name := Split(s.path)
	fd, err := walk.Lookup(dir)
	s.there = err == nil && Lstat(fd, name, &s.st) == nil
}

// Take gives what stood at a path, good until the next call; nil = nothing was seen
// there. It waits until somebody has looked. One that is not among the next ones ends it:
// nothing has been seen from then on.
func (a *Ahead) Take(path string) *unix.Stat_t {
	if a == nil {
		return nil
	}
	for range aheadPassed {
		if len(a.cur) == 0 && !a.next() {
			return nil
		}
		s := &a.cur[0]
		a.cur = a.cur[1:]
		if s.path != path {
			continue
		}
		if !s.there {
			return nil
		}
		return &s.st
	}
	a.Close()
	return nil
}

// Stat is Take, or looks at the name in a directory open at fd that the path stands for.
func (a *Ahead) Stat(path string, fd int, name string) (*unix.Stat_t, error) {
	if st := a.Take(path); st != nil {
		return st, nil
	}
	st := new(unix.Stat_t)
	return st, Lstat(fd, name, st)
}

// next waits for the next chunk.
func (a *Ahead) next() bool {
	if a.buf != nil {
		a.free <- a.buf[:0]
		a.buf = nil
	}
	a.cur = <-a.full
	a.buf = a.cur
	return len(a.cur) > 0
}

// Close returns when nobody looks any more. It may be called again.
func (a *Ahead) Close() {
	if a == nil {
		return
	}
	select {
	case <-a.stop:
		return
	default:
	}
	close(a.stop)
	for range a.full {
	}
	a.cur, a.buf = nil, nil
}
