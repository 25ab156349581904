// Package hashing hashes what goes by on a goroutine of its own, so that whoever reads
// and writes it need not wait. It knows hashes, and not what they are of. It imports
// no other package of this module.
package hashing

import (
	"hash"
	"sync"
)

const (
	// blocks and block bound what waits to be hashed, in bytes.
	blocks = 8
	block  = 64 << 10
)

// Hash is a hash that is fed on a goroutine of its own. It is for one goroutine, and
// must be closed.
type Hash struct {
	sum     hash.Hash
	todo    chan []byte // nil until there is something
	free    chan []byte
	pending sync.WaitGroup
	running sync.WaitGroup
}

// New feeds a hash, which nobody else uses until Close.
func New(sum hash.Hash) *Hash { return &Hash{sum: sum} }

// Write takes a copy of p.
func (h *Hash) Write(p []byte) {
	if h.todo == nil {
		h.start()
	}
	for len(p) > 0 {
		b := <-h.free
		n := copy(b[:block], p)
		p = p[n:]
		h.pending.Add(1)
		h.todo <- b[:n]
	}
}

func (h *Hash) start() {
	h.todo, h.free = make(chan []byte, blocks), make(chan []byte, blocks)
	for range blocks {
		h.free <- make([]byte, block)
	}
	todo, free := h.todo, h.free
	h.running.Go(func() {
		for b := range todo {
			_, _ = h.sum.Write(b)
			h.pending.Done()
			free <- b
		}
	})
}

// Settled is the hash of all that was written.
func (h *Hash) Settled() hash.Hash {
	h.pending.Wait()
	return h.sum
}

// Close ends the goroutine, and waits for that. What is written then starts another one.
func (h *Hash) Close() {
	h.pending.Wait()
	if h.todo != nil {
		close(h.todo)
		h.running.Wait()
		h.todo = nil
	}
}
