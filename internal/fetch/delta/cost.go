package delta

import (
	"fmt"
	"slices"
	"time"

	"github.com/dustin/go-humanize/english"

	"stretcher/internal/archive/index"
)

// How many bytes of an archive are read in a second, if parts are put together with
// what is here, and if it comes as a whole, which all processors unpack; and how many
// of the contents that are here. They are measured, as is what a request costs beside
// its round trip: docs/performance.md, What parts cost.
const (
	partsRate = 60_000_000
	wholeRate = 240_000_000
	localRate = 650_000_000
	perSpan   = 200 * time.Microsecond
)

// A line that seems to be quick is taken for the quickest: an index comes over it in
// less time than a process may wait for its turn, and an archive on more connections.
const (
	quick    = 250_000_000
	quickest = 2_000_000_000
)

// slack is how much longer parts may take for the sake of the bytes.
const slack = 50 * time.Millisecond

// during is the time that bytes take at a rate.
func during(bytes, rate int64) time.Duration {
	return time.Duration(float64(bytes) / float64(rate) * float64(time.Second))
}

// worth tells whether spans cost less than the whole archive, if so many bytes of
// contents that are here are read beside. What saves little is not worth it: to put an
// archive together takes time as well.
func worth(s *Server, x *index.Index, spans []span, bytes, local int64) error {
	if bytes > x.Size-x.Size/10 {
		return fmt.Errorf("%w: %d of its %d bytes are missing", ErrDear, bytes, x.Size)
	}
	l := s.link()
	if l.Rate > quick {
		l.Rate = quickest
	}
	parts := l.cost(bytes, len(spans), max(s.lines(spans), 1)) + time.Duration(len(spans))*perSpan +
		during(bytes, partsRate) + during(local, localRate)
	if parts > l.cost(x.Size, 1, 1)+during(x.Size, wholeRate)+slack {
		return fmt.Errorf("%w: %d of its %d bytes are missing, in %s", ErrDear, bytes, x.Size,
			english.Plural(len(spans), "range", ""))
	}
	return nil
}

// local is how many bytes of contents are read that are here, where members are
// needed. Who chooses contents reads few, as long as nobody knows which.
func (w *Wish) local(need []int) (n int64) {
	switch {
	case w.Wanted != nil:
		for i := range w.Index.Files {
			if f := &w.Index.Files[i]; w.Wanted(f.Sum) {
				n += f.Size
			}
		}
	case !w.chooses:
		n = w.Index.Stream
	}
	for _, i := range need {
		n -= int64(w.Index.Members[i].Unpacked)
	}
	return max(n, 0)
}

// outlook tells whether parts may be worth it, by what the archive before has of
// what is in this one, before anybody looks at the live tree. That may have less, and
// hardly more.
func (w *Wish) outlook(s *Server) error {
	before := w.before()
	if before == nil {
		if w.Live == nil {
			return ErrBare
		}
		return nil
	}
	missing := (&Wish{Index: w.Index}).all()
	for i := range before.Files {
		delete(missing, before.Files[i].Sum)
	}
	need := membersOf(w.Index, missing)
	if w.Kept != nil {
		unlike := w.unlike(before)
		need = slices.DeleteFunc(need, func(i int) bool { _, is := slices.BinarySearch(unlike, i); return !is })
	}
	spans, bytes := planOf(w.Index, need, s.link())
	if len(spans) == 0 {
		return nil
	}
	return worth(s, w.Index, spans, bytes, w.local(need))
}
