package delta

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"stretcher/internal/archive/index"
)

// ErrBare is an ErrDear: there is nothing that an archive could be put together of.
var ErrBare error = bare{}

type bare struct{}

// Error says what comes of it.
func (bare) Error() string { return "nothing of the archive is here: all of it is fetched" }

// Is tells that nothing costs less.
func (bare) Is(target error) bool { return target == ErrDear }

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
// Where only that fails, Unkept is told. Where one request is made at a time, the
// index comes afterwards as well. It is not waited for long.
func (h *Host) FetchBeside(ctx context.Context, s *Server, fetch func() error) error {
	aside, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var data []byte
	var failed error
	var fetched sync.WaitGroup
	get := func() { data, failed = h.fetchIndex(aside, s) }
	meanwhile, began := s.Bandwidth == 0 && s.Lines != 1, time.Now()
	if meanwhile {
		fetched.Go(get)
	}
	err := fetch()
	if err != nil {
		cancel(nil)
	} else {
		late := time.AfterFunc(cmp.Or(h.patience, patience(time.Since(began))), func() { cancel(errLate) })
		defer late.Stop()
		if !meanwhile {
			get()
		}
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

// errLate: nothing but an index that helps the next run is missing.
var errLate = errors.New("the index does not come, and the archive is here")

// leastPatience is how long an index is always waited for.
const leastPatience = 5 * time.Second

// patience is how long an index is waited for when its archive is here, which has
// taken some time. It is a hundredth of that in size, or less.
func patience(took time.Duration) time.Duration { return max(leastPatience, took/10) }

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
