package main

import (
	"cmp"
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// model is what is known of a fleet and a version.
type model struct {
	hosts    int64
	seed     int64
	spread   int64 // seconds until the last host has heard of the version
	delay    int64 // seconds: --random-delay of a deployment
	ahead    int64 // seconds: --random-delay of a prefetch, before the event
	link     int64 // bytes a second that a host takes
	origin   int64 // bytes a second that a small origin gives
	manifest int64 // bytes of manifest and signature
	archive  int64
	index    int64
	delta    int64 // bytes of the archive that a host fetches that has the version before
	ranges   int64 // requests for them
}

// defaults are those of the table: the archive of docs/performance.md, in which
// every 100th file has changed, and hosts with a link of 1 Gbit/s.
func defaults() *model {
	return &model{hosts: 10_000, seed: 1, spread: 1, delay: 600, ahead: 3600, link: 125_000_000, origin: 1_250_000_000,
		manifest: 2000, archive: 134_000_000, index: 1_000_000, delta: 3_900_000, ranges: 100}
}

// flow is what one host fetches at one time.
type flow struct {
	at       float64 // seconds after the event
	bytes    int64
	requests int64
}

// way is how a fleet comes to a version, or a part of that.
type way struct {
	name  string
	flows []flow
}

// ways are the rows of the table.
func (m *model) ways() []way {
	heard := flow{bytes: m.manifest, requests: 2}
	full := flow{bytes: m.manifest + m.archive, requests: 3}
	part := flow{bytes: m.manifest + m.index + m.delta, requests: 3 + m.ranges}
	late := "random delay of " + span(float64(m.delay))
	early := fmt.Sprintf("the %s before", span(float64(m.ahead)))
	return []way{
		{"all at once", m.flows(full, 0)},
		{late, m.flows(full, m.delay)},
		{"prefetch, " + early, m.flows(full, m.ahead)},
		{"prefetch, at the event", m.flows(heard, 0)},
		{"delta, all at once", m.flows(part, 0)},
		{"delta, " + late, m.flows(part, m.delay)},
		{"prefetch by delta, " + early, m.flows(part, m.ahead)},
	}
}

// flows is one for each host: when it has heard of the version, and after a
// delay of at most that many seconds.
func (m *model) flows(f flow, delay int64) []flow {
	rnd := rand.New(rand.NewPCG(uint64(m.seed), uint64(delay)))
	all := make([]flow, m.hosts)
	for i := range all {
		all[i] = f
		all[i].at = rnd.Float64()*float64(m.spread) + rnd.Float64()*float64(delay)
	}
	return all
}

// load is what an origin has had to do.
type load struct {
	bytes, requests int64
	atOnce          int     // flows, at most
	peak            float64 // bytes a second, in the busiest second
	last            float64 // seconds until the last flow ended
}

// serve lets an origin serve all flows. One that gives 0 bytes a second gives
// what it is asked for.
func serve(flows []flow, link, origin int64) load {
	flows = slices.Clone(flows)
	slices.SortFunc(flows, func(a, b flow) int { return cmp.Compare(a.at, b.at) })
	s := &server{link: float64(link), origin: float64(origin)}
	for _, f := range flows {
		s.until(f.at)
		heap.Push(&s.ends, s.served+float64(f.bytes))
		s.done.bytes += f.bytes
		s.done.requests += f.requests
		s.done.atOnce = max(s.done.atOnce, s.ends.Len())
	}
	s.until(math.Inf(1))
	s.seconds.close(&s.done)
	return s.done
}

// server is an origin at work. All flows have the same rate, so that it is
// enough to know how much one that was there from the beginning has got: a flow
// ends when that has grown by the flow's bytes.
type server struct {
	link, origin float64
	now          float64
	served       float64 // by a flow that was there from the beginning
	ends         ends    // what served is when each flow ends
	seconds      seconds
	done         load
}

// until serves the flows that are there until a time, or until all have ended.
func (s *server) until(at float64) {
	for s.ends.Len() > 0 {
		n := float64(s.ends.Len())
		rate := s.link
		if s.origin > 0 {
			rate = min(rate, s.origin/n)
		}
		end := s.now + max(0, s.ends[0]-s.served)/rate
		if end > at {
			s.pass(at, rate, n)
			return
		}
		s.served = max(s.served, s.ends[0])
		s.seconds.add(s.now, end, rate*n, &s.done)
		s.now, s.done.last = end, end
		heap.Pop(&s.ends)
	}
	s.now = at
}

// pass serves n flows until a time at which none has ended.
func (s *server) pass(at, rate, n float64) {
	s.served += (at - s.now) * rate
	s.seconds.add(s.now, at, rate*n, &s.done)
	s.now = at
}

// seconds finds the busiest second of the clock.
type seconds struct {
	second float64 // which one
	bytes  float64 // in it until now
}

// add counts a rate from one time to another.
func (s *seconds) add(from, to, rate float64, done *load) {
	for from < to {
		if second := math.Floor(from); second != s.second {
			s.close(done)
			s.second, s.bytes = second, 0
		}
		next := min(to, s.second+1)
		s.bytes += (next - from) * rate
		from = next
	}
}

func (s *seconds) close(done *load) { done.peak = max(done.peak, s.bytes) }

// ends is a heap.
type ends []float64

// Len is how many there are.
func (e ends) Len() int { return len(e) }

// Less puts the lowest number first.
func (e ends) Less(i, j int) bool { return e[i] < e[j] }

// Swap exchanges two numbers.
func (e ends) Swap(i, j int) { e[i], e[j] = e[j], e[i] }

// Push adds a number.
func (e *ends) Push(x any) { *e = append(*e, x.(float64)) }

// Pop takes the last one.
func (e *ends) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}
