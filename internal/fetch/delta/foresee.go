package delta

import (
	"context"
	"errors"
	"fmt"
	"io"

	"stretcher/internal/archive"
	"stretcher/internal/archive/index"
)

// errAll: nothing tells which contents are wanted.
var errAll = errors.New("all contents are wanted")

// Foresee tells what Bring would fetch, and gives the archive without its
// contents, for who can compare it so.
func (h *Host) Foresee(ctx context.Context, s *Server) (archive.Input, Stats, error) {
	defer h.Close()
	size, err := h.find(ctx, s)
	if err == nil {
		err = h.want(ctx)
	}
	if err == nil && h.Wanted == nil {
		err = errAll
	}
	if err != nil {
		return nil, Stats{}, err
	}
	stats, err := foresee(ctx, s, h.Wish)
	stats.Bytes += size
	return Headers(h.Index), stats, err
}

// foresee tells what Bring would fetch, and fetches nothing. Where all of the
// archive would be, it says so.
func foresee(ctx context.Context, s *Server, w Wish) (Stats, error) {
	b := newRebuilt(w)
	need, err := b.look(ctx)
	if err != nil || len(need) == 0 {
		return b.Stats, err
	}
	if !b.reuses {
		b.Bytes, b.Requests = b.Whole, 1
		return b.Stats, nil
	}
	spans, bytes := planOf(w.Index, need, s.Link.orDefault())
	b.Bytes, b.Requests = bytes, len(spans)
	if worth(s, w.Index, spans, bytes) != nil {
		b.Bytes, b.Requests = b.Whole, 1
	}
	return b.Stats, nil
}

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
