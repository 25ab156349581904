package delta

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	"stretcher/internal/archive/index"
)

// ErrBare is an ErrDear: there is nothing that an archive could be put together of.
var ErrBare = fmt.Errorf("%w: nothing of it is here", ErrDear)

// IsBare tells whether nothing was deployed before, neither here nor by others: all
// of the archive is missing then, whatever its index says.
func (h *Host) IsBare() bool {
	if h.Last != "" {
		return false
	}
	live, err := h.Tree()
	if err != nil {
		return true
	}
	defer live.Close()
	return isEmpty(live.Root())
}

// isEmpty tells whether nothing is in a directory.
func isEmpty(root *os.Root) bool {
	if root == nil {
		return true
	}
	dir, err := root.Open(".")
	if err != nil {
		return false
	}
	defer dir.Close()
	names, err := dir.Readdirnames(1)
	return len(names) == 0 && err == io.EOF
}

// FetchBeside has all of the archive fetched, and fetches its index meanwhile, or
// afterwards where bandwidth is limited: the next archive is compared with it.
// Where only that fails, Unkept is told.
func (h *Host) FetchBeside(ctx context.Context, s *Server, fetch func() error) error {
	aside, cancel := context.WithCancel(ctx)
	defer cancel()
	var data []byte
	var failed error
	var fetched sync.WaitGroup
	get := func() { data, failed = h.fetchIndex(aside, s) }
	if s.Bandwidth == 0 {
		fetched.Go(get)
	}
	err := fetch()
	if err != nil {
		cancel()
	} else if s.Bandwidth > 0 {
		get()
	}
	fetched.Wait()
	switch {
	case err != nil:
	case failed != nil:
		h.Unkept(failed)
	default:
		h.keepIndex(data)
	}
	return err
}

// fetchIndex fetches the archive's index, unless it is here. It is the one that is
// expected, whatever it says: nobody reads it yet.
func (h *Host) fetchIndex(ctx context.Context, s *Server) ([]byte, error) {
	if h.Expected.Archive == nil {
		return nil, errUnnamed
	}
	if f, ok := h.Shelf.Index(h.Key); ok {
		defer f.Close()
		data, err := io.ReadAll(io.LimitReader(f, index.MaxSize+1))
		if err == nil && h.Expected.verify(data) == nil {
			return nil, nil
		}
	}
	return s.fromAny(ctx, h.Mirrors, h.Expected.Limit, h.Expected.verify)
}

// keepIndex keeps an index that was fetched; nil = none was.
func (h *Host) keepIndex(data []byte) {
	if data == nil {
		return
	}
	if err := h.Shelf.PutIndex(h.Key, data); err != nil {
		h.Unkept(err)
	}
}
