package confined

import (
	"iter"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// aheadChunk is how many paths are handed over at a time: to wake who waits for them
	// takes as long as to look at dozens.
	aheadChunk = 512
	// aheadChunks are on their way at most.
	aheadChunks = 4
	// aheadLookers look at the same time: more than one, as who asks has less to do.
	aheadLookers = 2
	// aheadMisses is how many paths in a row may be asked for that are not among the next.
	aheadMisses = 1024
)

// Ahead looks at paths below a root before they are asked for, on goroutines of its own.
// What it finds is a little old then: it tells of regular files alone, which who uses what
// stands at their paths looks at again.
type Ahead struct {
	some   []*chunk // that are being asked for: none, one, or two where a path was not in the first
	misses int      // in a row
	over   bool
	next   chan *chunk // in the order of the paths
	free   chan *chunk
	stop   chan struct{}
	work   sync.WaitGroup
}

// chunk is some paths, one after the other.
type chunk struct {
	paths []seen
	at    int           // the first that may be asked for still
	done  chan struct{} // gets something when all are looked at
}

// seen is what was found at a path.
type seen struct {
	path   string
	st     unix.Stat_t
	isFile bool
}

// LookAhead begins to look at paths below an open directory, which stays the caller's to
// close. They are going to be asked for in this order, though not all of them. It is nil,
// which has seen nothing, where there is one core, or paths is nil. That is used on another
// goroutine.
func LookAhead(root *os.Root, paths iter.Seq[string]) *Ahead {
	if paths == nil || runtime.GOMAXPROCS(0) < 2 {
		return nil
	}
	a := &Ahead{next: make(chan *chunk, aheadChunks), free: make(chan *chunk, aheadChunks), stop: make(chan struct{})}
	todo := make(chan *chunk, aheadChunks)
	for range aheadChunks {
		a.free <- &chunk{done: make(chan struct{}, 1)}
	}
	lookers := 0
	for range aheadLookers {
		if walk, err := NewWalk(root); err == nil {
			a.work.Go(func() { a.look(walk, todo) })
			lookers++
		}
	}
	if lookers == 0 {
		return nil
	}
	a.work.Go(func() { a.share(paths, todo) })
	return a
}

// share shares out paths, until there are no more or nobody wants them.
func (a *Ahead) share(paths iter.Seq[string], todo chan<- *chunk) {
	defer close(a.next)
	defer close(todo)
	hand := func(c *chunk) { // neither blocks: each has as many places as there are chunks
		todo <- c
		a.next <- c
	}
	var c *chunk
	for path := range paths {
		if c == nil {
			select {
			case c = <-a.free:
			case <-a.stop:
				return
			}
		}
		if c.paths = append(c.paths, seen{path: path}); len(c.paths) == aheadChunk {
			hand(c)
			c = nil
		}
	}
	if c != nil {
		hand(c)
	}
}

// look looks at paths by a walk of its own.
func (a *Ahead) look(walk *Walk, todo <-chan *chunk) {
	defer walk.Close()
	for c := range todo {
		for i := range c.paths {
			select {
			case <-a.stop:
			default:
				c.paths[i].look(walk)
			}
		}
		c.done <- struct{}{}
	}
}

func (s *seen) look(walk *Walk) {
	dir, name := Split(s.path)
	fd, err := walk.Lookup(dir)
	s.isFile = err == nil && Lstat(fd, name, &s.st) == nil && FileType(&s.st) == 0
}

// Take gives the regular file that stood at a path, good until the next call; nil = none
// was seen there. It waits until somebody has looked. Where very many paths in a row are
// not among the next ones, it ends: nothing is seen from then on.
func (a *Ahead) Take(path string) *unix.Stat_t {
	if a == nil || a.over {
		return nil
	}
	if len(a.some) > 0 && a.some[0].at == len(a.some[0].paths) {
		a.pass(1)
	}
	const window = 2
	for i := 0; i < window && (i < len(a.some) || a.more()); i++ {
		if s := a.some[i].take(path); s != nil {
			a.pass(i)
			a.misses = 0
			if !s.isFile {
				return nil
			}
			return &s.st
		}
	}
	if a.misses++; a.misses > aheadMisses {
		a.Close()
	}
	return nil
}

// take passes what comes before a path, if that is one of those to come.
func (c *chunk) take(path string) *seen {
	for i := c.at; i < len(c.paths); i++ {
		if c.paths[i].path == path {
			c.at = i + 1
			return &c.paths[i]
		}
	}
	return nil
}

// pass gives the first n chunks back.
func (a *Ahead) pass(n int) {
	for _, c := range a.some[:n] {
		c.paths, c.at = c.paths[:0], 0
		a.free <- c
	}
	a.some = append(a.some[:0], a.some[n:]...)
}

// Stat is Take, or looks at the name in a directory open at fd that the path stands for.
func (a *Ahead) Stat(path string, fd int, name string) (*unix.Stat_t, error) {
	if st := a.Take(path); st != nil {
		return st, nil
	}
	st := new(unix.Stat_t)
	return st, Lstat(fd, name, st)
}

// more waits for another chunk.
func (a *Ahead) more() bool {
	c, ok := <-a.next
	if ok {
		<-c.done
		a.some = append(a.some, c)
	}
	return ok
}

// Close returns when nobody looks any more. It may be called again.
func (a *Ahead) Close() {
	if a == nil || a.over {
		return
	}
	close(a.stop)
	a.work.Wait()
	a.over, a.some = true, nil
}
