package delta

import (
	"bytes"
	"crypto/sha256"
	"io"
	"maps"
	"slices"

	"stretcher/internal/archive"
	"stretcher/internal/archive/index"
)

var _ archive.Coming = (*opened)(nil)

// late is what was read of the stream, or passed in it, that members hold which had not
// come. It is compared with these when they have.
type late struct {
	read   map[int][]kept // by the member's number
	size   int
	passed map[int64]int64 // contents: their sizes by where they begin
	within map[int][]int64 // where those of them begin that lie in one member, by its number
	begun  bool            // all has come, and is being decompressed
}

func newLate() late {
	return late{read: map[int][]kept{}, passed: map[int64]int64{}, within: map[int][]int64{}}
}

// kept are bytes of a member.
type kept struct {
	at    int64
	bytes []byte
}

// mostLate is how much is kept for later, in bytes.
const mostLate = 4 << 20

// leaves keeps what is next in the stream, which is at a place of a member, if that has
// not come.
func (o *opened) leaves(i int, at int64, p []byte) bool {
	if o.b.isHere(i, i+1) || o.late.size+len(p) > mostLate {
		return false
	}
	o.late.read[i] = append(o.late.read[i], kept{at, slices.Clone(p)})
	o.late.size += len(p)
	return true
}

// isHere tells whether members can be read without waiting for them.
func (b *Rebuilt) isHere(first, last int) bool {
	for i := first; i < last; i++ {
		if s, ok := b.spots[i]; ok && s.come != nil && !s.isVerified() {
			return false
		}
	}
	return true
}

// settle waits for all that is fetched, and compares with it what was read before.
func (o *opened) settle() error {
	if !o.b.awaitAll() {
		return ErrIncomplete
	}
	o.unpackLate()
	for _, i := range o.late.members() {
		plain, err := o.members.content(i)
		if err == nil {
			err = o.agreeLate(i, plain, -1)
		}
		if err != nil {
			return err
		}
	}
	for _, at := range slices.Sorted(maps.Keys(o.late.passed)) {
		if err := o.agreePassed(at, o.late.passed[at]); err != nil {
			return err
		}
	}
	o.late = newLate()
	return nil
}

// members are those that were read, or hold what was passed, sorted.
func (l *late) members() []int {
	all := slices.AppendSeq(slices.Collect(maps.Keys(l.read)), maps.Keys(l.within))
	slices.Sort(all)
	return slices.Compact(all)
}

// pass remembers a content that was passed, and lies in members from first to before last.
func (l *late) pass(from, n int64, first, last int) {
	if l.passed[from] = n; last-first == 1 {
		l.within[first] = append(l.within[first], from)
	}
}

// agreeLate compares a member that has come with what was read of it before, and what was
// passed, but for the content that begins at reads: who reads that verifies it.
func (o *opened) agreeLate(i int, plain []byte, reads int64) error {
	for _, k := range o.late.read[i] {
		if !bytes.Equal(plain[k.at:k.at+int64(len(k.bytes))], k.bytes) {
			return o.contradiction(i)
		}
	}
	for _, at := range o.late.within[i] {
		n, ok := o.late.passed[at]
		if !ok || at == reads {
			continue
		}
		from := at - o.b.w.Index.Members[i].Start
		if !o.isContent(at, sha256.Sum256(plain[from:from+n])) {
			return o.contradiction(i)
		}
		delete(o.late.passed, at)
	}
	delete(o.late.read, i)
	delete(o.late.within, i)
	return nil
}

// isContent tells whether the content that begins at a place of the stream has this digest.
func (o *opened) isContent(at int64, sum index.Sum) bool {
	i, ok := fileAt(o.b.w.Index, at)
	return ok && o.b.w.Index.Files[i].Sum == sum
}

// Later opens a content apart from the stream, if it is on its way.
func (o *opened) Later(start, size int64) (open func() (io.ReadCloser, error), isHere func() bool) {
	x := o.b.w.Index
	i, ok := fileAt(x, start)
	if !ok || x.Files[i].Size != size {
		return nil, nil
	}
	f := &x.Files[i]
	if _, held := o.b.held[f.Sum]; held {
		return nil, nil
	}
	at, ok := o.b.within(f)
	first, last := x.Within(at, size)
	isHere = func() bool { return o.b.isHere(first, last) }
	if !ok || isHere() {
		return nil, nil
	}
	return func() (io.ReadCloser, error) {
		o.unpackLate()
		in := x.Open(i, func(int) (io.ReadCloser, error) {
			seen := func(i int, plain []byte) error { return o.agreeLate(i, plain, at) }
			return &within{m: o.members, at: at, left: size, seen: seen}, nil
		})
		return &apart{in, o, at, size}, nil
	}, isHere
}

// unpackLate begins to decompress what has come late: what is here when it is asked
// first, and what is left when all is.
func (o *opened) unpackLate() {
	if o.late.begun {
		return
	}
	if o.late.begun = isClosed(o.b.here.done); !o.late.begun && o.members.ahead != nil {
		return
	}
	o.members.unpackAhead(slices.DeleteFunc(o.late.members(), func(i int) bool { return !o.b.isHere(i, i+1) }))
}

// apart is a content that is read apart from the stream.
type apart struct {
	io.ReadCloser
	o        *opened
	at, left int64
}

// Read reads it. Once all has been read, it is what its digest says, and so is what was
// passed in the stream, if that is where it was read.
func (a *apart) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	if a.left -= int64(n); a.left == 0 {
		delete(a.o.late.passed, a.at)
	}
	return n, err
}
