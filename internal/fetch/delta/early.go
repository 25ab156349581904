package delta

import "context"

// early is what is being fetched before anybody has looked at the live tree.
type early struct {
	stop  context.CancelFunc
	done  chan struct{}
	whole *Whole
	err   error
}

// fetchEarly begins to fetch what the archive before does not have, if that is here,
// little is missing, and the indexes agree. The live tree makes no difference then:
// all else is in the archive before, and of what is new all is fetched. So nobody has
// to find out what will be read.
func (b *Rebuilt) fetchEarly(ctx context.Context, s *Server) {
	w := &b.w
	spans, bytes, ok := w.early(s)
	if !ok {
		return
	}
	w.compare()
	spool, err := w.Unnamed(bytes)
	if err != nil {
		return // what is done later says so
	}
	b.spool = spool
	b.keep(w.Kept)
	b.place(spans)
	ctx, stop := context.WithCancel(ctx) // stopped by close
	e := &early{stop: stop, done: make(chan struct{})}
	b.early = e
	go func() {
		defer close(e.done)
		if e.err = w.agreed(); e.err == nil {
			e.whole, e.err = b.fetch(ctx, s, spans, bytes)
		}
	}()
}

// early is what can be asked for before anybody has looked at the live tree, if that
// is worth it.
func (w *Wish) early(s *Server) (spans []span, bytes int64, ok bool) {
	if w.Kept == nil {
		return nil, 0, false
	}
	need := w.unlike(w.Kept.Index)
	spans, bytes = planOf(w.Index, need, s.link())
	return spans, bytes, len(need) > 0 && w.isLittle(w.size(need)) && worth(s, w.Index, spans, bytes, w.local(need)) == nil
}

// join waits for what is being fetched, or ends that because of an error. An answer
// that it gives goes on.
func (e *early) join(why error) (*Whole, error) {
	if why != nil {
		e.stop()
	}
	<-e.done
	if why != nil {
		return nil, why
	}
	whole := e.whole
	if whole != nil {
		e.whole, e.stop = nil, func() {}
	}
	return whole, e.err
}

// coming is what becomes of what is fetched.
type coming struct {
	here  arrival // told when all has come
	lost  arrival // told when parts will not come
	ahead func()  // ends who reads it ahead; nil = nobody does
}

// awaitAll waits for all that is fetched, and tells whether it has come.
func (b *Rebuilt) awaitAll() bool {
	select {
	case <-b.here.done:
		return true
	case <-b.lost.done:
		return isClosed(b.here.done)
	}
}

// close ends it.
func (e *early) close() {
	if e != nil {
		e.stop()
		<-e.done
		e.whole.Close()
	}
}
