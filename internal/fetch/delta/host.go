package delta

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/archive/index"
)

// Live is the tree that was deployed last, open.
type Live interface {
	io.Closer
	Root() *os.Root
}

// Host is what a host has of an archive and of those before.
type Host struct {
	Wish     // but for what the others find out
	Expected Expected
	// Shelf gives the index of an archive by its key, and takes one.
	Shelf interface {
		Index(key string) (*os.File, bool)
		PutIndex(key string, data []byte) error
	}
	Key     string                          // of the archive
	Last    string                          // the key of the archive that was deployed last; "" = none
	Archive func(key string) (Source, bool) // one that is here
	Tree    func() (Live, error)            // what was deployed last
	// Record gives what is recorded of the files of that tree, for Left; nil = nothing is.
	Record func(live *os.Root) Left
	// Then is called beside all else, when nothing more urgent is to be done; nil: nothing is.
	Then func()
	// Wants tells which contents are going to be read; nil, or a nil function: all.
	Wants  func(ctx context.Context, in archive.Input) (func(index.Sum) bool, error)
	Unkept func(error) // is told why an index is not kept
	// Spoilt is told the key of an index on the shelf that is not what it should be, and
	// why; it may be nil.
	Spoilt func(key string, why error)

	patience time.Duration // instead of patience; 0 = that
}

// Here is the archive's index, if it is here; nil = it is not.
func (h *Host) Here() *index.Index { return h.onShelf(h.Key, h.Expected.Decode) }

// onShelf is an index from the shelf, if it is there and can be decoded.
func (h *Host) onShelf(key string, decode func([]byte) (*index.Index, error)) *index.Index {
	f, ok := h.Shelf.Index(key)
	return read(f, ok, func(data []byte) (*index.Index, error) {
		x, err := decode(data)
		if err != nil && h.Spoilt != nil {
			h.Spoilt(key, err)
		}
		return x, err
	})
}

// Bring brings together what is wanted of the archive: see the function. The
// bytes of an index that was fetched count.
func (h *Host) Bring(ctx context.Context, s *Server) (*Rebuilt, *Whole, error) {
	size, err := h.find(ctx, s)
	if err != nil {
		h.Close()
		return nil, nil, err
	}
	b := newRebuilt(h.Wish)
	if b.fetchEarly(ctx, s); b.early == nil {
		err = h.outlook(s)
	}
	switch {
	case err != nil:
		return nil, nil, errors.Join(err, b.Close())
	case h.Wants == nil:
	case b.early != nil: // all parts will be here: none has to be looked for
		b.w.Wanted = func(index.Sum) bool { return false }
	default:
		b.w.compare()
		h.agreed = b.w.agreed // it is done once
		if err := h.want(ctx); err != nil {
			return nil, nil, errors.Join(err, b.Close())
		}
		b.w.Wanted = h.Wanted
	}
	b, whole, err := b.orNothing(ctx, s)
	if err == nil {
		b.Bytes += size
	}
	return b, whole, err
}

// errUnnamed: nothing tells whether an index is of the archive.
var errUnnamed = fmt.Errorf("%w: it names its archive by sha256, and checksum is of another algorithm", ErrIndex)

// find gets the index, and what the host has beside it. It tells how many bytes that
// took.
func (h *Host) find(ctx context.Context, s *Server) (size int64, err error) {
	if h.Expected.Archive == nil {
		return 0, errUnnamed
	}
	h.chooses = h.Wants != nil
	remembered := make(chan struct{})
	go func() {
		h.remember()
		close(remembered)
		if h.Then != nil {
			h.Then()
		}
	}()
	defer func() { <-remembered }()
	if h.Index = h.Here(); h.Index == nil {
		var data []byte
		if h.Index, data, err = s.Index(ctx, h.Mirrors, h.Expected); err != nil {
			return 0, err
		}
		size = int64(len(data))
		h.keepIndex(data)
	}
	return size, nil
}

// want finds what of the archive is wanted, while indexes are compared.
func (h *Host) want(ctx context.Context) (err error) {
	h.compare()
	if h.Wants == nil {
		return nil
	}
	if h.Wanted, err = h.Wants(ctx, Headers(h.Index)); err != nil {
		return fmt.Errorf("%w: %w", ErrIndex, err)
	}
	h.chooses = h.Wanted != nil
	return nil
}

// remember finds what was deployed last: the tree, and the archive.
func (h *Host) remember() {
	if live, err := h.Tree(); err == nil {
		h.Live, h.Holds = live.Root(), append(h.Holds, live)
		if h.Record != nil {
			record := sync.OnceValue(func() Left { return h.Record(live.Root()) })
			h.Left = func(st *unix.Stat_t) bool { left := record(); return left != nil && left(st) }
		}
	}
	if h.Last == "" {
		return
	}
	if h.Before = h.onShelf(h.Last, index.Decode); h.Before == nil {
		return
	}
	if f, ok := h.Archive(h.Last); ok {
		h.Kept, h.Holds = &Kept{File: f, Index: h.Before}, append(h.Holds, f)
	}
}
