package delta

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"stretcher/internal/archive/index"
	"stretcher/internal/fetch/transfer"
	"stretcher/internal/text/redact"
)

// Bring brings together what is wanted of an archive. Where that would cost more
// than the whole archive, the error is ErrDear. Where a server sends the whole
// archive without being asked, that is given back with the error.
func Bring(ctx context.Context, s *Server, w Wish) (*Rebuilt, *Whole, error) {
	return newRebuilt(w).orNothing(ctx, s)
}

// orNothing brings it together, or closes it.
func (b *Rebuilt) orNothing(ctx context.Context, s *Server) (*Rebuilt, *Whole, error) {
	brought := false
	defer func() { // after a panic, too: somebody may be waiting for parts
		if !brought {
			b.lost.tell()
		}
	}()
	whole, err := b.bring(ctx, s)
	if err != nil {
		b.lost.tell()
		if b.ahead != nil {
			b.ahead()
		}
		_ = b.Close()
		return nil, whole, err
	}
	brought = true
	return b, nil, nil
}

func (b *Rebuilt) bring(ctx context.Context, s *Server) (*Whole, error) {
	need, err := b.look(ctx)
	if b.early != nil {
		if err == nil && len(need) > 0 {
			err = errUnforeseen
		}
		if err == nil {
			b.tell(0)
		}
		return b.early.join(err)
	}
	if err != nil {
		return nil, err
	}
	if len(need) == 0 {
		b.here.tell()
		b.tell(0)
		return nil, nil
	}
	if !b.reuses {
		return nil, ErrBare
	}
	spans, bytes := planOf(b.w.Index, need, s.link())
	if err := worth(s, b.w.Index, spans, bytes, b.w.local(need)); err != nil {
		return nil, err
	}
	if b.spool, err = b.w.Unnamed(bytes); err != nil {
		return nil, err
	}
	b.place(spans)
	b.tell(bytes)
	return b.fetch(ctx, s, spans, bytes)
}

// errUnforeseen: more is missing than the archive before lacks.
var errUnforeseen = errors.New("more is missing than the archive before lacks")

// place says where the members of spans will lie.
func (b *Rebuilt) place(spans []span) {
	for _, s := range spans {
		at := s.at
		for i := s.first; i < s.last; i++ {
			b.spots[i], b.fetched[i] = spot{b.spool, at, s.ready.done}, true
			at += int64(b.w.Index.Members[i].Length)
		}
	}
}

// tell lets the archive be put together while its parts come, and read, if they are
// few bytes: members that many contents wait in are decompressed twice then, and none
// ahead of who reads.
func (b *Rebuilt) tell(bytes int64) {
	if b.w.Begun != nil {
		b.w.Begun(b)
	}
	if b.w.Meanwhile != nil && b.w.isLittle(bytes) && !isClosed(b.here.done) {
		b.ahead = b.w.Meanwhile(b)
	}
}

// look finds what is here, and gives the members that are not, sorted.
func (b *Rebuilt) look(ctx context.Context) (need []int, err error) {
	w := &b.w
	w.compare()
	wanted := w.all()
	b.reuses = len(wanted) < w.distinct()
	left := w.Left
	if w.Before == nil { // places are but a guess
		left = nil
	}
	if b.held, err = held(ctx, w.Live, w.places(wanted), left); err != nil {
		return nil, err
	}
	for sum := range b.held {
		delete(wanted, sum)
	}
	b.at = startsOf(w.Index, wanted)
	if w.Kept != nil && b.early == nil {
		b.keep(w.Kept)
	}
	b.reuses = b.reuses || len(b.held) > 0 || len(b.spots) > 0
	if err := w.agreed(); err != nil {
		return nil, err
	}
	before, missing := w.before(), func(i int) bool { _, ok := b.spots[i]; return !ok }
	need = slices.DeleteFunc(membersOf(w.Index, wanted), func(i int) bool { return !missing(i) })
	if w.All {
		b.complete = true
		return slices.DeleteFunc(w.unlike(&index.Index{}), func(i int) bool { return !missing(i) }), nil
	}
	if before == nil {
		return need, nil
	}
	unlike := w.unlike(before)
	for _, more := range [][]int{w.around(unlike), unlike} {
		all := slices.DeleteFunc(slices.Concat(more, need), func(i int) bool { return !missing(i) })
		slices.Sort(all)
		all = slices.Compact(all)
		if w.isLittle(w.size(all) - w.size(need)) {
			b.complete = w.Complete && w.Kept != nil
			return all, nil
		}
	}
	return need, nil
}

// compare begins to compare the index with that of the archive before, if that has
// not been done: agreed tells the outcome once. It takes as long as other looks do,
// which need not wait for it.
func (w *Wish) compare() {
	if w.agreed != nil {
		return
	}
	is, before := w.Index, w.before()
	if before == nil {
		w.agreed = func() error { return nil }
		return
	}
	w.agreed = sync.OnceValue(func() error { return agreeKept(is, before) })
	go w.agreed()
}

// before is the index of the archive before; nil = that is not known.
func (w *Wish) before() *index.Index {
	if w.Kept != nil {
		return w.Kept.Index
	}
	return w.Before
}

// around are members, and the others that the files have which lie in these.
func (w *Wish) around(members []int) []int {
	all := slices.Clone(members)
	for i := range w.Index.Files {
		f := &w.Index.Files[i]
		first, last := w.Index.Within(f.Start, f.Size)
		if k, _ := slices.BinarySearch(members, first); last-first > 1 && k < len(members) && members[k] < last {
			for m := first; m < last; m++ {
				all = append(all, m)
			}
		}
	}
	return all
}

// unlike are the members that another archive does not have: what the index says of
// them can be compared with nothing else.
func (w *Wish) unlike(other *index.Index) (all []int) {
	has := make(map[index.Sum]bool, len(other.Members))
	for i := range other.Members {
		has[other.Members[i].Sum] = true
	}
	for i := range w.Index.Members {
		if !has[w.Index.Members[i].Sum] {
			all = append(all, i)
		}
	}
	return all
}

// What is fetched at most for the sake of all that is new in the archive: what the
// index says of it can be compared, and with the archive before all of it can be
// kept.
const (
	tenth  = 10
	little = 256 << 10
)

// isLittle tells whether bytes are that little.
func (w *Wish) isLittle(bytes int64) bool { return bytes <= max(w.Index.Size/tenth, little) }

// size is that of members, in bytes.
func (w *Wish) size(members []int) (n int64) {
	for _, i := range members {
		n += int64(w.Index.Members[i].Length)
	}
	return n
}

// all are the digests that are wanted. The map is the caller's.
func (w *Wish) all() map[index.Sum]bool {
	wanted := make(map[index.Sum]bool, w.likely())
	for i := range w.Index.Files {
		if sum := w.Index.Files[i].Sum; w.Wanted == nil || w.Wanted(sum) {
			wanted[sum] = true
		}
	}
	return wanted
}

// likely is about how many digests are wanted.
func (w *Wish) likely() int {
	if w.Wanted == nil {
		return len(w.Index.Files)
	}
	return 0
}

// distinct is how many contents there are, each counted once.
func (w *Wish) distinct() int {
	all := make(map[index.Sum]bool, len(w.Index.Files))
	for i := range w.Index.Files {
		all[w.Index.Files[i].Sum] = true
	}
	return len(all)
}

// startsOf tells where contents begin, the first of each digest.
func startsOf(x *index.Index, wanted map[index.Sum]bool) map[index.Sum]int64 {
	starts := make(map[index.Sum]int64, len(wanted))
	for i := range x.Files {
		f := &x.Files[i]
		if _, ok := starts[f.Sum]; !ok && wanted[f.Sum] {
			starts[f.Sum] = f.Start
		}
	}
	return starts
}

// keep finds the members that a kept archive has as well.
func (b *Rebuilt) keep(k *Kept) {
	has := make(map[index.Sum]int64, len(k.Index.Members))
	for i := range k.Index.Members {
		has[k.Index.Members[i].Sum] = k.Index.Members[i].Offset
	}
	for i := range b.w.Index.Members {
		if at, ok := has[b.w.Index.Members[i].Sum]; ok {
			b.spots[i] = spot{file: k.File, at: at}
		}
	}
}

// places are where the live tree may have contents: where the archive before had
// them or, if that is not known, at the path that they have in the archive.
func (w *Wish) places(wanted map[index.Sum]bool) (all []place) {
	x := cmp.Or(w.Before, w.Index)
	if w.Live == nil {
		return nil
	}
	for i := range x.Files {
		f := &x.Files[i]
		if path, ok := stripped(f.Path, w.Strip); ok && wanted[f.Sum] {
			all = append(all, place{path, f.Sum, f.Size})
		}
	}
	return all
}

// stripped is a path without its first parts.
func stripped(path string, parts int) (string, bool) {
	for range parts {
		_, rest, ok := strings.Cut(path, "/")
		if !ok {
			return "", false
		}
		path = rest
	}
	return path, true
}

// fetch fetches spans, from the first mirror that has them. What one has brought
// that is right, the next is not asked for: it is never written again.
func (b *Rebuilt) fetch(ctx context.Context, s *Server, spans []span, bytes int64) (*Whole, error) {
	var failed error
	for i, mirror := range b.w.Mirrors {
		left, size := toCome(spans)
		r := &ranges{s: s, x: b.w.Index, url: mirror, to: b.spool, open: s.Opener(mirror), total: bytes,
			pace: transfer.NewPace(s.Bandwidth)}
		r.done.Store(bytes - size)
		whole, err := r.fetch(ctx, left)
		if err == nil {
			b.Mirror, b.Bytes, b.Requests = redact.URL(mirror), bytes, len(spans)
			b.here.tell()
			return nil, nil
		}
		if whole != nil || context.Cause(ctx) != nil {
			return whole, err
		}
		failed = err
		if i+1 < len(b.w.Mirrors) {
			s.Log.Warn(fmt.Sprintf("parts of %q: %v; trying the next mirror", redact.URL(mirror), err))
		}
	}
	return nil, failed
}

// toCome are the spans that are not there yet, and their size. After a failure there
// is one.
func toCome(spans []span) (left []span, size int64) {
	for _, s := range spans {
		if !isClosed(s.ready.done) {
			left, size = append(left, s), size+s.size
		}
	}
	return left, size
}
