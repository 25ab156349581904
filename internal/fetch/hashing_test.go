package fetch

import (
	"bytes"
	"crypto/sha256"
	"runtime"
	"testing"
)

func TestHashing(t *testing.T) {
	before := runtime.NumGoroutine()
	text := bytes.Repeat([]byte("some text "), 100_000)
	h := newHashing(sha256.New())
	h.close() // nothing was written
	for _, size := range []int{1, 1000, hashBlock, hashBlock + 1, 5 * hashBlock, len(text)} {
		p := bytes.Clone(text[:size])
		h.settled().Reset()
		h.write(p[:size/3])
		h.write(nil)
		h.write(p[size/3:])
		clear(p) // the caller's, who may write to it
		if want := sha256.Sum256(text[:size]); !bytes.Equal(h.settled().Sum(nil), want[:]) {
			t.Errorf("%d bytes: another digest", size)
		}
		if size > 1000 {
			h.close()
		}
	}
	h.close()
	for range 1000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%d goroutines, before %d", runtime.NumGoroutine(), before)
}
