package fetch

import (
	"hash"
	"sync"
)

const (
	// hashBlocks and hashBlock bound what waits to be hashed, in bytes.
	hashBlocks = 8
	hashBlock  = 32 << 10
)

// hashing hashes on a goroutine of its own, so that an archive is read and
// written meanwhile. It must be closed.
type hashing struct {
	sum     hash.Hash
	todo    chan []byte // nil until there is something
	free    chan []byte
	pending sync.WaitGroup
}

func newHashing(sum hash.Hash) *hashing { return &hashing{sum: sum} }

// write takes a copy of p.
func (h *hashing) write(p []byte) {
	if h.todo == nil {
		h.start()
	}
	for len(p) > 0 {
		b := <-h.free
		n := copy(b[:hashBlock], p)
		p = p[n:]
		h.pending.Add(1)
		h.todo <- b[:n]
	}
}

func (h *hashing) start() {
	h.todo, h.free = make(chan []byte, hashBlocks), make(chan []byte, hashBlocks)
	for range hashBlocks {
		h.free <- make([]byte, hashBlock)
	}
	go func(todo, free chan []byte) {
		for b := range todo {
			h.sum.Write(b)
			h.pending.Done()
			free <- b
		}
	}(h.todo, h.free)
}

// settled is the hash of all that was written.
func (h *hashing) settled() hash.Hash {
	h.pending.Wait()
	return h.sum
}

// close ends the goroutine. What is written then starts another one.
func (h *hashing) close() {
	h.pending.Wait()
	if h.todo != nil {
		close(h.todo)
		h.todo = nil
	}
}
