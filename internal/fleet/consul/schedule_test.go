package consul_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/fleet"
	"stretcher/internal/fleet/consul"
)

// schedule is one rollout, or two, and what happens to them.
type schedule struct {
	t        *testing.T
	w        *world
	name     string
	r        *rand.Rand
	hosts    []*host
	floor    floor
	parallel int
	faults   []string
	wiped    time.Time // when KV was last removed
	mu       sync.Mutex
}

// host is one of its hosts, with one of the versions.
type host struct {
	s      *schedule
	entry  fleet.Entry
	wire   *wire
	line   *line // nil = it reaches the server without one
	token  string
	starts time.Duration
	works  time.Duration
	fails  bool
	busy   atomic.Bool // it is at work

	term, kill context.CancelFunc // SIGTERM and SIGKILL
	live, run  context.Context    // until then
	end        string
	left       time.Time
}

// schedule makes one at random.
func (w *world) schedule(t *testing.T, name string, r *rand.Rand) *schedule {
	s := &schedule{t: t, w: w, name: name, r: r, floor: floor{now: map[string]int{}}, parallel: 1 + r.IntN(3)}
	n := 5 + r.IntN(6)
	rollout := fleet.Rollout{
		Hosts: hosts(16)[:n], Parallel: fleet.Hosts(int64(s.parallel)), MaxFailed: fleet.Hosts(int64(n)),
		Lease: fleet.Span(chaosLease), Timeout: fleet.Span(45 * time.Second),
		OnUnreachable: []fleet.OnUnreachable{fleet.Wait, fleet.Fail}[r.IntN(2)],
	}
	if r.IntN(3) == 0 {
		rollout.Canary, rollout.Pause = int64(1+r.IntN(2)), fleet.Span(r.IntN(1000))*fleet.Span(time.Millisecond)
	}
	if r.IntN(3) == 0 {
		rollout.MaxFailed = fleet.Hosts(int64(r.IntN(3)))
	}
	secrets := map[string]string{}
	var accessors []string
	for range 2 {
		accessor, secret := w.token()
		secrets[accessor] = secret
		accessors = append(accessors, accessor)
	}
	versions := 1 + r.IntN(2)
	serials := r.IntN(2) == 0
	for v := range versions {
		for i := range n {
			h := s.host(rollout, v, i, serials, secrets[accessors[r.IntN(2)]])
			h.starts = time.Duration(v*(500+r.IntN(2500))+r.IntN(1500)) * time.Millisecond
			if r.IntN(8) == 0 {
				h.starts += time.Duration(r.IntN(8000)) * time.Millisecond
			}
			s.hosts = append(s.hosts, h)
		}
	}
	s.plan(accessors)
	return s
}

func (s *schedule) host(rollout fleet.Rollout, v, i int, serials bool, token string) *host {
	h := &host{s: s, token: token, works: time.Duration(20+s.r.IntN(400)) * time.Millisecond, fails: s.r.IntN(10) == 0}
	if s.r.IntN(6) == 0 { // longer than a lease
		h.works = chaosLease + time.Duration(s.r.IntN(3000))*time.Millisecond
	}
	version := fmt.Sprint("v", v+1)
	h.entry = fleet.Entry{
		Name: s.name, Version: version, ID: "id-" + version, Run: fmt.Sprintf("%s-%d", version, i),
		Node:    fmt.Sprintf("web-%d", i),
		Rollout: rollout,
	}
	if serials {
		h.entry.Serial = int64(v + 1)
	}
	if s.r.IntN(60) == 0 { // its policy allows less
		h.entry.Rollout.Parallel = fleet.Hosts(1)
	}
	chance := rand.New(rand.NewPCG(s.r.Uint64(), 1))
	h.wire = &wire{cut: make(chan struct{}), loses: func() bool { return chance.IntN(60) == 0 }}
	h.live, h.kill = context.WithCancel(context.Background())
	h.run, h.term = context.WithCancel(h.live)
	return h
}

// open makes the host's client, and enters.
func (h *host) open() (*consul.Place, error) {
	address := h.s.w.server.HTTPAddr
	if h.line != nil {
		address = h.line.addr
		context.AfterFunc(h.live, h.line.close)
	}
	client, err := consul.Open(consul.Config{Address: address, Token: h.token,
		Wrap: func(next http.RoundTripper) http.RoundTripper { h.wire.next = next; return h.wire }})
	if err != nil {
		return nil, err
	}
	return client.Enter(h.run, h.entry)
}

// partition prepares what cuts the host off for some time: an error, or TCP by itself.
func (h *host) partition(part int, length time.Duration, mute bool) (name string, cut func()) {
	if part == 0 {
		return "partition", func() { h.wire.sever(length, mute) }
	}
	if h.line == nil {
		h.line = newLine(h.s.t, h.s.w.server.HTTPAddr)
	}
	how := lineFault(part)
	return fmt.Sprint("partition ", [...]string{refused: "refused", hole: "hole", deaf: "one-way"}[how]),
		func() { h.line.sever(length, how) }
}

// plan decides which faults there are, and when.
func (s *schedule) plan(accessors []string) {
	removed, left := false, false
	for range 1 + s.r.IntN(5) {
		at := time.Duration(s.r.IntN(6000)) * time.Millisecond
		h := s.hosts[s.r.IntN(len(s.hosts))]
		length := time.Duration(200+s.r.IntN(9000)) * time.Millisecond
		mute := s.r.IntN(2) == 0
		kind, part := s.r.IntN(9), s.r.IntN(4)
		accessor := accessors[s.r.IntN(2)]
		// When sessions end and all keys are removed as well, nothing is left that tells who is at work.
		if removed, left = removed || kind == 4, left || kind == 6; removed && left {
			break
		}
		s.fault(at, kind, part, h, length, mute, accessor)
	}
}

func (s *schedule) fault(at time.Duration, kind, part int, h *host, length time.Duration, mute bool, accessor string) {
	var name string
	var do func()
	switch kind {
	case 0, 1:
		name, do = "kill -9", h.kill
	case 2:
		name, do = h.partition(part, length, mute)
	case 3: // of a host at work, longer than others wait for it
		h.works = 5 * chaosLease
		kind, cut := h.partition(part, 5*chaosLease, mute)
		name, do = "long "+kind, func() {
			for range 100 { // until it is at work
				if h.busy.Load() {
					cut()
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		}
	case 4:
		name, do = "KV removed", func() { s.wipe("") }
	case 5:
		name, do = "a part of KV removed", func() { s.wipe([]string{"head", "s/", "t/", "r/"}[part]) }
	case 6:
		name, do = "nodes left", func() { s.nodesLeave(length, mute) }
	case 7:
		name, do = "token revoked", func() {
			s.w.must("revoke a token", func() error {
				_, err := s.w.admin.ACL().TokenDelete(accessor, nil)
				if err != nil && strings.Contains(err.Error(), "ACL not found") {
					return nil
				}
				return err
			})
		}
	case 8:
		name, do = "SIGTERM", h.term
	}
	s.faults = append(s.faults, name)
	time.AfterFunc(at, do)
}

// wipe removes keys: all, or those with a part in their names.
func (s *schedule) wipe(part string) {
	base := "stretcher/fleet/" + s.name + "/"
	s.wipes(time.Now().Add(time.Hour)) // they may be gone before it is heard that they are
	s.w.must("remove keys", func() error {
		if part == "" {
			_, err := s.w.admin.KV().DeleteTree(base, nil)
			return err
		}
		keys, _, err := s.w.admin.KV().Keys(base, "", nil)
		for _, key := range keys {
			if err == nil && strings.Contains(strings.TrimPrefix(key, base), part) {
				_, err = s.w.admin.KV().Delete(key, nil)
			}
		}
		return err
	})
	s.wipes(time.Now())
}

// wipes notes when keys are removed, and returns when they had been before.
func (s *schedule) wipes(at time.Time) (before time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, s.wiped = s.wiped, at
	return before
}

// nodesLeave ends the sessions of hosts at work, and cuts some of them off.
func (s *schedule) nodesLeave(length time.Duration, mute bool) {
	for i, h := range s.hosts {
		if h.busy.Load() && (mute || i%2 == 0) {
			h.wire.sever(length, mute)
		}
	}
	s.w.must("end sessions", func() error {
		all, _, err := s.w.admin.Session().List(nil)
		for _, session := range all {
			if err == nil && strings.Contains(session.Name, "/"+s.name+"/") {
				_, err = s.w.admin.Session().Destroy(session.ID, nil)
			}
		}
		return err
	})
}

// run has all hosts deploy, and judges how they ended.
func (s *schedule) run() {
	var all sync.WaitGroup
	for _, h := range s.hosts {
		all.Go(h.deploy)
	}
	all.Wait()
	s.judge()
}

// deploy is a host's run.
func (h *host) deploy() {
	defer h.kill()
	time.Sleep(h.starts)
	place, err := h.open()
	if err != nil {
		h.s.t.Error(err)
		return
	}
	work, err := place.Wait(h.run)
	result := fleet.Result{Result: "good", Started: time.Now()}
	if err == nil {
		err = h.work(work)
	}
	if h.end = "good"; err != nil {
		h.end, result.Result, result.Error = describe(err), "failed", err.Error()
		if errors.Is(err, fleet.ErrStopped) || errors.Is(err, fleet.ErrSuperseded) {
			result.Result = "stopped"
		}
	}
	if h.live.Err() != nil { // killed: it does nothing more, as a process that is gone
		_ = place.Leave(h.live, result)
		h.end = "killed"
		return
	}
	err = place.Leave(h.live, result)
	if h.live.Err() != nil { // killed on its way out
		h.end = "killed"
		return
	}
	if err != nil {
		h.end += "_untold"
		known := errors.Is(err, fleet.ErrUnreachable) || errors.Is(err, context.DeadlineExceeded)
		if !known && !errors.Is(err, fleet.ErrStopped) {
			h.s.t.Errorf("%s: host %s leaves: %v", h.s.name, h.entry.Run, err)
		}
		return
	}
	h.left = time.Now()
}

// work is seen by the observer. It takes its time to end when it has to.
func (h *host) work(ctx context.Context) error {
	if err := h.s.floor.enter(h.entry.Version, h.s.parallel); err != nil {
		h.s.t.Errorf("%s: %s: %v; faults %v", h.s.name, h.entry.Run, err, h.s.faults)
	}
	h.busy.Store(true)
	defer h.busy.Store(false)
	defer h.s.floor.leave(h.entry.Version)
	select {
	case <-time.After(h.works):
		if h.fails {
			return errors.New("verify failed")
		}
		return nil
	case <-h.live.Done(): // killed: nothing takes its time
	case <-ctx.Done():
		select {
		case <-time.After(chaosGrace):
		case <-h.live.Done():
		}
	}
	return context.Cause(ctx)
}

// judge looks whether each host has ended with a result that can be read.
func (s *schedule) judge() {
	client := open(s.t, s.w.server.ConsulAgent)
	told := map[string]bool{}
	var keys []string
	s.w.must("read the results", func() error {
		pairs, _, err := s.w.admin.KV().List("stretcher/fleet/"+s.name+"/", &api.QueryOptions{RequireConsistent: true})
		keys = nil
		for _, pair := range pairs {
			keys = append(keys, pair.Key)
			if strings.Contains(pair.Key, "/res/") {
				if r, err := fleet.DecodeResult(pair.Value); err == nil {
					told[r.Run] = true
					// Of what no rollout knows, a host has its latest result.
					told[r.Node] = told[r.Node] || strings.Contains(pair.Key, "/res/0/")
				}
			}
		}
		return err
	})
	wiped := s.wipes(time.Now())
	for _, h := range s.hosts {
		if h.end == "" {
			s.t.Errorf("%s: host %s has not ended", s.name, h.entry.Run)
		}
		if !h.left.IsZero() && h.left.After(wiped.Add(time.Second)) && !told[h.entry.Run] &&
			!told[h.entry.Node] {
			s.t.Errorf("%s: host %s ended as %s, and no result is there; faults %v; keys:\n%s", s.name,
				h.entry.Run, h.end, s.faults, strings.Join(keys, "\n"))
		}
	}
	if _, err := client.Read(s.t.Context(), s.name); err != nil && !errors.Is(err, fleet.ErrUnknown) &&
		!errors.Is(err, fleet.ErrUnreachable) {
		s.t.Errorf("%s: %v", s.name, err)
	}
}
