package tree

import "golang.org/x/sys/unix"

// batch is how many entries are handed over at a time: one by one that would cost more
// than it gains.
const batch = 128

// found is an entry, and what the system said of it.
type found struct {
	entry Entry
	st    unix.Stat_t
}

// batches hand entries over to a goroutine, in their order.
type batches struct {
	full chan []found
	free chan []found
	next []found
	done chan struct{}
}

// newBatches begins to hand entries to put, which may change them.
func newBatches(put func(*Entry, *unix.Stat_t)) *batches {
	const many = 4
	b := &batches{full: make(chan []found, many), free: make(chan []found, many), done: make(chan struct{})}
	for range many {
		b.free <- nil
	}
	b.next = <-b.free
	go func() {
		defer close(b.done)
		for some := range b.full {
			for i := range some {
				put(&some[i].entry, &some[i].st)
			}
			b.free <- some[:0]
		}
	}()
	return b
}

// add adds an entry.
func (b *batches) add(e *Entry, st *unix.Stat_t) {
	if b.next = append(b.next, found{*e, *st}); len(b.next) == batch {
		b.full <- b.next
		b.next = <-b.free
	}
}

// close waits until all are put.
func (b *batches) close() {
	b.full <- b.next
	close(b.full)
	<-b.done
}
