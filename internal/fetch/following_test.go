package fetch

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"
)

func TestFollowing(t *testing.T) {
	before := runtime.NumGoroutine()
	data := make([]byte, 3*followBlock+5)
	rand.NewChaCha8([32]byte{1}).Read(data)
	for _, size := range []int{0, 1, followBlock - 1, followBlock, followBlock + 1, len(data)} {
		want, f := sha256.Sum256(data[:size]), newFollowing(sha256.New(), bytes.NewReader(data))
		for at := 0; at < size; at += 1 + size/7 {
			f.reach(int64(at))
		}
		f.reach(int64(size))
		for range 2 { // it waits, and goes on waiting for nothing
			if err := f.settled(); err != nil || !bytes.Equal(f.sum.Sum(nil), want[:]) {
				t.Errorf("%d bytes: another digest, error %v", size, err)
			}
		}
		f.close()
		f.close()
	}
	for range 1000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%d goroutines, before %d", runtime.NumGoroutine(), before)
}

// TestFollowingCannotRead: what can't be read back is an error, not a digest of
// less.
func TestFollowingCannotRead(t *testing.T) {
	broken := errors.New("input/output error")
	for _, file := range []io.ReaderAt{bytes.NewReader(make([]byte, 10)), unreadable{broken}} {
		f := newFollowing(sha256.New(), file)
		f.reach(followBlock + 10)
		err := f.settled()
		if !errors.Is(err, broken) && !errors.Is(err, io.EOF) {
			t.Errorf("error %v", err)
		}
		f.reach(2 * followBlock)
		if f.settled() == nil {
			t.Error("the error is forgotten")
		}
		f.close()
	}
}

type unreadable struct{ error }

func (u unreadable) ReadAt([]byte, int64) (int, error) { return 0, u.error }
