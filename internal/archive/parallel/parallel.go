// Package parallel decompresses an input on several cores, as far as it is made
// of segments that can be decompressed by themselves and tell how long they are.
//
// Its words: a segment is a member of a gzip file or a frame of a zstd file; the
// rest is what is left of the input where that ends, or where anything is not
// as it should be: the first segment that has a fault belongs to the rest, and
// all that follows it. Whoever reads the rest as he would have read the input
// gets what he would have got, with the same error.
//
// Memory is for some segments, most of them short, as most are, and none longer
// than Max; the length of the input makes no difference to it. Some more than there
// are cores are under way, since it takes longer to write what is in some than in
// others.
//
// It imports no other package of this module.
package parallel

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"sync"
)

const (
	// Max is the length of a segment, packed or not.
	Max = 1 << 20
	// MaxCores bounds the cores: one can't write what more of them decompress.
	MaxCores = 4

	// What is under way: so many segments, each of which may take share bytes,
	// packed and not. What some take beyond that is bounded for all together: it
	// is counted in tokens.
	slots  = 11
	share  = 768 << 10
	token  = 128 << 10
	tokens = 72
)

// ErrRest comes after the last segment.
var ErrRest = errors.New("the rest is to be read otherwise")

// Format is how an input is made of segments.
type Format struct {
	// Next tells how long the segment is that comes next, by looking at it; ok is
	// false when that can't be told, or when none comes.
	Next func(in *bufio.Reader) (n int, ok bool)
	// Decoder makes what one core decompresses segments with. It gives no more
	// than Max bytes, in the memory of dst, which has no length, if that is enough.
	// Any fault of the segment is an error, and so is anything behind its end.
	Decoder func() (decode func(dst, segment []byte) ([]byte, error), close func(), err error)
	// Size tells how long the content of a segment is at most, by what that says:
	// more is a fault. May be nil: Max.
	Size func(segment []byte) int
	// Digests finds digests of parts of a segment's content, on the core that has
	// decompressed it, and appends them in order. pos is how much content is before it,
	// by Size. May be nil.
	Digests func(dst []Digest, content []byte, pos int64) []Digest
}

// Digest is the SHA-256 of a part of a segment's content.
type Digest struct {
	Start, Size int
	Sum         [sha256.Size]byte
}

// Reader reads segments. It is for one goroutine.
type Reader struct {
	in     *bufio.Reader
	format Format
	free   chan *segment
	room   chan struct{} // a token for each
	todo   chan *segment
	order  chan *segment
	stop   chan struct{}
	cores  sync.WaitGroup
	ahead  sync.WaitGroup
	cur    *segment
	tail   []byte   // of the input, read when it ended or failed
	rest   [][]byte // segments that were not handed out
	begun  bool
	end    error // ErrRest, or why the context ended: what Next gives from then on
	halted bool
}

type segment struct {
	in, out []byte
	pos     int64    // of out in the content of the input
	digests []Digest // of parts of out
	tokens  int      // that it holds
	err     error
	ready   chan struct{}
}

// NewReader starts to read src. It must be closed.
func NewReader(src io.Reader, f Format, cores int) *Reader {
	cores = min(max(cores, 1), MaxCores)
	r := &Reader{
		in: bufio.NewReaderSize(&sticky{r: src}, Max), format: f, stop: make(chan struct{}),
		free: make(chan *segment, slots), todo: make(chan *segment, slots), order: make(chan *segment, slots),
		room: make(chan struct{}, tokens),
	}
	for range slots {
		r.free <- &segment{}
	}
	for range cores {
		r.cores.Go(func() { r.decode(f) })
	}
	r.ahead.Go(r.cut)
	return r
}

// cut reads segments ahead.
func (r *Reader) cut() {
	defer close(r.order)
	defer close(r.todo)
	for pos := int64(0); ; {
		n, ok := r.format.Next(r.in)
		if !ok || n > Max {
			return
		}
		var s *segment
		select {
		case s = <-r.free:
		case <-r.stop:
			return
		}
		if cap(s.in) < n {
			s.in = make([]byte, n)
		}
		got, err := io.ReadFull(r.in, s.in[:n])
		if s.in = s.in[:got]; err != nil {
			r.tail = s.in
			return
		}
		size := r.format.size(s.in)
		if s.pos, pos = pos, pos+int64(size); !r.admit(s, size) {
			r.tail = s.in
			return
		}
		s.ready = make(chan struct{})
		r.order <- s // there is room for all, here and there
		r.todo <- s
	}
}

// size is how long the content of a segment is at most.
func (f *Format) size(segment []byte) int {
	if f.Size == nil {
		return Max
	}
	return min(max(f.Size(segment), 0), Max)
}

// admit waits until there is room for what a segment takes beyond its share; false =
// nobody wants it any more. Those before it give theirs back.
func (r *Reader) admit(s *segment, size int) bool {
	for need := (len(s.in) + size - share + token - 1) / token; s.tokens < need; s.tokens++ {
		select {
		case r.room <- struct{}{}:
		case <-r.stop:
			return false
		}
	}
	return true
}

// giveBack makes a segment free that nobody needs any more.
func (r *Reader) giveBack(s *segment) {
	if cap(s.in)+cap(s.out) > share {
		s.in, s.out = nil, nil
	}
	for ; s.tokens > 0; s.tokens-- {
		<-r.room
	}
	r.free <- s
}

// decode decompresses segments, whichever comes next.
func (r *Reader) decode(f Format) {
	decode, done, err := f.Decoder()
	if err == nil {
		defer done()
	}
	for s := range r.todo {
		if s.err = err; err == nil {
			s.out, s.err = decode(s.out[:0], s.in)
		}
		if s.err == nil && len(s.out) > Max {
			s.err = errors.New("too long")
		}
		if s.err == nil && f.Digests != nil {
			s.digests = f.Digests(s.digests[:0], s.out, s.pos)
		}
		close(s.ready)
	}
}

// Next gives the content of the next segment, good until the next call; ErrRest
// when there is none, or the cause of the context's end. An error is that of all
// later calls too: after a context has ended there is no rest, since a segment may
// be missing.
func (r *Reader) Next(ctx context.Context) ([]byte, error) {
	if r.end != nil {
		return nil, r.end
	}
	if r.cur != nil {
		r.giveBack(r.cur)
		r.cur = nil
	}
	select {
	case s, ok := <-r.order:
		if !ok {
			r.end = ErrRest
			return nil, r.end
		}
		return r.take(ctx, s)
	case <-ctx.Done():
		r.end = context.Cause(ctx)
		return nil, r.end
	}
}

// Digests are those of the segment that Next gave last, good as long as it.
func (r *Reader) Digests() []Digest {
	if r.cur == nil {
		return nil
	}
	return r.cur.digests
}

func (r *Reader) take(ctx context.Context, s *segment) ([]byte, error) {
	select {
	case <-s.ready:
	case <-ctx.Done():
		r.end = context.Cause(ctx)
		return nil, r.end
	}
	if s.err != nil {
		r.leave(s)
		return nil, r.end
	}
	r.cur, r.begun = s, true
	return s.out, nil
}

// leave gives up at s, which has a fault.
func (r *Reader) leave(s *segment) {
	r.end = ErrRest
	r.halt()
	r.rest = append(r.rest, s.in)
	for s := range r.order {
		r.rest = append(r.rest, s.in)
	}
}

// Rest is what is left of the input after ErrRest, and whether segments came
// before it.
func (r *Reader) Rest() (rest io.Reader, begun bool) {
	var all []io.Reader
	for _, b := range r.rest {
		all = append(all, bytes.NewReader(b))
	}
	return io.MultiReader(append(all, bytes.NewReader(r.tail), r.in)...), r.begun
}

// Close waits until nobody reads or decompresses any more.
func (r *Reader) Close() {
	r.halt()
	r.ahead.Wait()
	r.cores.Wait()
}

// halt stops to read ahead.
func (r *Reader) halt() {
	if !r.halted {
		r.halted = true
		close(r.stop)
	}
}

// sticky repeats the first error of a reader: to look ahead takes it away.
type sticky struct {
	r   io.Reader
	err error
}

// Read reads until the first error.
func (s *sticky) Read(p []byte) (n int, err error) {
	if s.err != nil {
		return 0, s.err
	}
	n, s.err = s.r.Read(p)
	return n, s.err
}
