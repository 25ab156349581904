package delta

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"stretcher/internal/archive"
	"stretcher/internal/archive/index"
)

// Headers is the archive without its contents, for who only looks at what there
// is: reading one is ErrMissing.
func Headers(x *index.Index) archive.Input { return headers{x} }

type headers struct{ x *index.Index }

// Open reads from the beginning.
func (h headers) Open() (io.ReadCloser, error) {
	return h.x.Rebuild(func(i int) (io.ReadCloser, error) {
		return nil, fmt.Errorf("%q: %w", h.x.Files[i].Path, ErrMissing)
	}), nil
}

// Foreseen is an archive of which nothing but its index is here, for who compares
// it by that. A content is fetched when it is read, so few should be.
type Foreseen struct {
	Stats // what Bring would fetch, the index included

	ctx    context.Context
	s      *Server
	w      Wish
	failed error // of the last reading
}

var _ archive.Input = (*Foreseen)(nil)

// Peek has the archive read by its index alone. Where that was not done, or its index
// may be wrong, the error says why all of it is to be fetched.
func (h *Host) Peek(ctx context.Context, s *Server, read func(*Foreseen) error) (done bool, err error) {
	f, err := h.Foresee(ctx, s)
	if err != nil {
		return false, err
	}
	defer f.Close()
	err = read(f)
	return err == nil || !f.IsLost(err), err
}

// Foresee gets the archive's index, and tells by it what Bring would fetch. ctx
// bounds what the archive fetches later, too.
func (h *Host) Foresee(ctx context.Context, s *Server) (*Foreseen, error) {
	size, err := h.find(ctx, s)
	if err != nil {
		h.Close()
		return nil, err
	}
	f := &Foreseen{ctx: ctx, s: s}
	f.Stats, err = h.foresee(ctx, s)
	if err != nil {
		h.Close()
		return nil, err
	}
	f.Bytes, f.w = f.Bytes+size, h.Wish
	return f, nil
}

// foresee tells what Bring would fetch once it has the index, by what Bring looks
// at. Where all of the archive would be fetched, it says so.
func (h *Host) foresee(ctx context.Context, s *Server) (Stats, error) {
	all := Stats{Bytes: h.Index.Size, Whole: h.Index.Size, Requests: 1}
	if h.outlook(s) != nil {
		return all, nil
	}
	if err := h.want(ctx); err != nil {
		return Stats{}, err
	}
	b := newRebuilt(h.Wish)
	if spans, bytes, ok := h.early(s); ok {
		b.Bytes, b.Requests = bytes, len(spans)
		return b.Stats, h.agreed()
	}
	need, err := b.look(ctx)
	if err != nil || len(need) == 0 {
		return b.Stats, err
	}
	spans, bytes := planOf(h.Index, need, s.link())
	if !b.reuses || worth(s, h.Index, spans, bytes, h.local(need)) != nil {
		return all, nil
	}
	b.Bytes, b.Requests = bytes, len(spans)
	return b.Stats, nil
}

// Open reads from the beginning.
func (f *Foreseen) Open() (io.ReadCloser, error) {
	f.failed = nil
	return &foreseen{f.w.Index.Rebuild(f.content), f}, nil
}

// IsLost tells whether an error of who has read the archive comes from its index,
// or from a content that could not be had: the whole archive may do better.
func (f *Foreseen) IsLost(err error) bool { return f.failed != nil || isDoubtful(err) }

// Close closes what contents come from.
func (f *Foreseen) Close() { f.w.Close() }

// foreseen is one reading of it, which remembers what is wrong.
type foreseen struct {
	*index.Stream
	f *Foreseen
}

// Read reads the stream.
func (r *foreseen) Read(p []byte) (int, error) {
	n, err := r.Stream.Read(p)
	return n, r.remember(err)
}

// Skip goes on in the stream.
func (r *foreseen) Skip(n int64) (int64, error) {
	n, err := r.Stream.Skip(n)
	return n, r.remember(err)
}

func (r *foreseen) remember(err error) error {
	if err != nil && err != io.EOF {
		r.f.failed = err
	}
	return err
}

// content brings one content here, and nothing else.
func (f *Foreseen) content(i int) (io.ReadCloser, error) {
	w, sum := f.w, f.w.Index.Files[i].Sum
	w.Wanted, w.Holds = func(s index.Sum) bool { return s == sum }, nil // they are held already
	b := newRebuilt(w)
	if err := b.only(f.ctx, f.s); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	l, err := newLive(w.Live)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	o := &opened{b: b, live: l, members: newMembers(w.Index, b.spots, b.lost.done, nil), Stream: w.Index.Rebuild(nil)}
	in, err := o.content(i)
	if err != nil {
		return nil, errors.Join(err, o.Close(), b.Close())
	}
	return &alone{in, o}, nil
}

// only fetches what is missing of the contents that are wanted, and no part for
// the sake of others.
func (b *Rebuilt) only(ctx context.Context, s *Server) error {
	need, err := b.look(ctx)
	if err != nil {
		return err
	}
	wanted := map[index.Sum]bool{}
	for sum := range b.at {
		wanted[sum] = true
	}
	parts := membersOf(b.w.Index, wanted)
	need = slices.DeleteFunc(need, func(i int) bool { return !slices.Contains(parts, i) })
	if len(need) == 0 {
		return nil
	}
	spans, bytes := planOf(b.w.Index, need, s.link())
	if b.spool, err = b.w.Unnamed(bytes); err != nil {
		return err
	}
	b.place(spans)
	whole, err := b.fetch(ctx, s, spans, bytes)
	whole.Close()
	return err
}

// alone is a content that has been brought here alone.
type alone struct {
	io.ReadCloser
	o *opened
}

// Close closes all that it comes from.
func (a *alone) Close() error { return errors.Join(a.ReadCloser.Close(), a.o.Close(), a.o.b.Close()) }
