package delta

import "testing"

// sums tells of many deployments.
type sums struct {
	pairs, byRanges int
	sent, full      int64 // bytes of archives and indexes; of archives
}

// count counts one, which must not have cost more than archive and index.
func (s *sums) count(t *testing.T, o *origin, name string, r release) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	sent := o.sent["/"+name+".tar"] + o.sent["/"+name+".tar.idx"]
	if most := int64(len(r.archive) + len(r.index)); sent > most {
		t.Errorf("%s: %d bytes were fetched, archive and index have %d", name, sent, most)
	}
	s.pairs++
	s.sent, s.full = s.sent+sent, s.full+int64(len(r.archive))
	if o.whole == 0 && o.sent["/"+name+".tar.idx"] > 0 {
		s.byRanges++
	}
}

// add joins those of another chain.
func (s *sums) add(other sums) {
	s.pairs, s.byRanges = s.pairs+other.pairs, s.byRanges+other.byRanges
	s.sent, s.full = s.sent+other.sent, s.full+other.full
}

// forget begins to count anew, with nothing to offer.
func (o *origin) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.files)
	o.recount()
}

// recount begins to count anew. Who calls it has the lock.
func (o *origin) recount() {
	clear(o.sent)
	o.parts, o.whole = 0, 0
}
