package delta

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"testing"

	"stretcher/internal/archive"
	"stretcher/internal/archive/index"
	"stretcher/internal/archive/pack"
)

// shelf holds indexes.
type shelf map[string]string

// Index opens one.
func (s shelf) Index(key string) (*os.File, bool) {
	f, err := os.Open(s[key])
	return f, err == nil
}

// PutIndex keeps none.
func (shelf) PutIndex(string, []byte) error { return nil }

// liveTree is one of a test.
type liveTree struct {
	io.Closer
	root *os.Root
}

// Root is the tree.
func (l liveTree) Root() *os.Root { return l.root }

// put writes a release's index beside its archive, and onto a shelf.
func (s shelf) put(t *testing.T, key string, r *release) (sum index.Sum) {
	t.Helper()
	data := r.index.Encode()
	s[key] = r.archive + Suffix
	ok(t, os.WriteFile(s[key], data, 0o644))
	return sha256.Sum256(data)
}

// hostWith is one that has a release, and is to get another.
func hostWith(t *testing.T, before, after *release, mirror string) (h *Host, looked *atomic.Int64) {
	t.Helper()
	looked = new(atomic.Int64)
	kept := shelf{}
	kept.put(t, "before", before)
	sum := kept.put(t, "after", after)
	delete(kept, "after")
	return &Host{
		Wish:     after.wish(t, mirror),
		Expected: Expected{Digest: sum, Archive: &after.index.Archive},
		Shelf:    kept, Key: "after", Last: "before",
		Archive: func(string) (Source, bool) { return nil, false },
		Tree:    func() (Live, error) { return liveTree{io.NopCloser(nil), rootOf(t, before.dir)}, nil },
		Wants: func(context.Context, archive.Input) (func(index.Sum) bool, error) {
			looked.Add(1)
			return nil, nil
		},
	}, looked
}

// TestOutlook: where most of an archive is new by the indexes alone, nothing of the
// live tree is looked at.
func TestOutlook(t *testing.T) {
	before, after := newRelease(t, files(-1), pack.Gzip), newRelease(t, files(7), pack.Gzip)
	other := newRelease(t, map[string]string{"large": text(1, 3<<20), "f": text(2, 90_000)}, pack.Gzip)
	for name, c := range map[string]struct {
		to   *release
		dear bool
	}{
		"one file":   {after, false},
		"everything": {other, true},
	} {
		h, looked := hostWith(t, before, c.to, "file://"+c.to.archive)
		b, _, err := h.Bring(t.Context(), newServer())
		if errors.Is(err, ErrDear) != c.dear || err != nil && !c.dear || looked.Load() == 0 != c.dear {
			t.Errorf("%s: %v, looked %d times", name, err, looked.Load())
		}
		if err == nil && c.to.stream(t, b) != plain(t, c.to) {
			t.Errorf("%s: another stream", name)
		}
		ok(t, b.Close())
	}
}
