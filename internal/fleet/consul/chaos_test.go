package consul_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/fleet"
	"stretcher/internal/testparts"
)

// chaosLease is that of the schedules. Work that has to end takes chaosGrace: what is
// left of the margin is for a machine that is busy.
const (
	chaosLease = 3 * time.Second
	chaosGrace = 200 * time.Millisecond
)

// fromEnv is a number that the environment may give.
func fromEnv(t testing.TB, name string, otherwise int) int {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		t.Fatalf("%s=%q is no number", name, text)
	}
	return n
}

// TestSchedules: whatever happens to hosts, to Consul and to what is written there, no
// more hosts are at work than may be, of one rollout at a time, and each host that
// lives ends with a result. What happens when follows from the seed; who is faster does
// not.
func TestSchedules(t *testing.T) {
	rounds, seed := fromEnv(t, "STRETCHER_FLEET_SCHEDULES", 6), fromEnv(t, "STRETCHER_FLEET_SEED", 1)
	server := testparts.ConsulDurable(t, "-hcl", `session_ttl_min = "1s"`,
		"-hcl", "limits { http_max_conns_per_client = 8000 }")
	world := newWorld(t, server)
	stop := make(chan struct{})
	var restarts sync.WaitGroup
	var count atomic.Int64
	restarts.Go(func() { world.restart(rand.New(rand.NewPCG(uint64(seed), 0)), stop, &count) })
	var all sync.WaitGroup
	room := make(chan struct{}, 12)
	var told tally
	for i := range rounds {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			s := world.schedule(t, fmt.Sprintf("app-%d", i), rand.New(rand.NewPCG(uint64(seed), uint64(i+1))))
			s.run()
			told.add(s)
		})
		if t.Failed() {
			break
		}
	}
	all.Wait()
	close(stop)
	restarts.Wait()
	t.Logf("%d schedules from seed %d, %d restarts of the server: %s", rounds, seed, count.Load(), &told)
}

// tally is what has happened in all schedules.
type tally struct {
	mu     sync.Mutex
	hosts  int
	ends   map[string]int
	faults map[string]int
	full   int
}

func (o *tally) add(s *schedule) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ends == nil {
		o.ends, o.faults = map[string]int{}, map[string]int{}
	}
	for _, h := range s.hosts {
		o.hosts++
		o.ends[h.end]++
	}
	for _, f := range s.faults {
		o.faults[f]++
	}
	if s.floor.most == s.parallel {
		o.full++
	}
}

func (o *tally) String() string {
	return fmt.Sprintf("%d hosts ended %v; faults %v; in %d schedules all slots were taken at once",
		o.hosts, o.ends, o.faults, o.full)
}

// world is what schedules have in common.
type world struct {
	t      *testing.T
	server *testparts.ConsulServer
	admin  *api.Client
}

func newWorld(t *testing.T, server *testparts.ConsulServer) *world {
	w := &world{t: t, server: server}
	w.admin = w.client(server.Token)
	for i := range 16 {
		server.Register(t, fmt.Sprintf("web-%d", i), "web", map[string]string{"rack": fmt.Sprint(i % 3)})
	}
	w.must("make a policy", func() error {
		_, _, err := w.admin.ACL().PolicyCreate(&api.ACLPolicy{Name: "host", Rules: hostPolicy}, nil)
		return err
	})
	return w
}

// hostPolicy is what docs/fleet.md gives a host.
const hostPolicy = `
key_prefix "stretcher/fleet/" { policy = "write" }
session_prefix "" { policy = "write" }
node_prefix "" { policy = "read" }
service_prefix "" { policy = "read" }
agent_prefix "" { policy = "read" }
`

func (w *world) client(token string) *api.Client {
	conf := api.DefaultConfig()
	conf.Address, conf.Token = w.server.HTTPAddr, token
	c, err := api.NewClient(conf)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// must does what an administrator does, again when the server is away.
func (w *world) must(what string, do func() error) {
	var err error
	if !testparts.Eventually(func() bool { err = do(); return err == nil }) {
		w.t.Errorf("%s: %v", what, err)
	}
}

// token makes one for hosts.
func (w *world) token() (accessor, secret string) {
	w.must("make a token", func() error {
		tok, _, err := w.admin.ACL().TokenCreate(&api.ACLToken{Policies: []*api.ACLTokenPolicyLink{{Name: "host"}}}, nil)
		if err == nil {
			accessor, secret = tok.AccessorID, tok.SecretID
		}
		return err
	})
	return accessor, secret
}

// restart kills the server now and then, and starts it again.
func (w *world) restart(r *rand.Rand, stop <-chan struct{}, count *atomic.Int64) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(5*time.Second + time.Duration(r.IntN(20000))*time.Millisecond):
		}
		w.server.Kill()
		time.Sleep(time.Duration(r.IntN(4000)) * time.Millisecond)
		w.server.Start(w.t)
		count.Add(1)
	}
}

// wire is the network between one host and Consul.
type wire struct {
	mu    sync.Mutex
	cut   chan struct{} // closed while nothing comes through
	deaf  bool          // it is cut without an error
	loses func() bool   // an answer is lost
	next  http.RoundTripper
}

var errCut = errors.New("the network is down")

// RoundTrip sends a request, unless the network is cut. What was on its way when that
// happens may have been done.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	w.mu.Lock()
	cut, lost := w.cut, w.loses()
	w.mu.Unlock()
	select {
	case <-cut:
		return w.dead(req)
	default:
	}
	type answer struct {
		resp *http.Response
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		resp, err := w.next.RoundTrip(req)
		got <- answer{resp, err}
	}()
	select {
	case a := <-got:
		if lost && a.err == nil && req.Method == http.MethodPut {
			a.resp.Body.Close()
			return nil, errCut
		}
		return a.resp, a.err
	case <-cut:
		return w.dead(req)
	}
}

func (w *wire) dead(req *http.Request) (*http.Response, error) {
	w.mu.Lock()
	deaf := w.deaf
	w.mu.Unlock()
	if deaf {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	return nil, errCut
}

// sever cuts the network for some time.
func (w *wire) sever(d time.Duration, deaf bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.cut:
		return
	default:
	}
	w.deaf = deaf
	close(w.cut)
	time.AfterFunc(d, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.cut = make(chan struct{})
	})
}

// floor is where hosts are at work: the observer.
type floor struct {
	mu   sync.Mutex
	now  map[string]int // by version
	most int
}

func (f *floor) enter(version string, limit int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now[version]++
	f.most = max(f.most, f.now[version])
	for other, n := range f.now {
		if other != version && n > 0 {
			return fmt.Errorf("version %s is at work together with %s", version, other)
		}
	}
	if n := f.now[version]; n > limit {
		return fmt.Errorf("%d hosts are at work with version %s, of %d", n, version, limit)
	}
	return nil
}

func (f *floor) leave(version string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now[version]--
}

// describe is a line for who reads a failure.
func describe(err error) string {
	for _, known := range []error{
		fleet.ErrStopped, fleet.ErrSuperseded, fleet.ErrTimedOut, fleet.ErrLost, fleet.ErrUnreachable,
	} {
		if errors.Is(err, known) {
			return strings.ReplaceAll(known.Error(), " ", "_")
		}
	}
	if errors.Is(err, context.Canceled) {
		return "term"
	}
	return err.Error()
}
