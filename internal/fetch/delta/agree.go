package delta

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"

	"stretcher/internal/archive/index"
)

// agree compares what was read of the stream with the members that have been
// fetched. An index that says of its files what is not in the archive is found
// out where the archive differs from the one before.
func (o *opened) agree(p []byte) error {
	for len(p) > 0 {
		i, n, at := o.part(int64(len(p)))
		if o.b.fetched[i] && !o.leaves(i, at, p[:n]) {
			plain, err := o.members.content(i)
			if err != nil {
				return err
			}
			if !bytes.Equal(p[:n], plain[at:at+n]) {
				return o.contradiction(i)
			}
		}
		p = p[n:]
		o.pos += n
	}
	return nil
}

// part is the member that is next in the stream, where in it, and how much of n
// bytes it holds.
func (o *opened) part(n int64) (i int, size, at int64) {
	i, _ = o.b.w.Index.Within(o.pos, 1)
	m := &o.b.w.Index.Members[i]
	at = o.pos - m.Start
	return i, min(n, int64(m.Unpacked)-at), at
}

func (o *opened) contradiction(i int) error {
	return fmt.Errorf("%w: part %d of the archive holds something else than it says", ErrIndex, i)
}

// agreeSkipped does so for n bytes that were skipped, if they are a content and
// all members that it lies in are here.
func (o *opened) agreeSkipped(n int64) error {
	x, from := o.b.w.Index, o.pos
	o.pos += n
	first, last := x.Within(from, n)
	isFetched := slices.Contains(o.b.fetched[first:last], true)
	i, ok := fileAt(x, from)
	if !ok || x.Files[i].Size != n || !isFetched || !o.b.has(first, last) {
		return nil
	}
	if !o.b.isHere(first, last) {
		o.late.pass(from, n, first, last)
		return nil
	}
	return o.agreePassed(from, n)
}

// agreePassed does so for a content that was skipped.
func (o *opened) agreePassed(from, n int64) error {
	h := sha256.New()
	w := &within{m: o.members, at: from, left: n}
	if _, err := w.WriteTo(h); err != nil {
		return err
	}
	if !o.isContent(from, index.Sum(h.Sum(nil))) {
		first, _ := o.b.w.Index.Within(from, n)
		return o.contradiction(first)
	}
	return nil
}

// has tells whether members are here.
func (b *Rebuilt) has(first, last int) bool {
	for i := first; i < last; i++ {
		if _, ok := b.spots[i]; !ok {
			return false
		}
	}
	return true
}

// fileAt is the number of the content that begins at a place of the stream.
func fileAt(x *index.Index, start int64) (int, bool) {
	return slices.BinarySearchFunc(x.Files, start, func(f index.File, start int64) int {
		return int(min(max(f.Start-start, -1), 1))
	})
}
