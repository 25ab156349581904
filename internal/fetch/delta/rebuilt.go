package delta

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/archive/index"
)

// Kept is an archive that is here, and its index.
type Kept struct {
	File  io.ReaderAt
	Index *index.Index
}

// Source is an archive that is here, open.
type Source interface {
	io.ReaderAt
	io.Closer
}

// Left tells that a file of the live tree is as the last deployment has left it. It
// is believed to have what the index of that says, until it is read.
type Left = func(*unix.Stat_t) bool

// Wish says what is to be brought together.
type Wish struct {
	Mirrors []string
	Index   *index.Index
	Wanted  func(index.Sum) bool // nil = all
	Live    *os.Root             // what was deployed last; nil = nothing is known
	Before  *index.Index         // of what was deployed last; nil = that is not known
	Left    Left                 // nil = all files that count are hashed
	Kept    *Kept                // an archive with members in common; nil = none
	// Complete: all of the archive is wanted, beside its contents, if that costs
	// little more.
	Complete bool
	// All: all of the archive is wanted, unless fetching it whole costs less.
	All bool
	// Strip is how many parts of the paths in the archive those in the live tree
	// do not have.
	Strip int
	// Holds are closed with what is rebuilt, or when there is nothing.
	Holds []io.Closer
	// Unnamed makes a file without a name for so many bytes.
	Unnamed func(size int64) (*os.File, error)
	// Begun is told when all that is missing is going to be fetched: who wants the
	// archive as it is at the server may Compose it meanwhile. May be nil.
	Begun func(*Rebuilt)
	// Meanwhile begins to read the archive once all that is missing is being asked for: what
	// has not come is waited for. What it returns ends the reading where parts do not come.
	// May be nil.
	Meanwhile func(*Rebuilt) (end func())

	underway
}

// underway is what is still found out of a wish.
type underway struct {
	agreed  func() error // waits until the indexes are compared; nil = nobody has begun
	chooses bool         // somebody will tell what is Wanted
}

// Rebuilt is an archive that is put together from parts. It is good as long as
// the live tree and the kept archive are open.
type Rebuilt struct {
	Stats
	Mirror string // that parts came from; "" = none did

	w       Wish
	held    map[index.Sum]place
	at      map[index.Sum]int64 // where contents begin in the stream
	spots   map[int]spot        // members that are here
	spool   *os.File            // nil = nothing was fetched
	fetched []bool              // which members have been
	coming
	early    *early    // nil = nothing was fetched early
	complete bool      // all members are here
	reuses   bool      // something of the archive is here: else to put it together saves no time
	composed *composed // nil = nobody has asked for it
	failed   error     // of the last reading
}

var _ archive.Input = (*Rebuilt)(nil)

func newRebuilt(w Wish) *Rebuilt {
	return &Rebuilt{Stats: Stats{Whole: w.Index.Size}, w: w, spots: map[int]spot{},
		fetched: make([]bool, len(w.Index.Members)), coming: coming{here: newArrival(), lost: newArrival()}}
}

// Open reads from the beginning. What can't be read is an error of this package
// or of package index.
func (b *Rebuilt) Open() (io.ReadCloser, error) {
	l, err := newLive(b.w.Live)
	if err != nil {
		return nil, err
	}
	b.failed = nil
	o := &opened{b: b, live: l, late: newLate()}
	o.members = newMembers(b.w.Index, b.spots, b.lost.done, b.fetchedOnes())
	o.Stream = b.w.Index.Rebuild(o.content)
	return o, nil
}

// fetchedOnes are the members that were fetched, if all have come: they are read in their
// order then, see agree.
func (b *Rebuilt) fetchedOnes() (all []int) {
	if !isClosed(b.here.done) {
		return nil
	}
	for i, is := range b.fetched {
		if is {
			all = append(all, i)
		}
	}
	return all
}

// Close closes all that an archive is put together from.
func (b *Rebuilt) Close() (err error) {
	if b == nil {
		return nil
	}
	b.early.close()
	b.composed.close()
	if b.spool != nil {
		err = b.spool.Close()
	}
	b.w.Close()
	return err
}

// Close closes what a wish holds.
func (w *Wish) Close() {
	for _, c := range w.Holds {
		_ = c.Close()
	}
}

// opened is one reading.
type opened struct {
	*index.Stream
	b       *Rebuilt
	live    *live
	members *members
	pos     int64 // in the stream
	late    late  // what was read where parts of the archive had not come
}

// IsLost tells whether an error of who has read the archive comes from what it is
// put together from, which has changed or is not what the index says: the whole
// archive may do better. So it may where the rules of archives refuse the stream,
// which the index has its part in.
func (b *Rebuilt) IsLost(err error) bool {
	return b.failed != nil || isDoubtful(err)
}

// isDoubtful tells whether an error is of the rules of archives.
func isDoubtful(err error) bool {
	return errors.Is(err, archive.ErrMalformed) || errors.Is(err, archive.ErrUnsafe) || errors.Is(err, archive.ErrLimit)
}

// Read reads the stream, and remembers what is wrong with it.
func (o *opened) Read(p []byte) (int, error) {
	n, err := o.Stream.Read(p)
	if wrong := o.agree(p[:n]); wrong != nil {
		n, err = 0, wrong
	}
	return n, o.remember(err)
}

// Skip goes on in the stream, and remembers what is wrong with it.
func (o *opened) Skip(n int64) (int64, error) {
	n, err := o.Stream.Skip(n)
	if wrong := o.agreeSkipped(n); wrong != nil {
		err = wrong
	}
	return n, o.remember(err)
}

// remember remembers what is wrong. The end is there when all is that was fetched,
// read or not.
func (o *opened) remember(err error) error {
	if err == io.EOF {
		if wrong := o.settle(); wrong != nil {
			err = wrong
		}
	}
	if err != nil && err != io.EOF {
		o.b.failed = err
	}
	return err
}

// Close closes what the reading has open.
func (o *opened) Close() error {
	o.live.close()
	o.members.close()
	return o.Stream.Close()
}

// within tells where in the stream members have a content.
func (b *Rebuilt) within(f *index.File) (at int64, ok bool) {
	if at, ok = b.at[f.Sum]; ok {
		return at, true
	}
	first, last := b.w.Index.Within(f.Start, f.Size) // nobody has said that it would be read
	return f.Start, b.has(first, last)
}

// content opens a content where it is.
func (o *opened) content(i int) (io.ReadCloser, error) {
	f := &o.b.w.Index.Files[i]
	if p, ok := o.b.held[f.Sum]; ok {
		if file, ok := o.live.open(p.path, p.size); ok {
			return file, nil
		}
		return nil, fmt.Errorf("%q has changed meanwhile: %w", p.path, ErrMissing)
	}
	at, ok := o.b.within(f)
	if !ok {
		return nil, fmt.Errorf("%q: %w", f.Path, ErrMissing)
	}
	return &within{m: o.members, at: at, left: f.Size}, nil
}
