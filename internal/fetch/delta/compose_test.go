package delta

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"stretcher/internal/archive/pack"
)

// TestComposeLate: whenever members come, the archive that is put together is that of
// the server; where one is another, it is not taken for it.
func TestComposeLate(t *testing.T) {
	r := newRelease(t, files(-1), pack.Gzip)
	file, err := os.Open(r.archive)
	ok(t, err)
	defer file.Close()
	whole, err := os.ReadFile(r.archive)
	ok(t, err)
	n := len(r.index.Members)
	for name, c := range map[string]struct {
		late  []int // members that are still to come
		after time.Duration
		wrong bool
	}{
		"all are here":   {nil, 0, false},
		"the first":      {[]int{0}, 2 * soon, false},
		"the last":       {[]int{n - 1}, 2 * soon, false},
		"soon":           {[]int{2, 5}, 0, false},
		"some, late":     {[]int{3, 1, 4, n - 2}, 2 * soon, false},
		"one is another": {[]int{3}, 2 * soon, true},
	} {
		b := newRebuilt(Wish{Index: r.index})
		b.complete = true
		for i := range r.index.Members {
			b.spots[i] = spot{file: file, at: r.index.Members[i].Offset}
		}
		for _, i := range c.late {
			come := make(chan struct{})
			b.spots[i] = spot{file, r.index.Members[i].Offset, come}
			if c.wrong {
				b.spots[i] = spot{bytes.NewReader(make([]byte, len(whole))), 0, come}
			}
			time.AfterFunc(c.after, func() { close(come) })
		}
		done := false
		b.Compose(t.Context(), Whereto{
			Create: func(int64) (*os.File, error) { return os.CreateTemp(t.TempDir(), "whole") },
			Sum:    sha256.New(), Want: r.index.Archive[:], Done: func(*os.File) { done = true },
		})
		f, err := b.Composed()
		if c.wrong {
			if !errors.Is(err, ErrIndex) || done {
				t.Errorf("%s: %v, taken: %v", name, err, done)
			}
			continue
		}
		ok(t, err)
		got, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<30))
		ok(t, err)
		if !bytes.Equal(got, whole) || !done {
			t.Errorf("%s: another archive, of %d bytes", name, len(got))
		}
		b.composed.close()
	}
}

// TestComposeEnded: the end of the context ends what waits for parts, and says why.
func TestComposeEnded(t *testing.T) {
	r := newRelease(t, files(-1), pack.Gzip)
	file, err := os.Open(r.archive)
	ok(t, err)
	defer file.Close()
	enough := errors.New("enough")
	keep := func(io.ReaderAt) (io.Closer, error) { t.Error("pieces are kept"); return nil, nil }
	for name, c := range map[string]struct {
		late   bool
		pieces func(io.ReaderAt) (io.Closer, error)
	}{
		"a part is late":      {late: true},
		"all are here":        {},
		"a part of pieces":    {late: true, pieces: keep},
		"all pieces are here": {pieces: keep},
	} {
		b := newRebuilt(Wish{Index: r.index})
		b.complete = true
		for i := range r.index.Members {
			b.spots[i] = spot{file: file, at: r.index.Members[i].Offset}
		}
		if c.late {
			b.spots[3] = spot{file, r.index.Members[3].Offset, make(chan struct{})}
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(enough)
		b.Compose(ctx, Whereto{
			Pieces: c.pieces,
			Create: func(int64) (*os.File, error) { return os.CreateTemp(t.TempDir(), "whole") },
			Sum:    sha256.New(), Want: r.index.Archive[:], Done: func(*os.File) { t.Errorf("%s: it is whole", name) },
		})
		if _, err := b.Composed(); !errors.Is(err, enough) {
			t.Errorf("%s: %v", name, err)
		}
		b.composed.close()
	}
}
