package consul_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"stretcher/internal/fleet"
	"stretcher/internal/fleet/consul"
	"stretcher/internal/testparts"
)

// scene is a rollout that a test plays host by host.
type scene struct {
	t     *testing.T
	agent testparts.ConsulAgent
	c     *consul.Client
	name  string
	r     fleet.Rollout
}

// newScene makes one of n hosts, one of which is at work at once.
func newScene(t *testing.T, a testparts.ConsulAgent, name string, n int) *scene {
	return &scene{t, a, open(t, a), name, fleet.Rollout{
		Hosts: hosts(n), Parallel: fleet.Hosts(1), MaxFailed: fleet.Hosts(1), Timeout: fleet.Span(time.Minute),
	}}
}

func (s *scene) entry(version string, i int) fleet.Entry {
	e := entry(version, i, s.r)
	e.Name = s.name
	return e
}

// enter prepares a host.
func (s *scene) enter(e fleet.Entry) *consul.Place {
	s.t.Helper()
	place, err := open(s.t, s.agent).Enter(s.t.Context(), e)
	if err != nil {
		s.t.Fatal(err)
	}
	return place
}

// works is a host that has its turn.
func (s *scene) works(version string, i int) (*consul.Place, context.Context) {
	s.t.Helper()
	place := s.enter(s.entry(version, i))
	work, err := place.Wait(s.t.Context())
	if err != nil {
		s.t.Fatalf("host %d: %v", i, err)
	}
	return place, work
}

// waits is a host that does not have it yet; what it is told comes later.
func (s *scene) waits(version string, i int) (*consul.Place, <-chan error) {
	s.t.Helper()
	before, version0 := s.read().Count(fleet.HostWaiting), s.read().Version
	if version0 != version {
		before = 0
	}
	place, told := s.enter(s.entry(version, i)), make(chan error, 1)
	go func() {
		_, err := place.Wait(s.t.Context())
		told <- err
	}()
	testparts.WaitFor(s.t, "a host in the line", func() bool {
		state := s.read()
		return state.Version == version && state.Count(fleet.HostWaiting) > before
	})
	return place, told
}

func (s *scene) read() *fleet.State {
	s.t.Helper()
	state, err := s.c.Read(s.t.Context(), s.name)
	if err != nil && !errors.Is(err, fleet.ErrUnknown) {
		s.t.Fatal(err)
	}
	return &state
}

// leaves ends a host's part.
func (s *scene) leaves(place *consul.Place, result string) {
	s.t.Helper()
	if err := place.Leave(s.t.Context(), fleet.Result{Result: result}); err != nil {
		s.t.Errorf("leave: %v", err)
	}
}

// gets wants a host to be told so.
func (s *scene) gets(told <-chan error, want error) {
	s.t.Helper()
	select {
	case err := <-told:
		if !errors.Is(err, want) {
			s.t.Errorf("it is told %v, not %v", err, want)
		}
	case <-time.After(testparts.Limit(time.Minute)):
		s.t.Errorf("it is not told %v", want)
	}
}

// TestScenes plays what can happen to a rollout, each by itself.
func TestScenes(t *testing.T) {
	a := agent(t)
	register(t, a, 8)
	for name, play := range map[string]func(*scene){
		"handed over": handedOver, "superseded": superseded, "stopped": stopped, "removed": removed,
		"terminated":   terminated,
		"canary fails": canaryFails, "canary is good": canaryGood,
		"dies": dies, "tighter": tighter, "nothing to do": nothingToDo, "back": back,
		"session ends": sessionEnds, "removed in the pause": removedInPause,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(newScene(t, a, name, 4))
		})
	}
}

// handedOver: who gives the slot back hands it to the next in the line.
func handedOver(s *scene) {
	first, _ := s.works("1", 0)
	second, told := s.waits("1", 1)
	s.leaves(first, "good")
	s.gets(told, nil)
	s.leaves(second, "good")
	state := s.read()
	if state.Count(fleet.HostGood) != 2 || state.Count(fleet.HostExpected) != 2 || state.Group != "4 listed hosts" {
		s.t.Errorf("%+v", state)
	}
}

// superseded: hosts of the older rollout stop waiting, and those of the newer one wait
// until the older one's are done.
func superseded(s *scene) {
	first, _ := s.works("1", 0)
	second, told := s.waits("1", 1)
	newer, late := s.waits("2", 1)
	s.gets(told, fleet.ErrSuperseded)
	s.leaves(second, "stopped")
	_, err := s.enter(s.entry("1", 2)).Wait(s.t.Context())
	if !errors.Is(err, fleet.ErrSuperseded) {
		s.t.Errorf("a late host of the older one: %v", err)
	}
	select {
	case err := <-late:
		s.t.Errorf("the newer one goes on while the older one is at work: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	s.leaves(first, "good")
	s.gets(late, nil)
	s.leaves(newer, "good")
}

// stopped: when more have failed than may, or somebody says so, those that wait stop.
func stopped(s *scene) {
	first, _ := s.works("1", 0)
	second, told := s.waits("1", 1)
	s.leaves(first, "failed")
	s.gets(told, nil)
	_, told = s.waits("1", 2)
	s.leaves(second, "failed")
	s.gets(told, fleet.ErrStopped)
	if state := s.read(); state.Phase != fleet.Stopped || state.Why != "2 failed, and 1 may" {
		s.t.Errorf("%+v", state)
	}
	if err := s.c.Stop(s.t.Context(), s.name, "by hand"); !errors.Is(err, fleet.ErrAlready) {
		s.t.Errorf("stopped twice: %v", err)
	}
	newer, _ := s.works("2", 0)
	_, told = s.waits("2", 1)
	if err := s.c.Stop(s.t.Context(), s.name, "by hand"); err != nil {
		s.t.Fatal(err)
	}
	s.gets(told, fleet.ErrStopped)
	s.leaves(newer, "good")
	if state := s.read(); state.Phase != fleet.Stopped || state.Why != "by hand" || state.Count(fleet.HostGood) != 1 {
		s.t.Errorf("%+v", state)
	}
}

// removed: when somebody removes all keys, hosts that wait stop; who is at work goes
// on, and until it is done no other goes to work.
func removed(s *scene) {
	first, work := s.works("1", 0)
	second, told := s.waits("1", 1)
	request(s.t, s.agent, "DELETE", "/v1/kv/stretcher/fleet/"+s.name+"/?recurse=")
	s.gets(told, fleet.ErrStopped)
	s.leaves(second, "stopped")
	late, lateTold := s.enter(s.entry("1", 2)), make(chan error, 1)
	go func() {
		_, err := late.Wait(s.t.Context())
		lateTold <- err
	}()
	select {
	case err := <-lateTold:
		s.t.Errorf("another goes to work: %v", err)
	case <-time.After(2 * lease):
	}
	if work.Err() != nil {
		s.t.Errorf("its work has ended: %v", context.Cause(work))
	}
	s.leaves(first, "good")
	s.gets(lateTold, nil)
	s.leaves(late, "good")
}

// terminated: a host that ends while it waits leaves the line.
func terminated(s *scene) {
	first, _ := s.works("1", 0)
	ctx, cancel := context.WithCancel(s.t.Context())
	second, told := s.enter(s.entry("1", 1)), make(chan error, 1)
	go func() {
		_, err := second.Wait(ctx)
		told <- err
	}()
	testparts.WaitFor(s.t, "a host in the line", func() bool { return s.read().Count(fleet.HostWaiting) > 0 })
	cancel()
	s.gets(told, context.Canceled)
	s.leaves(second, "failed")
	third, late := s.waits("1", 2)
	s.leaves(first, "good")
	s.gets(late, nil)
	s.leaves(third, "good")
}

// canaryFails: a canary that fails stops the rollout, however many may.
func canaryFails(s *scene) {
	s.r.Canary, s.r.MaxFailed = 1, fleet.Hosts(3)
	first, _ := s.works("1", 0)
	_, told := s.waits("1", 1)
	s.leaves(first, "failed")
	s.gets(told, fleet.ErrStopped)
}

// canaryGood: the others wait for it, and a pause longer.
func canaryGood(s *scene) {
	s.r.Canary, s.r.Parallel, s.r.Pause = 1, fleet.Hosts(3), fleet.Span(time.Second)
	first, _ := s.works("1", 0)
	second, told := s.waits("1", 1)
	third, also := s.waits("1", 2)
	began := time.Now()
	s.leaves(first, "good")
	s.gets(told, nil)
	s.gets(also, nil)
	if time.Since(began) < time.Second {
		s.t.Error("nobody has paused")
	}
	s.leaves(second, "good")
	s.leaves(third, "good")
}

// dies: the slot of a host that dies goes to the next, and it has failed.
func dies(s *scene) {
	ctx, kill := context.WithCancel(s.t.Context())
	first := s.enter(s.entry("1", 0))
	if _, err := first.Wait(ctx); err != nil {
		s.t.Fatal(err)
	}
	second, told := s.waits("1", 1)
	kill()
	if err := first.Leave(ctx, fleet.Result{Result: "good"}); err == nil {
		s.t.Error("it has told its result, and is dead")
	}
	s.gets(told, nil)
	s.leaves(second, "good")
	if state := s.read(); state.Count(fleet.HostDied) != 1 {
		s.t.Errorf("%+v", state)
	}
}

// tighter: a host whose policy allows less than that of the host which began has its
// way: nobody goes to work until no more are than it allows.
func tighter(s *scene) {
	s.r.Parallel, s.r.MaxFailed = fleet.Hosts(3), fleet.Hosts(2)
	first, _ := s.works("1", 0)
	second, _ := s.works("1", 1)
	s.r.Parallel = fleet.Hosts(1)
	third, told := s.enter(s.entry("1", 2)), make(chan error, 1)
	go func() {
		_, err := third.Wait(s.t.Context())
		told <- err
	}()
	testparts.WaitFor(s.t, "its limit to hold", func() bool { return s.read().Limits.Parallel == 1 })
	s.leaves(first, "good")
	select {
	case err := <-told:
		s.t.Errorf("it goes to work while another is: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	s.leaves(second, "good")
	s.gets(told, nil)
	if limits := s.read().Limits; limits.Parallel != 1 || limits.MaxFailed != 2 {
		s.t.Errorf("%+v", limits)
	}
	s.leaves(third, "good")
}

// back: without serials who fires an older version again goes back to it, as soon as
// nobody is at work.
func back(s *scene) {
	for _, version := range []string{"1", "2", "1"} {
		for i := range 4 {
			place, _ := s.works(version, i)
			if i == 1 && version == "2" {
				_, err := s.enter(s.entry("1", 0)).Wait(s.t.Context())
				if !errors.Is(err, fleet.ErrSuperseded) {
					s.t.Errorf("it went back before all had ended: %v", err)
				}
			}
			s.leaves(place, "good")
		}
	}
	if state := s.read(); state.Version != "1" || state.Hosts[len(state.Hosts)-1].Runs != "1" {
		s.t.Errorf("%+v", state)
	}
}

// nothingToDo: hosts that have nothing to do tell so before the rollout begins, and
// without a slot; the rollout is over when all have told.
func nothingToDo(s *scene) {
	s.leaves(s.enter(s.entry("1", 3)), "good")
	for i := range 2 {
		place, _ := s.works("1", i)
		s.leaves(place, "good")
	}
	s.leaves(s.enter(s.entry("1", 2)), "good")
	if state := s.read(); state.Count(fleet.HostGood) != 4 || state.Phase != fleet.Done {
		s.t.Errorf("%+v", state)
	}
}

// sessionEnds: a host whose session is ended by others, as when its node leaves, takes
// its slot again.
func sessionEnds(s *scene) {
	place, work := s.works("1", 0)
	_, told := s.waits("1", 1)
	var all sync.WaitGroup
	for _, id := range sessions(s.t, s.agent, s.name) {
		all.Go(func() { request(s.t, s.agent, "PUT", "/v1/session/destroy/"+id) })
	}
	all.Wait()
	select {
	case err := <-told:
		s.t.Errorf("another has its slot: %v", err)
	case <-time.After(3 * lease):
	}
	if work.Err() != nil {
		s.t.Errorf("its work has ended: %v", context.Cause(work))
	}
	s.leaves(place, "good")
	s.gets(told, nil)
}

// removedInPause: somebody removes all while the canaries have their pause: nobody goes
// on, and who begins anew has canaries again.
func removedInPause(s *scene) {
	s.r.Canary, s.r.Parallel, s.r.Pause = 1, fleet.Hosts(3), fleet.Span(time.Hour)
	first, _ := s.works("1", 0)
	_, told := s.waits("1", 1)
	s.leaves(first, "good")
	request(s.t, s.agent, "DELETE", "/v1/kv/stretcher/fleet/"+s.name+"/?recurse=")
	s.gets(told, fleet.ErrStopped)
	again, _ := s.works("1", 0)
	_, told = s.waits("1", 1)
	if state := s.read(); state.Phase != fleet.Canary || state.Count(fleet.HostWorking) != 1 {
		s.t.Errorf("%+v", state)
	}
	s.leaves(again, "failed")
	s.gets(told, fleet.ErrStopped)
}
