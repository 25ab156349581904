package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"stretcher/internal/fetch/store"
	"stretcher/internal/text/redact"
)

const (
	// largeObject is from what size on an object comes on several connections.
	largeObject = 32 << 20
	// mostConnections is how many there are at most.
	mostConnections = 16
	// leastPiece is the least that a connection asks for at a time, in bytes.
	leastPiece = 2 << 20
	// perWait is how many bytes it asks for at least for each second that a
	// request costs, so that it brings bytes most of the time: as many as come in
	// sixteen round trips at 50 MB/s.
	perWait = 800e6
	// leastSplit is the least that is taken from a connection that is slow.
	leastSplit = 1 << 20
	// stuck is how long a connection may bring nothing while others have nothing
	// to do.
	stuck = 3 * time.Second
	// lookAgain is how often they look whether they can help.
	lookAgain = 200 * time.Millisecond
)

// errWhole: a server that is asked for a range sends the whole object.
var errWhole = errors.New("the server sends the whole object where a range of it is asked for")

// errRanges: a server's ranges can't be used, though it says that it has some.
var errRanges = errors.New("the server does not send the ranges that are asked for")

// several brings one object on several connections. The first one reads from
// the start on, as it would alone. The others ask for what is next, piece by
// piece, so that what is settled stays close to what is there. The first one
// goes on as long as nobody has begun with what comes next: then it asks for
// pieces, too.
type several struct {
	c     *copier
	dst   Scattered
	cost  time.Duration      // of a request
	least int64              // that a connection asks for at a time
	stop  context.CancelFunc // ends all connections

	mu      sync.Mutex
	regions *regions
	changed chan struct{} // closed when there is something new to claim
	live    int           // connections that have not been given up
	short   int           // ranges in a row that ended before their end
	most    int           // that may do so
	err     error         // that the copy ends with
}

// scatters tells whether an object that has been opened comes on several
// connections.
func (c *copier) scatters(obj *store.Object) (Scattered, bool) {
	dst, ok := c.dst.(Scattered)
	return dst, ok && c.opts.Connections > 1 && !c.alone && c.pos.Offset == 0 && c.pos.Version != "" &&
		c.size > cmp.Or(c.opts.large, largeObject) && obj.Encoding == "" && !obj.Local
}

func newSeveral(c *copier, dst Scattered, cost time.Duration) *several {
	live := min(c.opts.Connections, mostConnections)
	return &several{
		c: c, dst: dst, cost: cost, least: cmp.Or(c.opts.large/2, leastPiece), regions: newRegions(c.size),
		changed: make(chan struct{}), live: live, most: 2 * live,
	}
}

// ended counts a range that came to its end, or ended before by an error. Where too
// many in a row do that, it is the server: the copy begins again without ranges.
func (s *several) ended(in *stream, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !in.ranged:
	case err == nil:
		s.short = 0
	default:
		if s.short++; s.short > s.most {
			return fmt.Errorf("%w: %w", errRanges, err)
		}
	}
	return err
}

// copy brings the object, of which the first connection has been opened. ctx
// ends by stop.
func (s *several) copy(ctx context.Context, stop context.CancelFunc, first *stream) error {
	s.stop, s.c.strewn, s.c.alone = stop, true, true
	s.c.attempts += s.live - 1
	first.end = s.c.size
	r := s.regions.claim(s.share(), s.c.opts.now())
	var all sync.WaitGroup
	all.Go(func() { s.connection(first).run(ctx, r) })
	for range s.live - 1 {
		all.Go(func() { s.connection(nil).run(ctx, nil) })
	}
	all.Wait()
	return s.end(ctx)
}

func (s *several) connection(in *stream) *connection {
	return &connection{s: s, in: in, tries: newTries(s.c.opts), buf: make([]byte, s.c.pace.chunk())}
}

// end tells what became of it, when no connection is left.
func (s *several) end(ctx context.Context) error {
	c := s.c
	c.pos.Offset = s.regions.settled()
	c.tries.began = c.tries.began || s.regions.done() > 0
	if s.err != nil {
		return s.err
	}
	if c.pos.Offset < c.size {
		return c.wrap(context.Cause(ctx))
	}
	return nil
}

// share is how much a connection asks for now: less towards the end, so that
// all are done at the same time.
func (s *several) share() int64 {
	share := min(int64(s.cost.Seconds()*perWait), s.regions.unclaimed()/int64(s.live))
	return max(share, s.least)
}

// claim waits for something that a connection can bring; nil = there is nothing
// any more.
func (s *several) claim(ctx context.Context) *region {
	for ctx.Err() == nil {
		r, changed := s.look()
		if r != nil {
			return r
		}
		select {
		case <-changed:
		case <-time.After(lookAgain):
		case <-ctx.Done():
		}
	}
	return nil
}

// look is claim without the waiting.
func (s *several) look() (r *region, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.c.opts.now()
	if r = s.regions.claim(s.share(), now); r == nil {
		r = s.regions.split(lookAgain+2*s.cost, now)
	}
	return r, s.changed
}

// release gives back what a connection has not brought.
func (s *several) release(r *region) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.regions.release(r)
	close(s.changed)
	s.changed = make(chan struct{})
}

// position is what to ask for to bring a region; no Length = nothing.
func (s *several) position(r *region) store.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return store.Position{Offset: r.written, Length: r.to - r.written, Version: s.c.pos.Version}
}

// room is how much of a region is still to come from a body that ends at end.
// One that goes beyond it brings what comes next as well, unless another
// connection does that already.
func (s *several) room(r *region, end int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.left() == 0 && r.to < end && !s.regions.grow(r, min(s.share(), end-r.to)) && end == s.regions.size {
		s.regions.swallow(r)
	}
	return r.left()
}

// hold says how many of the next n bytes of a region are its own to write.
// Nobody takes them from it afterwards.
func (s *several) hold(r *region, n int) (at int64, own int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, own = r.held, int(min(int64(n), r.left()))
	r.held += int64(own)
	if own > 0 {
		r.last = s.c.opts.now()
	}
	return at, own
}

// brought tells that a region's bytes are written up to what it holds.
func (s *several) brought(r *region) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.written = r.held
	s.dst.Settled(s.regions.settled())
	done := s.regions.done()
	if s.c.opts.Progress != nil {
		s.c.opts.Progress(done, s.c.size)
	}
	if done == s.c.size {
		s.stop()
	}
}

// leastRate is what each of the connections that bring something must bring.
func (s *several) leastRate() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.c.opts.LeastRate / int64(max(1, len(s.regions.taken)))
}

// asked counts a request, and remembers what the fastest one cost.
func (s *several) asked(cost time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cost = min(s.cost, cost)
}

// attempt counts another attempt.
func (s *several) attempt() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.c.attempts++
	return s.c.attempts
}

// leave gives a connection up, but not the last one.
func (s *several) leave(why error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live == 1 {
		return false
	}
	s.live--
	s.c.log.Info(fmt.Sprintf("fetch goes on by %d of the connections: %v", s.live, why),
		"url", redact.URL(s.c.url), "connections", s.live)
	return true
}

// fail ends the copy.
func (s *several) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.stop()
}
