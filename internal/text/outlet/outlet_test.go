package outlet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestPatience: a stream that takes nothing holds nobody up once the program
// shall end, and one that works loses nothing.
func TestPatience(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	patience := NewPatience(ctx, time.Minute)
	r, w := io.Pipe()
	defer r.Close()
	var good bytes.Buffer
	stuck, works := New(w, patience), New(&good, patience)
	if _, err := works.Write([]byte("one\n")); err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, 3)
	for range 3 { // a log, its bar, and what a child prints
		go func() {
			_, err := stuck.Write([]byte("lost"))
			errs <- err
		}()
	}
	select {
	case err := <-errs:
		t.Fatalf("given up before the end: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	patience.mu.Lock()
	patience.left = 0 // as after a minute
	patience.mu.Unlock()
	cancel()
	for range 3 {
		if err := <-errs; !errors.Is(err, ErrStuck) {
			t.Errorf("err = %v", err)
		}
	}
	if n, err := works.Write([]byte("two\n")); n != 4 || err != nil || good.String() != "one\ntwo\n" {
		t.Errorf("%d, %v: %q", n, err, good.String())
	}
}

// TestReaderComesBack: what is read before the patience is at its end arrives.
func TestReaderComesBack(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, w := io.Pipe()
	out := New(w, NewPatience(ctx, time.Hour))
	go func() { _, _ = out.Write([]byte("late\n")); _ = w.Close() }()
	if got, err := io.ReadAll(r); err != nil || string(got) != "late\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestErrorsPass: what is wrong with a stream is told.
func TestErrorsPass(t *testing.T) {
	patience := NewPatience(t.Context(), time.Minute)
	r, w := io.Pipe()
	_ = r.CloseWithError(io.ErrShortWrite)
	if _, err := New(w, patience).Write([]byte("x")); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("err = %v", err)
	}
}

// TestFile: a file that holds nobody up is written to as it is, and of any
// other it can be asked what it is.
func TestFile(t *testing.T) {
	patience := NewPatience(t.Context(), time.Minute)
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if New(f, patience) != io.Writer(f) || File(f) != f {
		t.Error("a regular file is no outlet of its own")
	}
	if out := New(w, patience); out == io.Writer(w) || File(out) != w {
		t.Error("a pipe is written to as it is, or is lost")
	}
	if File(&bytes.Buffer{}) != nil || File(New(&bytes.Buffer{}, patience)) != nil {
		t.Error("a buffer is taken for a file")
	}
}

// TestWritesStayWhole: concurrent writes are not mixed, and none is reused by
// its caller while it is written.
func TestWritesStayWhole(t *testing.T) {
	var got bytes.Buffer
	out := New(&got, NewPatience(t.Context(), time.Minute))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			b := make([]byte, 0, 16)
			for range 100 {
				b = append(b[:0], "0123456789\n"...)
				_, _ = out.Write(b)
				clear(b)
			}
		})
	}
	all.Wait()
	if want := bytes.Repeat([]byte("0123456789\n"), 800); !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%d bytes, want %d whole lines", got.Len(), 800)
	}
}

func BenchmarkWrite(b *testing.B) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	out := New(io.Discard, NewPatience(ctx, time.Minute))
	line := bytes.Repeat([]byte("x"), 100)
	for b.Loop() {
		_, _ = out.Write(line)
	}
}

// TestClose: nothing is left of a stream that is closed, whether it was ever
// written to, takes nothing, or works. The bubble fails where a goroutine is.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		patience := NewPatience(ctx, time.Minute)
		r, w := io.Pipe()
		unused, works, stuck := New(io.Discard, patience), New(io.Discard, patience), New(w, patience)
		if n, err := works.Write([]byte("one\n")); n != 4 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		cancel()
		if _, err := stuck.Write([]byte("lost")); !errors.Is(err, ErrStuck) {
			t.Errorf("err = %v", err)
		}
		_ = r.Close()
		for _, out := range []io.Writer{unused, works, stuck, works, io.Discard} {
			Close(out)
		}
		if _, err := works.Write([]byte("two\n")); !errors.Is(err, os.ErrClosed) {
			t.Errorf("written to after its end: %v", err)
		}
	})
}
