package fetch

import (
	"fmt"
	"hash"
	"io"
	"sync"
)

// followBlock is how much is hashed at a time, in bytes.
const followBlock = 256 << 10

// following hashes what is written to a file in any order, on a goroutine of
// its own: from the start on, as far as all of it is there. It must be closed.
type following struct {
	sum  hash.Hash
	file io.ReaderAt

	mu   sync.Mutex
	cond sync.Cond // something below has changed
	goal int64     // the bytes before are there
	done int64     // and are hashed
	idle bool      // there is no goroutine, or none any more
	stop bool
	err  error
}

func newFollowing(sum hash.Hash, file io.ReaderAt) *following {
	f := &following{sum: sum, file: file, idle: true}
	f.cond.L = &f.mu
	return f
}

// reach tells that the bytes before an offset are there.
func (f *following) reach(offset int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.goal = offset
	if f.goal-f.done >= followBlock {
		f.hasten()
	}
}

// hasten sees to it that what is there is hashed. f is locked.
func (f *following) hasten() {
	if f.idle && f.err == nil {
		f.idle = false
		go f.run()
	}
	f.cond.Broadcast()
}

func (f *following) run() {
	buf := make([]byte, followBlock)
	for {
		p := buf[:f.next()]
		if len(p) == 0 {
			return
		}
		n, err := f.file.ReadAt(p, f.done)
		f.sum.Write(p[:n])
		f.mu.Lock()
		if f.done += int64(n); n < len(p) {
			f.err = fmt.Errorf("read back what was fetched: %w", err)
		}
		f.mu.Unlock()
	}
}

// next waits for something to hash and says how much it is; 0 = never any more.
func (f *following) next() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		if f.stop || f.err != nil {
			f.idle = true
			f.cond.Broadcast()
			return 0
		}
		if n := min(f.goal-f.done, followBlock); n > 0 {
			return int(n)
		}
		f.cond.Broadcast()
		f.cond.Wait()
	}
}

// settled waits until all that is there is hashed.
func (f *following) settled() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.done < f.goal && f.err == nil {
		f.hasten()
		f.cond.Wait()
	}
	return f.err
}

// close ends the goroutine.
func (f *following) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stop = true
	for !f.idle {
		f.cond.Broadcast()
		f.cond.Wait()
	}
}
