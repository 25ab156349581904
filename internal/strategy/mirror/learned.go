package mirror

import (
	"hash/maphash"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/disk/confined"
)

// learned is what a stage has learned of an archive's files so far, by path.
type learned struct {
	// differs has what is not in dest and, where nothing is written, what its content is.
	differs map[string]*identity
	// holed has the files that have holes and, where nothing is written and it is known,
	// what their content is.
	holed map[string]*identity
	// found has the files of dest that were found to have a content, as they were then.
	// Whoever may rename in dest may put another one there, of which something is known,
	// too. There may be very many: of path and file it has hashes, which nobody can foresee.
	found map[uint64]uint64
	seed  maphash.Seed
}

func newLearned() learned { return learned{found: make(map[uint64]uint64), seed: maphash.MakeSeed()} }

// forget makes way for another entry at a path.
func (l *learned) forget(path string) {
	delete(l.differs, path)
	delete(l.holed, path)
	delete(l.found, maphash.String(l.seed, path))
}

// find notes that dest has the content of a path, in that file.
func (l *learned) find(path string, st *unix.Stat_t) {
	l.found[maphash.String(l.seed, path)] = l.hash(st)
}

// isFound tells whether that is the file in which dest was found to have the content of a
// path, and nobody has changed it since.
func (l *learned) isFound(path string, st *unix.Stat_t) bool {
	was, ok := l.found[maphash.String(l.seed, path)]
	return ok && was == l.hash(st)
}

// asItIs is a file, and when it was changed last.
type asItIs struct {
	id    confined.ID
	ctime int64 // in nanoseconds since 1970
}

func (l *learned) hash(st *unix.Stat_t) uint64 {
	return maphash.Comparable(l.seed, asItIs{confined.IDOf(st), st.Ctim.Nano()})
}

func (l *learned) differ(path string) { l.unlike(path, nil) }

// unlike notes that dest does not have a file, and what is known of its content.
func (l *learned) unlike(path string, is *identity) {
	if l.differs == nil {
		l.differs = make(map[string]*identity)
	}
	l.differs[path] = is
}

// hasHole notes that a file has holes, and what is known of its content.
func (l *learned) hasHole(path string, is *identity) {
	if l.holed == nil {
		l.holed = make(map[string]*identity)
	}
	l.holed[path] = is
}

// follow makes a hard link what it is a link to, as far as holes are concerned.
func (l *learned) follow(e *archive.Entry, old string) {
	l.forget(e.Path)
	if is, ok := l.holed[old]; ok {
		l.hasHole(e.Path, is)
	}
}

// contentOf is what is known of the content of a file that dest does not have, or that
// has holes; not known where neither is so.
func (l *learned) contentOf(path string) (is *identity, known bool) {
	is, known = l.differs[path]
	if h := l.holed[path]; is == nil && h != nil {
		return h, true
	}
	return is, known
}
