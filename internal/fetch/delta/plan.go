package delta

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"stretcher/internal/archive/index"
)

const (
	// largest is the longest span: what is longer comes by several requests at a
	// time.
	largest = 4 << 20
	// widest is the longest gap that is fetched to save a request.
	widest = 1 << 20
	// least is the gap that is always fetched: the head of an answer is as long.
	least = 2 << 10
)

// Link is what is known of the way to the server.
type Link struct {
	RTT  time.Duration // from a request to the head of its answer
	Rate int64         // bytes per second of one connection
}

// orDefault takes what is not known for a distant server.
func (l Link) orDefault() Link {
	return Link{cmp.Or(l.RTT, 5*time.Millisecond), cmp.Or(l.Rate, 50_000_000)}
}

// span is what one request asks for.
type span struct {
	first, last int   // members, from first to before last
	off, size   int64 // in the archive
	at          int64 // in the file that it is written to
	ready       arrival
}

// arrival is told of once, whoever brings it.
type arrival struct {
	done <-chan struct{}
	tell func()
}

func newArrival() arrival {
	c := make(chan struct{})
	return arrival{c, sync.OnceFunc(func() { close(c) })}
}

// isClosed tells whether a channel has been closed that nobody sends to. A nil one
// never is.
func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// gap is how many bytes take as long as a request.
func (l Link) gap() int64 {
	return min(max(int64(l.RTT.Seconds()*float64(l.Rate)), least), widest)
}

// cost is the time that spans take over several connections, which may share
// one line.
func (l Link) cost(bytes int64, requests, lines int) time.Duration {
	rounds := (requests + lines - 1) / lines
	return time.Duration(float64(bytes)/float64(l.Rate)*float64(time.Second)) + time.Duration(rounds)*l.RTT
}

// spansOf makes spans of members, which are sorted: those that are no further
// apart than gap come by one request.
func spansOf(x *index.Index, want []int, gap int64) (spans []span, bytes int64) {
	for _, i := range want {
		m := &x.Members[i]
		end := m.Offset + int64(m.Length)
		if n := len(spans); n > 0 {
			s := &spans[n-1]
			if m.Offset-(s.off+s.size) <= gap && end-s.off <= largest {
				bytes += end - (s.off + s.size)
				s.size, s.last = end-s.off, i+1
				continue
			}
		}
		spans = append(spans, span{first: i, last: i + 1, off: m.Offset, size: int64(m.Length)})
		bytes += int64(m.Length)
	}
	at := int64(0)
	for i := range spans {
		spans[i].at, spans[i].ready = at, newArrival()
		at += spans[i].size
	}
	return spans, bytes
}

// planOf chooses the gap by the link, and by what it costs: no more than a
// quarter of what is wanted comes in vain.
func planOf(x *index.Index, want []int, l Link) ([]span, int64) {
	spans, needed := spansOf(x, want, 0)
	for gap := l.gap(); gap >= least; gap /= 2 {
		wider, bytes := spansOf(x, want, gap)
		if bytes <= needed+needed/4+least {
			return wider, bytes
		}
	}
	return spans, needed
}

// membersOf are the members of contents: the first content of each digest that
// is wanted counts.
func membersOf(x *index.Index, wanted map[index.Sum]bool) []int {
	seen := make(map[index.Sum]bool, len(wanted))
	var all []int
	for i := range x.Files {
		f := &x.Files[i]
		if !wanted[f.Sum] || seen[f.Sum] {
			continue
		}
		seen[f.Sum] = true
		first, last := x.Within(f.Start, f.Size)
		for k := first; k < last; k++ {
			all = append(all, k)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
