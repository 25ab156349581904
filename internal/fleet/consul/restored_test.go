package consul_test

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"testing"

	"stretcher/internal/fleet"
	"stretcher/internal/testparts"
)

// inLine waits until so many hosts wait.
func (s *scene) inLine(n int) {
	s.t.Helper()
	testparts.WaitFor(s.t, "hosts in the line", func() bool { return s.read().Count(fleet.HostWaiting) == n })
}

// snapshot saves what Consul knows, or puts that back.
func (s *scene) snapshot(what, file string) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), s.agent.Bin, "snapshot", what, "-http-addr", s.agent.HTTPAddr, file)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("snapshot %s: %v, %s", what, err, out)
	}
}

// TestRestored: a server is restored from a snapshot that knows nothing of the host at
// work. It ends, whether its ticket is another host's by then or not: others have the
// slot after that.
func TestRestored(t *testing.T) {
	t.Parallel()
	for name, inLine := range map[string]bool{"it waited then": true, "it came since": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := agent(t)
			register(t, a, 4)
			s := newScene(t, a, "restored", 4)
			s.r.MaxFailed = fleet.Hosts(3)
			file := filepath.Join(t.TempDir(), "snapshot")
			first, _ := s.works("1", 0)
			second := s.enter(s.entry("1", 1))
			var told <-chan turn
			if inLine {
				told = s.wait(second)
				s.inLine(1)
			}
			s.snapshot("save", file)
			if !inLine {
				told = s.wait(second)
				s.inLine(1)
			}
			s.leaves(first, "good")
			its := <-told
			if its.err != nil {
				t.Fatal(its.err)
			}
			s.snapshot("restore", file)
			third := s.enter(s.entry("1", 2))
			late := s.wait(third)
			<-its.work.Done()
			if cause := context.Cause(its.work); !errors.Is(cause, fleet.ErrLost) {
				t.Errorf("its work ends by %v", cause)
			}
			s.leaves(second, "failed")
			if next := <-late; next.err != nil {
				t.Fatal(next.err)
			}
			s.leaves(third, "good")
			if state := s.read(); state.Count(fleet.HostGood) != 1 || state.Count(fleet.HostFailed) != 1 {
				t.Errorf("%+v", state)
			}
		})
	}
}
