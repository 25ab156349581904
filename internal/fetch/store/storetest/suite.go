// Package storetest is the contract of a store, as tests: each scheme's package
// runs them against a real server.
//
// Its words are those of package store, and: a world is a server that the suite
// puts objects on. It imports store, and only tests import it.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"stretcher/internal/fetch/store"
)

// World is one server that the suite puts objects on.
type World struct {
	Set *store.Set
	Put func(t *testing.T, name string, data []byte) (rawURL string) // also replaces
	// Keeps: a version that was replaced can still be read, so that a read goes on
	// in it.
	Keeps bool
	// Most is how many bytes an object has at most; 0 = as many as one likes.
	Most int
}

// most is so many bytes, or what an object has at most.
func (w World) most(n int) int {
	if w.Most > 0 {
		n = min(n, w.Most)
	}
	return n
}

// Replace puts a new file in the place of an old one, as a deploy would.
func Replace(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// Noise is the same n bytes for the same seed.
func Noise(seed byte, n int) []byte {
	data := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(data)
	return data
}

// Run is the contract of Store, for one scheme.
func Run(t *testing.T, w World) {
	small, large := Noise(1, 10_000), Noise(2, w.most(8<<20))
	for name, data := range map[string][]byte{
		"whole": small, "empty": nil, "large": large, "sp ace+plus%41é": small,
	} {
		t.Run("read "+name, func(t *testing.T) {
			obj, got := ReadAll(t, w.Set, w.Put(t, name, data), store.Position{})
			if !bytes.Equal(got, data) || obj.Offset != 0 || obj.Size != int64(len(data)) {
				t.Errorf("%d bytes from %d of %d, want %d from 0", len(got), obj.Offset, obj.Size, len(data))
			}
			if obj.Version == "" {
				t.Error("no version")
			}
		})
	}
	t.Run("resume", func(t *testing.T) { conformResume(t, w, large) })
	t.Run("ranges", func(t *testing.T) { conformRanges(t, w) })
	t.Run("changed", func(t *testing.T) { conformChanged(t, w) })
	t.Run("not found", func(t *testing.T) { conformNotFound(t, w) })
	t.Run("cancel", func(t *testing.T) { conformCancel(t, w, large) })
	t.Run("concurrent", func(t *testing.T) { conformConcurrent(t, w, large) })
}

func conformResume(t *testing.T, w World, data []byte) {
	u := w.Put(t, "resume", data)
	obj := Open(t, w.Set, u, store.Position{})
	const at = 100_001
	if _, err := io.CopyN(io.Discard, obj.Body, at); err != nil {
		t.Fatal(err)
	}
	obj.Body.Close()
	rest, got := ReadAll(t, w.Set, u, store.Position{Offset: at, Version: obj.Version})
	if !bytes.Equal(got, data[at:]) {
		t.Errorf("the rest differs: %d bytes, want %d", len(got), len(data)-at)
	}
	if rest.Offset != at || rest.Size != int64(len(data)) || rest.Version != obj.Version {
		t.Errorf("offset %d size %d version %q, want %d, %d, %q", rest.Offset, rest.Size, rest.Version, at,
			len(data), obj.Version)
	}
}

func conformChanged(t *testing.T, w World) {
	before, after := Noise(3, 5000), Noise(4, 6000)
	u := w.Put(t, "changed", before)
	obj, _ := ReadAll(t, w.Set, u, store.Position{})
	w.Put(t, "changed", after)
	again, err := w.Set.Open(t.Context(), u, store.Position{Offset: 1000, Version: obj.Version})
	if err != nil {
		if !errors.Is(err, store.ErrChanged) || store.Retryable(err) {
			t.Errorf("error %v, retryable %v; want store.ErrChanged, permanent", err, store.Retryable(err))
		}
		return
	}
	defer again.Body.Close()
	got, err := io.ReadAll(again.Body)
	if w.Keeps {
		if err != nil || again.Offset != 1000 || !bytes.Equal(got, before[1000:]) || again.Version != obj.Version {
			t.Errorf("offset %d, %d bytes, version %q, error %v; want the rest of the old object", again.Offset, len(got),
				again.Version, err)
		}
		return
	}
	if err != nil || again.Offset != 0 || !bytes.Equal(got, after) || again.Version == obj.Version {
		t.Errorf("offset %d, %d bytes, version %q, error %v; want the new object whole", again.Offset, len(got),
			again.Version, err)
	}
}

func conformNotFound(t *testing.T, w World) {
	u := w.Put(t, "found", []byte("x"))
	u = strings.Replace(u, "found", "no-such-object", 1)
	_, err := w.Set.Open(t.Context(), u, store.Position{})
	var e *store.Error
	if !errors.Is(err, store.ErrNotFound) || !errors.As(err, &e) || e.Retryable {
		t.Errorf("error %v, want store.ErrNotFound, permanent, as *store.Error", err)
	}
	if err == nil || !strings.Contains(err.Error(), "no-such-object") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, want one line with the URL", err)
	}
}

func conformCancel(t *testing.T, w World, data []byte) {
	u := w.Put(t, "cancel", data)
	ctx, cancel := context.WithCancelCause(t.Context())
	obj, err := w.Set.Open(ctx, u, store.Position{})
	if err != nil {
		t.Fatal(err)
	}
	defer obj.Body.Close()
	if _, err := obj.Body.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	why := errors.New("the deploy was stopped")
	cancel(why)
	if _, err := io.Copy(io.Discard, obj.Body); err == nil {
		t.Error("the body was read to its end after the cancellation")
	}
	_, err = w.Set.Open(ctx, u, store.Position{})
	if !errors.Is(err, context.Canceled) || !errors.Is(err, why) || store.Retryable(err) {
		t.Errorf("opened with a cancelled context: %v, want it and its cause", err)
	}
}

func conformConcurrent(t *testing.T, w World, data []byte) {
	u := w.Put(t, "concurrent", data)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			obj, err := w.Set.Open(t.Context(), u, store.Position{})
			if err != nil {
				t.Error(err)
				return
			}
			defer obj.Body.Close()
			if got, err := io.ReadAll(obj.Body); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, error %v", len(got), err)
			}
		})
	}
	wg.Wait()
}

// Open opens an object, which is closed when the test ends.
func Open(t *testing.T, s *store.Set, u string, from store.Position) *store.Object {
	t.Helper()
	obj, err := s.Open(t.Context(), u, from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { obj.Body.Close() })
	return obj
}

// ReadAll opens an object and reads what comes of it.
func ReadAll(t *testing.T, s *store.Set, u string, from store.Position) (*store.Object, []byte) {
	t.Helper()
	obj := Open(t, s, u, from)
	data, err := io.ReadAll(obj.Body)
	if err != nil {
		t.Fatal(err)
	}
	return obj, data
}

// conformRanges: a range is exactly what was asked for, of the version asked
// for, or ErrChanged.
func conformRanges(t *testing.T, w World) {
	data := Noise(5, 5000)
	u := w.Put(t, "ranges", data)
	whole, _ := ReadAll(t, w.Set, u, store.Position{})
	for _, version := range []string{"", whole.Version} {
		for _, r := range []store.Position{
			{Offset: 0, Length: 1}, {Offset: 0, Length: 5000}, {Offset: 1000, Length: 2000},
			{Offset: 4999, Length: 1}, {Offset: 1, Length: 4999},
		} {
			r.Version = version
			obj, got := ReadAll(t, w.Set, u, r)
			if !obj.Part || obj.Offset != r.Offset || obj.Size != 5000 || obj.Version != whole.Version {
				t.Errorf("%+v: part %v from %d of %d, version %q", r, obj.Part, obj.Offset, obj.Size, obj.Version)
			}
			if !bytes.Equal(got, data[r.Offset:r.End()]) {
				t.Errorf("%+v: %d bytes, or others", r, len(got))
			}
		}
		for _, r := range []store.Position{
			{Offset: 0, Length: 5001}, {Offset: 4999, Length: 2}, {Offset: 5000, Length: 1}, {Offset: 1 << 40, Length: 7},
		} {
			r.Version = version
			wantChanged(t, w, u, r)
		}
	}
	wantChanged(t, w, w.Put(t, "nothing", nil), store.Position{Length: 1})
	w.Put(t, "ranges", Noise(6, 6000))
	if w.Keeps {
		r := store.Position{Offset: 10, Length: 10, Version: whole.Version}
		if _, got := ReadAll(t, w.Set, u, r); !bytes.Equal(got, data[10:20]) {
			t.Errorf("%+v: %d bytes, or others than the version has", r, len(got))
		}
		return
	}
	wantChanged(t, w, u, store.Position{Offset: 10, Length: 10, Version: whole.Version})
	wantChanged(t, w, u, store.Position{Length: 10, Version: whole.Version})
}

func wantChanged(t *testing.T, w World, u string, from store.Position) {
	t.Helper()
	obj, err := w.Set.Open(t.Context(), u, from)
	if err == nil {
		obj.Body.Close()
	}
	if !errors.Is(err, store.ErrChanged) || store.Retryable(err) {
		t.Errorf("%+v: error %v, want store.ErrChanged, permanent", from, err)
	}
}
