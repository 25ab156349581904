package delta

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"stretcher/internal/archive/index"
	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/transfer"
)

// Server says how to fetch.
type Server struct {
	// Opener opens URLs on behalf of a mirror, and asks whether it may.
	Opener   func(mirror string) transfer.Opener
	Transfer transfer.Options
	// Bandwidth bounds all connections together, in bytes per second; 0 = no bound.
	Bandwidth int64
	// Lines is how many requests are made at a time, unless round trips take longest;
	// 1 = never more than one.
	Lines int
	// Files is how many files the process may have open; 0 = any number.
	Files    int
	Log      *slog.Logger
	Progress func(done, total int64) // may be nil
	// Link is what is known of the way, and is learnt on it.
	Link Link
}

// timing notes how long an answer takes.
type timing struct {
	transfer.Opener
	head time.Duration
	at   time.Time // of the head
	kept bool      // the connection was there before
}

// Open is that of the Opener.
func (t *timing) Open(ctx context.Context, url string, from store.Position) (*store.Object, error) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(c httptrace.GotConnInfo) { t.kept = c.Reused },
	})
	began := time.Now()
	obj, err := t.Opener.Open(ctx, url, from)
	t.at = time.Now()
	t.head = t.at.Sub(began)
	return obj, err
}

// document fetches what lies at a URL, at most limit bytes, and learns of the
// link by it.
func (s *Server) document(ctx context.Context, mirror, url string, limit int64) ([]byte, error) {
	t := &timing{Opener: s.Opener(mirror)}
	opts := s.Transfer
	opts.MaxBytes, opts.Bandwidth = limit, s.Bandwidth
	var buf memory
	if _, err := transfer.Copy(ctx, t, url, &buf, opts); err != nil {
		return nil, err
	}
	s.Link = Link{RTT: t.head}
	if !t.kept { // it was made for this, by another round trip
		s.Link.RTT /= 2
	}
	s.Link.RTT = max(s.Link.RTT-turn, s.Link.RTT/trust) // the process may have waited for its turn
	if buf.Len() >= telling {
		s.Link.Rate = rateOf(buf.pieces, t.at)
	}
	return buf.Bytes(), nil
}

// ranges fetches spans of one mirror.
type ranges struct {
	s    *Server
	x    *index.Index
	url  string
	to   *os.File
	open transfer.Opener
	pace *transfer.Pace

	lock    sync.Mutex
	version string
	done    atomic.Int64
	total   int64
	come    atomic.Int64 // how many spans have
	broken  atomic.Int64 // how many answers broke off, or did not come
}

// mostBroken is how many answers may break off while no more spans come: a way that breaks
// each of them off costs more than the archive by one request.
const mostBroken = 8

// broke counts an answer that broke off, after which another one is asked for.
func (r *ranges) broke() error {
	if n := r.broken.Add(1); n >= mostBroken && n > r.come.Load() {
		return transfer.Final(fmt.Errorf("%d of its answers broke off, and %d parts came", n, r.come.Load()))
	}
	return nil
}

// Whole is the answer of a server that knows no ranges: the archive from its
// beginning.
type Whole struct {
	Mirror string
	lock   sync.Mutex
	object *store.Object
}

// Take gives the answer to who reads and closes it. There is one.
func (w *Whole) Take() *store.Object {
	if w == nil {
		return nil
	}
	w.lock.Lock()
	defer w.lock.Unlock()
	obj := w.object
	w.object = nil
	return obj
}

// Close closes an answer that nobody has taken.
func (w *Whole) Close() {
	if obj := w.Take(); obj != nil {
		_ = obj.Body.Close()
	}
}

// connector makes connections ahead: see store.Connector.
type connector interface {
	Connect(ctx context.Context, rawURL string, n int)
}

// fetch brings spans into the file, and finds that they are what the index
// says. The first request is made alone: it tells whether the server knows
// ranges. Where it does not, the error is ErrNoRanges, and the answer is not
// lost.
func (r *ranges) fetch(ctx context.Context, spans []span) (*Whole, error) {
	unneeded, drop := context.WithCancel(ctx)
	defer drop()
	asking := r.connecting(ctx, unneeded, r.s.lines(spans)-1)
	first, err := r.open.Open(asking, r.url, store.Position{Offset: spans[0].off, Length: spans[0].size})
	if err != nil && store.Retryable(err) && r.s.Transfer.Retries > 0 {
		if err := r.span(ctx, spans[0], nil); err != nil { // which asks again
			return nil, err
		}
		return nil, r.all(ctx, spans[1:], nil)
	}
	if err != nil {
		return nil, err
	}
	if !first.Part {
		if first.Offset != 0 {
			return nil, errors.Join(ErrNoRanges, first.Body.Close())
		}
		return &Whole{Mirror: r.url, object: first}, ErrNoRanges
	}
	if err := r.accept(first); err != nil {
		return nil, errors.Join(err, first.Body.Close())
	}
	return nil, r.all(ctx, spans, first)
}

// connecting has n more connections made as soon as the first request has its own:
// they are there when the answer is. Before it they must not come: a server that
// serves one after the other would wait for what they ask.
func (r *ranges) connecting(ctx, unneeded context.Context, n int) context.Context {
	c, ok := r.open.(connector)
	if !ok || n < 1 {
		return ctx
	}
	connect := sync.OnceFunc(func() { c.Connect(unneeded, r.url, n) })
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connect() }})
}

// most is how many requests are made at a time where Lines allows fewer, but their
// round trips take longer than their bytes.
const most = 64

// lines is how many of requests for spans are made at a time.
func (s *Server) lines(spans []span) int {
	if s.Lines == 1 {
		return min(1, len(spans))
	}
	n, bytes := max(s.Lines, 1), int64(0)
	for i := range spans {
		bytes += spans[i].size
	}
	l := s.link()
	if whole := l.cost(bytes, 0, n); l.cost(bytes, len(spans), n) > 2*whole {
		n = max(n, min(2*n, most))
	}
	if s.Files > 0 { // each request has one, and others have others
		n = min(n, max(s.Files/4, 1))
	}
	return min(n, len(spans))
}

// link is the way, as far as it may be used.
func (s *Server) link() Link {
	l := s.Link.orDefault()
	if s.Bandwidth > 0 {
		l.Rate = min(l.Rate, s.Bandwidth)
	}
	return l
}

// all brings spans, several at a time. begun is the answer for the first one; nil =
// it is to be asked for.
func (r *ranges) all(ctx context.Context, spans []span, begun *store.Object) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	todo := make(chan int, len(spans))
	for i := range spans {
		todo <- i
	}
	close(todo)
	var wait sync.WaitGroup
	for range r.s.lines(spans) {
		wait.Go(func() {
			for i := range todo {
				var first *store.Object
				if i == 0 {
					first = begun
				}
				if err := r.span(ctx, spans[i], first); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wait.Wait()
	return context.Cause(ctx)
}

// accept judges the head of an answer. All are of one version of the archive.
func (r *ranges) accept(obj *store.Object) error {
	switch {
	case !obj.Part:
		return ErrNoRanges
	case obj.Encoding != "":
		return fmt.Errorf("it is sent with Content-Encoding %q", obj.Encoding)
	case obj.Size >= 0 && obj.Size != r.x.Size:
		return fmt.Errorf("an archive of %d bytes, where the index says %d: %w", obj.Size, r.x.Size, ErrMember)
	}
	r.lock.Lock()
	defer r.lock.Unlock()
	r.version = cmp.Or(r.version, obj.Version)
	return nil
}

func (r *ranges) known() string {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.version
}

// span fetches one span.
func (r *ranges) span(ctx context.Context, s span, begun *store.Object) error {
	opts := r.s.Transfer
	opts.Pace = r.pace
	had := int64(0)
	opts.Progress = func(done, _ int64) {
		all := r.done.Add(done - had)
		if had = done; r.s.Progress != nil {
			r.s.Progress(all, r.total)
		}
	}
	to := &section{io.NewOffsetWriter(r.to, s.at)}
	if _, err := transfer.Copy(ctx, &spanning{r: r, s: s, begun: begun}, r.url, to, opts); err != nil {
		return err
	}
	if err := r.verify(s); err != nil {
		return err
	}
	r.come.Add(1)
	s.ready.tell()
	return nil
}

// spanning opens a part of an archive as if it were an object.
type spanning struct {
	r     *ranges
	s     span
	begun *store.Object // the first answer; nil = it is to be asked for
	asked bool
}

// Open asks for the part, or for what is left of it.
func (p *spanning) Open(ctx context.Context, url string, from store.Position) (obj *store.Object, err error) {
	if p.asked {
		if err := p.r.broke(); err != nil {
			return nil, err
		}
	}
	p.asked = true
	switch obj = p.begun; {
	case from.Offset == p.s.size: // all of it has come, and something went wrong behind it
		return &store.Object{Body: http.NoBody, Offset: from.Offset, Size: p.s.size, Version: "span"}, nil
	case obj != nil && from.Offset == 0:
		p.begun = nil
	default:
		pos := store.Position{Offset: p.s.off + from.Offset, Length: p.s.size - from.Offset, Version: p.r.known()}
		if obj, err = p.r.open.Open(ctx, url, pos); errors.Is(err, store.ErrChanged) {
			return nil, transfer.Final(err)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := p.r.accept(obj); err != nil {
		return nil, transfer.Final(errors.Join(err, obj.Body.Close()))
	}
	return &store.Object{Body: obj.Body, Offset: from.Offset, Size: p.s.size, Version: "span"}, nil
}

// section is the place of a span in a file.
type section struct{ w *io.OffsetWriter }

// Write writes what comes next.
func (s *section) Write(p []byte) (int, error) { return s.w.Write(p) }

// Reset begins anew.
func (s *section) Reset() error {
	_, err := s.w.Seek(0, io.SeekStart)
	return err
}

// verify compares the members of a span with the index.
func (r *ranges) verify(s span) error {
	buf := make([]byte, 0, 64<<10)
	at := s.at
	for i := s.first; i < s.last; i++ {
		m := &r.x.Members[i]
		buf = slices.Grow(buf[:0], m.Length)[:m.Length]
		if _, err := r.to.ReadAt(buf, at); err != nil {
			return err
		}
		if index.Sum(sha256.Sum256(buf)) != m.Sum {
			return fmt.Errorf("part %d of the archive is %w", i, ErrMember)
		}
		at += int64(m.Length)
	}
	return nil
}
