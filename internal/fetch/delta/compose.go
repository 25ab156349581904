package delta

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"time"
)

// composed is the archive as it is at the server, kept while it is unpacked: put
// together, or in pieces.
type composed struct {
	done   chan struct{}
	file   *os.File  // nil = it is in pieces
	pieces io.Closer // nil = it is put together
	err    error
}

// ErrIncomplete: not all of the archive is here.
var ErrIncomplete = errors.New("not all of the archive is here")

// Compose begins to put the archive together as it is at the server, from the
// parts that were fetched and those of the archive before, for who keeps it. It
// ends when ctx does, and waits for parts that are still to come.
func (b *Rebuilt) Compose(ctx context.Context, to Whereto) {
	if !b.complete || b.composed != nil {
		return
	}
	c := &composed{done: make(chan struct{})}
	b.composed = c
	go func() {
		defer close(c.done)
		if to.Pieces != nil {
			if c.err = b.arrived(ctx); c.err == nil {
				c.pieces, c.err = to.Pieces(b.fetchedIn())
			}
			return
		}
		if c.file, c.err = to.Create(b.w.Index.Size); c.err != nil {
			return
		}
		if c.err = b.compose(ctx, c.file, to.Sum); c.err != nil {
			return
		}
		if !bytes.Equal(to.Sum.Sum(nil), to.Want) {
			c.err = fmt.Errorf("%w: its parts make another archive", ErrIndex)
			return
		}
		to.Done(c.file)
	}()
}

// Whereto is the file that an archive is put together in, and its checksum; or what
// keeps its pieces.
type Whereto struct {
	// Pieces keeps it as it lies here, as soon as all that is fetched is there: nothing
	// is put together then. It is given the file that came into, whose pieces Pieces tells.
	// nil = it is put together.
	Pieces func(fetched io.ReaderAt) (io.Closer, error)
	Create func(size int64) (*os.File, error)
	Sum    hash.Hash
	Want   []byte
	Done   func(*os.File) // is told of it when it is right
}

// compose writes all members to a file, and hashes them.
func (b *Rebuilt) compose(ctx context.Context, to *os.File, sum hash.Hash) error {
	c := newComposing(ctx, b, to, sum)
	err := c.write(b.runs())
	c.hash.close()
	if err != nil {
		return err
	}
	return c.hashRest()
}

// run are members that lie one after the other, as they do in the archive.
type run struct {
	spot
	off, size int64 // in the archive
}

// Piece is a run of bytes of an archive: in the file that parts are fetched into, or in
// the archive before.
type Piece struct {
	Fetched  bool
	At, Size int64 // there
}

// Pieces are all of the archive, and the archive before, which is nil where there is
// none. All that Begun is told of has them.
func (b *Rebuilt) Pieces() (all []Piece, before io.ReaderAt) {
	if !b.complete || b.w.Kept == nil {
		return nil, nil
	}
	for i := range b.w.Index.Members {
		s, length := b.spots[i], int64(b.w.Index.Members[i].Length)
		if n := len(all) - 1; n >= 0 && all[n].Fetched == b.fetched[i] && all[n].At+all[n].Size == s.at {
			all[n].Size += length
			continue
		}
		all = append(all, Piece{b.fetched[i], s.at, length})
	}
	return all, b.w.Kept.File
}

// arrived waits for all that is fetched.
func (b *Rebuilt) arrived(ctx context.Context) error {
	for i := range b.w.Index.Members {
		if err := b.await(ctx, b.spots[i]); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// fetchedIn is the file that parts are fetched into.
func (b *Rebuilt) fetchedIn() io.ReaderAt {
	if b.spool == nil {
		return nil
	}
	return b.spool
}

// longest is how much of an archive is written at a time, or one member more.
const longest = 1 << 20

// runs are all members. Of a run, those behind the first were there before.
func (b *Rebuilt) runs() (all []run) {
	off := int64(0)
	for i := range b.w.Index.Members {
		length, s := int64(b.w.Index.Members[i].Length), b.spots[i]
		n := len(all) - 1
		if n < 0 || s.come != nil || all[n].size >= longest || s.file != all[n].file || s.at != all[n].at+all[n].size {
			all = append(all, run{spot: s, off: off})
			n++
		}
		all[n].size += length
		off += length
	}
	return all
}

// composing is one archive that is being put together. What is written in the order of
// the archive is hashed from memory, on a goroutine of its own; the rest is read again.
type composing struct {
	ctx  context.Context
	b    *Rebuilt
	to   *os.File
	sum  hash.Hash
	hash *hashLine
	free chan []byte
	fed  int64         // so much has been given to hash, from the beginning on
	wait time.Duration // how long it may still wait for what comes next
}

const (
	// blocks and block bound what is read, and waits to be hashed.
	blocks = 4
	block  = 256 << 10
	// soon is how long all is put off that is there, for the sake of what is not:
	// it costs less to hash what is written in order.
	soon = 20 * time.Millisecond
)

func newComposing(ctx context.Context, b *Rebuilt, to *os.File, sum hash.Hash) *composing {
	c := &composing{ctx: ctx, b: b, to: to, sum: sum, free: make(chan []byte, blocks), wait: soon}
	for range blocks {
		c.free <- make([]byte, block)
	}
	c.hash = newHashLine(sum, c.free)
	return c
}

// write writes runs where they belong: those that do not come soon at last.
func (c *composing) write(runs []run) error {
	var late []run
	for _, r := range runs {
		if !c.comesSoon(r.spot) {
			late = append(late, r)
			continue
		}
		if err := c.run(r); err != nil {
			return err
		}
	}
	for _, r := range late {
		if err := c.b.await(c.ctx, r.spot); err != nil {
			return err
		}
		if err := c.run(r); err != nil {
			return err
		}
	}
	return nil
}

// comesSoon tells whether a member is there, and waits a little for it.
func (c *composing) comesSoon(s spot) bool {
	if s.come == nil || s.isVerified() {
		return true
	}
	began := time.Now()
	timer := time.NewTimer(c.wait)
	defer timer.Stop()
	select {
	case <-s.come:
	case <-c.b.lost.done:
	case <-c.ctx.Done():
	case <-timer.C:
	}
	c.wait = max(c.wait-time.Since(began), 0)
	return s.isVerified()
}

// run writes one run.
func (c *composing) run(r run) error {
	for at := int64(0); at < r.size; {
		buf := <-c.free
		p, off := buf[:min(block, r.size-at)], r.off+at
		err := context.Cause(c.ctx)
		if err == nil {
			err = fill(r.file, p, r.at+at)
		}
		if err == nil {
			_, err = c.to.WriteAt(p, off)
		}
		if err == nil && off == c.fed {
			c.fed += int64(len(p))
			c.hash.todo <- p
		} else {
			c.free <- buf
		}
		if err != nil {
			return err
		}
		at += int64(len(p))
	}
	return nil
}

// fill reads as much as p holds.
func fill(from io.ReaderAt, p []byte, at int64) error {
	if n, err := from.ReadAt(p, at); n < len(p) {
		return err
	}
	return nil
}

// hashRest hashes what was not written in order.
func (c *composing) hashRest() error {
	buf := make([]byte, block)
	for size := c.b.w.Index.Size; c.fed < size; {
		p := buf[:min(block, size-c.fed)]
		if err := context.Cause(c.ctx); err != nil {
			return err
		}
		if err := fill(c.to, p, c.fed); err != nil {
			return err
		}
		_, _ = c.sum.Write(p)
		c.fed += int64(len(p))
	}
	return nil
}

// hashLine hashes blocks one after the other.
type hashLine struct {
	todo chan []byte
	done chan struct{}
}

// newHashLine begins to hash what comes to todo. Blocks that are done are free again.
func newHashLine(sum io.Writer, free chan<- []byte) *hashLine {
	h := &hashLine{make(chan []byte, blocks), make(chan struct{})}
	go func() {
		defer close(h.done)
		for p := range h.todo {
			_, _ = sum.Write(p)
			free <- p[:block]
		}
	}()
	return h
}

// close waits until all is hashed.
func (h *hashLine) close() {
	close(h.todo)
	<-h.done
}

// await waits for what is being fetched.
func (b *Rebuilt) await(ctx context.Context, s spot) error {
	if s.come == nil {
		return nil
	}
	select {
	case <-s.come:
		return nil
	case <-b.lost.done:
		return ErrIncomplete
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Composed waits for the archive that Compose makes; nil = it is kept in pieces. It is
// closed with the rest.
func (b *Rebuilt) Composed() (*os.File, error) {
	if b == nil || b.composed == nil {
		return nil, ErrIncomplete
	}
	<-b.composed.done
	if b.composed.err != nil {
		return nil, b.composed.err
	}
	return b.composed.file, nil
}

// close waits for it, and closes it.
func (c *composed) close() {
	if c == nil {
		return
	}
	<-c.done
	if c.file != nil {
		_ = c.file.Close()
	}
	if c.pieces != nil {
		_ = c.pieces.Close()
	}
}
