package delta

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
)

// composed is the archive as it is at the server, put together while it is
// unpacked.
type composed struct {
	done chan struct{}
	file *os.File
	err  error
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

// Whereto is the file that an archive is put together in, and its checksum.
type Whereto struct {
	Create func(size int64) (*os.File, error)
	Sum    hash.Hash
	Want   []byte
	Done   func(*os.File) // is told of it when it is right
}

// compose writes all members.
func (b *Rebuilt) compose(ctx context.Context, to io.Writer, sum io.Writer) error {
	w := bufio.NewWriterSize(io.MultiWriter(to, sum), 1<<20)
	for i := 0; i < len(b.w.Index.Members); {
		if err := ctx.Err(); err != nil {
			return err
		}
		s, size, n := b.run(i)
		if err := b.await(ctx, s); err != nil {
			return err
		}
		if _, err := io.Copy(w, io.NewSectionReader(s.file, s.at, size)); err != nil {
			return err
		}
		i += n
	}
	return w.Flush()
}

// longest is how much of an archive is written at a time, or one member more.
const longest = 1 << 20

// run finds how many members lie one after the other from number i on, as they do in
// the archive, and how long they are. Those behind the first were there before.
func (b *Rebuilt) run(i int) (s spot, size int64, n int) {
	s = b.spots[i]
	for size < longest && i+n < len(b.w.Index.Members) {
		if next := b.spots[i+n]; n > 0 && (next.come != nil || next.file != s.file || next.at != s.at+size) {
			break
		}
		size += int64(b.w.Index.Members[i+n].Length)
		n++
	}
	return s, size, n
}

// await waits for what is being fetched.
func (b *Rebuilt) await(ctx context.Context, s spot) error {
	if s.come == nil {
		return nil
	}
	select {
	case <-s.come:
		return nil
	case <-b.lost:
		return ErrIncomplete
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Composed waits for the archive that Compose makes. It is closed with the rest.
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
}
