package hashing

import (
	"bytes"
	"crypto/sha256"
	"runtime"
	"testing"
)

func TestHash(t *testing.T) {
	before := runtime.NumGoroutine()
	text := bytes.Repeat([]byte("some text "), 100_000)
	h := New(sha256.New())
	h.Close() // nothing was written
	for _, size := range []int{1, 1000, block, block + 1, 5 * block, len(text)} {
		p := bytes.Clone(text[:size])
		h.Settled().Reset()
		h.Write(p[:size/3])
		h.Write(nil)
		h.Write(p[size/3:])
		clear(p) // the caller's, who may write to it
		if want := sha256.Sum256(text[:size]); !bytes.Equal(h.Settled().Sum(nil), want[:]) {
			t.Errorf("%d bytes: another digest", size)
		}
		if size > 1000 {
			h.Close()
		}
	}
	h.Close()
	for range 1000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%d goroutines, before %d", runtime.NumGoroutine(), before)
}
