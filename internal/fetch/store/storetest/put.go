package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"stretcher/internal/fetch/store"
)

// RunSink is the contract of Sink, for one scheme. Stat finds sums where sums is
// true.
func RunSink(t *testing.T, w World, sums bool) {
	w.Put(t, "first", []byte("x")) // makes the bucket
	for name, data := range map[string][]byte{
		"put": Noise(1, 10_000), "put nothing": nil,
		"put large": Noise(2, w.most(20<<20)), "put sp ace+plus%41é": Noise(3, 100),
	} {
		t.Run(name, func(t *testing.T) { conformPut(t, w, name, data, sums) })
	}
	t.Run("overwrite", func(t *testing.T) { conformOverwrite(t, w) })
	t.Run("only new", func(t *testing.T) { conformOnlyNew(t, w) })
	t.Run("interrupted", func(t *testing.T) { conformInterrupted(t, w) })
	t.Run("other bytes", func(t *testing.T) { conformOther(t, w) })
	t.Run("stat", func(t *testing.T) { conformStat(t, w) })
}

// target is the URL of an object that is not there yet.
func target(t *testing.T, w World, name string) string {
	t.Helper()
	return strings.Replace(w.Put(t, "place", []byte("x")), "place", strings.ReplaceAll(name, " ", "%20"), 1)
}

// put is Set.Put of data.
func put(ctx context.Context, w World, u string, data []byte, isNew bool) error {
	return w.Set.Put(ctx, u, bytes.NewReader(data), int64(len(data)),
		store.PutOptions{SHA256: sha256.Sum256(data), New: isNew})
}

func conformPut(t *testing.T, w World, name string, data []byte, sums bool) {
	u := target(t, w, strings.ReplaceAll(name, "%", "%25"))
	var done atomic.Int64
	sum := sha256.Sum256(data)
	err := w.Set.Put(t.Context(), u, bytes.NewReader(data), int64(len(data)),
		store.PutOptions{SHA256: sum, Progress: func(n int64) { done.Store(n) }})
	if err != nil {
		t.Fatal(err)
	}
	if done.Load() != int64(len(data)) {
		t.Errorf("progress ended at %d of %d", done.Load(), len(data))
	}
	obj, got := ReadAll(t, w.Set, u, store.Position{})
	if !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back, not the %d that were put", len(got), len(data))
	}
	info, err := w.Set.Stat(t.Context(), u)
	if err != nil || info.Size != int64(len(data)) || info.Version != obj.Version {
		t.Errorf("stat: %+v, %v, want %d bytes of version %q", info, err, len(data), obj.Version)
	}
	if sums && (info.SHA256 == nil || *info.SHA256 != sum) {
		t.Errorf("stat: SHA-256 %x, not %x", info.SHA256, sum)
	}
}

func conformOverwrite(t *testing.T, w World) {
	u := target(t, w, "over")
	for i, data := range [][]byte{Noise(1, 5000), Noise(2, 3000), Noise(3, 6000)} {
		if err := put(t.Context(), w, u, data, false); err != nil {
			t.Fatal(err)
		}
		if _, got := ReadAll(t, w.Set, u, store.Position{}); !bytes.Equal(got, data) {
			t.Errorf("%d: %d bytes, or others", i, len(got))
		}
	}
}

func conformOnlyNew(t *testing.T, w World) {
	u := target(t, w, "new")
	if err := put(t.Context(), w, u, []byte("one"), true); err != nil {
		t.Fatal(err)
	}
	if err := put(t.Context(), w, u, []byte("two"), true); !errors.Is(err, store.ErrExists) || store.Retryable(err) {
		t.Errorf("over another: %v, want ErrExists, permanent", err)
	}
	wantBytes(t, w, u, []byte("one"))
}

func wantBytes(t *testing.T, w World, u string, want []byte) {
	t.Helper()
	if _, got := ReadAll(t, w.Set, u, store.Position{}); !bytes.Equal(got, want) {
		t.Errorf("%s holds %d other bytes", u, len(got))
	}
}

// failing is a body that can be read once, and half a second time.
type failing struct {
	*bytes.Reader
	left *atomic.Int64
	then func()
}

// ReadAt reads as long as something is left.
func (f failing) ReadAt(p []byte, at int64) (int, error) {
	if f.left.Add(-int64(len(p))) < 0 {
		f.then()
		return 0, errors.New("the disk is gone")
	}
	return f.Reader.ReadAt(p, at)
}

func conformInterrupted(t *testing.T, w World) {
	old, data := Noise(4, 1000), Noise(5, w.most(20<<20))
	u := target(t, w, "old")
	if err := put(t.Context(), w, u, old, false); err != nil {
		t.Fatal(err)
	}
	none := target(t, w, "none")
	for _, u := range []string{u, none} {
		for name, stop := range map[string]bool{"the body fails": false, "the context ends": true} {
			ctx, cancel := context.WithCancel(t.Context())
			left := new(atomic.Int64)
			left.Store(int64(len(data)) * 3 / 2)
			body := failing{bytes.NewReader(data), left, func() {
				if stop {
					cancel()
				}
			}}
			err := w.Set.Put(ctx, u, body, int64(len(data)), store.PutOptions{SHA256: sha256.Sum256(data)})
			if err == nil || stop && !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
			cancel()
		}
	}
	wantBytes(t, w, u, old)
	if _, err := w.Set.Stat(t.Context(), none); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("something is there after a body that broke off: %v", err)
	}
}

func conformOther(t *testing.T, w World) {
	data := Noise(6, 1000)
	u := target(t, w, "other")
	sum := sha256.Sum256(data)
	for name, c := range map[string]struct {
		size int64
		sum  [sha256.Size]byte
	}{
		"too short": {1001, sum}, "too long": {999, sha256.Sum256(data[:999])}, "other bytes": {1000, sha256.Sum256(nil)},
	} {
		err := w.Set.Put(t.Context(), u, bytes.NewReader(data), c.size, store.PutOptions{SHA256: c.sum})
		if err == nil || store.Retryable(err) {
			t.Errorf("%s: %v, want a permanent error", name, err)
		}
	}
	if _, err := w.Set.Open(t.Context(), u, store.Position{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("something was put: %v", err)
	}
}

func conformStat(t *testing.T, w World) {
	u := w.Put(t, "of others", Noise(7, 1234)) // not by Set.Put
	info, err := w.Set.Stat(t.Context(), u)
	if err != nil || info.Size != 1234 {
		t.Errorf("%+v, %v, want 1234 bytes", info, err)
	}
	obj := Open(t, w.Set, u, store.Position{Length: 10, Version: info.Version})
	if _, err := io.Copy(io.Discard, obj.Body); err != nil {
		t.Errorf("stat gives a version that is none: %v", err)
	}
	_, err = w.Set.Stat(t.Context(), target(t, w, "nowhere"))
	if !errors.Is(err, store.ErrNotFound) || store.Retryable(err) {
		t.Errorf("nothing is there: %v, want ErrNotFound", err)
	}
}
