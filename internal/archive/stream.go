package archive

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
)

// source is the caller's reader. It stops at the end of the context, and
// remembers its own error so that a broken disk is not called a broken archive.
type source struct {
	ctx context.Context
	r   io.Reader
	n   atomic.Int64 // bytes read; a decompressor reads on another goroutine
	err error
}

// Read reads from the source until the context ends.
func (s *source) Read(p []byte) (int, error) {
	if err := context.Cause(s.ctx); err != nil {
		s.err = fmt.Errorf("extract: %w", err)
		return 0, s.err
	}
	n, err := s.r.Read(p)
	s.n.Add(int64(n))
	return n, s.fault(err)
}

// fault remembers an error that is not the end.
func (s *source) fault(err error) error {
	if err != nil && err != io.EOF {
		s.err = fmt.Errorf("read archive: %w", err)
		err = s.err
	}
	return err
}

// stream is the decompressed archive. Its first error stays.
type stream struct {
	ctx   context.Context
	src   *source
	quit  context.CancelFunc // ends src
	dec   *decoder
	ahead ahead      // nil for a plain archive
	built Rebuilding // set: it is that, and nothing has to be decompressed
	known known
	tally *tally
	n     int64  // bytes read
	head  []byte // the first of them, up to a block
	eof   bool   // the end was seen
	err   error
}

func openStream(ctx context.Context, r io.Reader, t *tally) (*stream, error) {
	sub, quit := context.WithCancel(ctx)
	src := &source{ctx: sub, r: r}
	built, _ := r.(Rebuilding)
	f, _ := r.(fileReader)
	dec, err := decoderOf(src, built, f.sums)
	if err != nil || dec.segments == nil { // segments are read by others, who say what is wrong later
		err = cmp.Or(src.err, err)
	}
	if err != nil {
		quit()
		return nil, err
	}
	s := &stream{ctx: ctx, src: src, quit: quit, dec: dec, tally: t, built: built, known: knownOf(built)}
	switch {
	case dec.segments != nil:
		s.ahead = dec.segments
	case dec.format != "tar":
		s.ahead = newReadahead(dec)
	}
	return s, nil
}

// decoderOf reads what is rebuilt as it is, and no further than it is asked to.
func decoderOf(src *source, built Rebuilding, sums bool) (*decoder, error) {
	if built == nil {
		return newDecoder(bufio.NewReaderSize(src, 64<<10), sums)
	}
	return plainDecoder(src), nil
}

// Skip goes on by n bytes, or to the end, as if they had been read.
func (s *stream) Skip(n int64) (int64, error) {
	if s.built == nil {
		return io.CopyN(io.Discard, s, n)
	}
	if err := s.check(); err != nil {
		return 0, err
	}
	passed, err := s.built.Skip(n)
	s.src.n.Add(passed)
	return passed, s.count(passed, s.src.fault(err))
}

// check tells whether there is anything to be read still.
func (s *stream) check() error {
	if err := context.Cause(s.ctx); s.err == nil && err != nil {
		s.err = fmt.Errorf("extract: %w", err)
	}
	return s.err
}

// close ends a decompressor that reads on without giving anything.
func (s *stream) close() {
	s.quit()
	if s.ahead != nil {
		s.ahead.close()
	}
	s.dec.close()
	s.dec.sums.close()
}

// Read counts what it reads against the limits.
func (s *stream) Read(p []byte) (int, error) {
	if err := s.check(); err != nil {
		return 0, err
	}
	n, err := s.read(p)
	if room := blockSize - len(s.head); room > 0 {
		s.head = append(s.head, p[:min(n, room)]...)
	}
	err = s.count(int64(n), err)
	if errors.Is(err, ErrLimit) {
		n = 0
	}
	return n, err
}

// count takes n bytes for read, and the error that ended that.
func (s *stream) count(n int64, err error) error {
	s.n += n
	if over := s.tally.checkStream(s.n); over != nil {
		s.err = over
		return over
	}
	switch {
	case err == io.EOF:
		s.eof = true
	case err != nil:
		s.err = s.explain(err)
		return s.err
	}
	return err
}

func (s *stream) read(p []byte) (int, error) {
	if s.ahead == nil {
		return s.dec.Read(p)
	}
	return s.ahead.read(s.ctx, p)
}

// explain tells the reader's failure from the decompressor's. The read-ahead
// has ended when it hands over an error, so src.err is ours to look at.
func (s *stream) explain(err error) error {
	if cause := context.Cause(s.ctx); cause != nil {
		return fmt.Errorf("extract: %w", cause)
	}
	if s.src.err != nil {
		return s.src.err
	}
	return decodeFault(s.dec.format, err)
}

// ahead decompresses on other goroutines while the extractor writes files. None
// of them is left when read has returned an error that is not the context's, or
// close has returned.
type ahead interface {
	read(ctx context.Context, p []byte) (int, error)
	close()
}

// readahead decompresses on a goroutine of its own while the extractor
// writes files, a few buffers ahead.
type readahead struct {
	full chan chunk
	free chan []byte
	stop chan struct{}
	cur  chunk
	rest []byte // what is left of cur
}

type chunk struct {
	buf []byte // the whole buffer, to be given back
	n   int
	err error
}

const (
	aheadBuffers = 4
	aheadSize    = 256 << 10
)

func newReadahead(r io.Reader) *readahead {
	a := &readahead{
		full: make(chan chunk, aheadBuffers),
		free: make(chan []byte, aheadBuffers),
		stop: make(chan struct{}),
	}
	for range aheadBuffers {
		a.free <- make([]byte, aheadSize)
	}
	go a.fill(r)
	return a
}

// fill closes full when it is done with r.
func (a *readahead) fill(r io.Reader) {
	defer close(a.full)
	for {
		var buf []byte
		select {
		case buf = <-a.free:
		case <-a.stop:
			return
		}
		n, err := readSome(r, buf)
		a.full <- chunk{buf, n, err} // never blocks: as many places as buffers
		if err != nil {
			return
		}
	}
}

// readSome fills buf unless r ends before; unlike io.ReadFull it keeps r's
// error as it is.
func readSome(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	return n, err
}

func (a *readahead) read(ctx context.Context, p []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.cur.err != nil {
			return 0, a.cur.err
		}
		if a.cur.buf != nil {
			a.free <- a.cur.buf
			a.cur.buf = nil
		}
		select {
		case a.cur = <-a.full:
			a.rest = a.cur.buf[:a.cur.n]
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// close returns when the goroutine is gone.
func (a *readahead) close() {
	close(a.stop)
	for range a.full {
	}
}
