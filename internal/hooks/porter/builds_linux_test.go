package porter

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"stretcher/internal/hooks"
	"stretcher/internal/process"
	"stretcher/internal/testparts"
	"stretcher/internal/text/runid"
)

// hanging is a bench with a hook whose build hangs and ignores TERM, and the
// variable that tells its processes.
type hanging struct {
	*containers
	variable string
}

func newHanging(t *testing.T, timeout string) *hanging {
	t.Helper()
	h := &hanging{newContainers(t, "  pre_pack: [{dockerfile: hook/Dockerfile"+timeout+"}]\n"), "TAG=" + uuid.NewString()}
	h.Engine.cfg.BuildArgs = h.parts.Run
	h.Engine.Temp = filepath.Join(t.TempDir(), runid.TempPrefix("run-1")+"0")
	if err := os.Mkdir(h.Engine.Temp, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(h.scope.Tree, "hook/Dockerfile"),
		"FROM scratch\nCOPY hook /hook\nENV "+h.variable+"\nENV DO=\"print building;hang\"\nRUN [\"/hook\"]\n", 0o644)
	return h
}

// processes are those of the build.
func (h *hanging) processes() (pids []int) {
	for _, p := range process.Table() {
		if p.HasVariable(h.variable) {
			pids = append(pids, p.PID)
		}
	}
	return pids
}

// external counts the containers that builds work in.
func (h *hanging) external(t *testing.T) int {
	t.Helper()
	list, err := h.Engine.quiet(t.Context(), "ps", "--all", "--external", "--quiet")
	if err != nil {
		t.Fatal(err)
	}
	return len(strings.Fields(list))
}

// start runs the hook and returns when its build hangs.
func (h *hanging) start(t *testing.T, ctx context.Context) (ended chan error) {
	t.Helper()
	ended = make(chan error, 1)
	list := h.hooksAt(hooks.PreFetch)
	go func() { ended <- h.runner.Run(ctx, hooks.PreFetch, list, false) }()
	testparts.WaitFor(t, "the build to hang", func() bool { return len(h.processes()) > 0 })
	if h.external(t) == 0 {
		t.Error("the build has no container")
	}
	return ended
}

func (h *hanging) check(t *testing.T) {
	t.Helper()
	if pids := h.processes(); len(pids) > 0 {
		t.Errorf("processes %v are left", pids)
	}
	if n := h.external(t); n > 0 {
		t.Errorf("%d containers of builds are left", n)
	}
	if left, err := os.ReadDir(h.Engine.Temp); err != nil || len(left) > 0 {
		t.Errorf("files %v are left, %v", left, err)
	}
	h.nothingLeft(t)
}

// TestBuildThatHangs: however a build is stopped, nothing of it is left.
func TestBuildThatHangs(t *testing.T) {
	t.Run("timeout", func(t *testing.T) {
		h := newHanging(t, ", timeout: 3")
		if err := h.at(t, hooks.PreFetch, false); err == nil || !strings.Contains(err.Error(), "timed out after 3s") {
			t.Errorf("err = %v\n%s", err, &h.log)
		}
		h.check(t)
	})
	t.Run("interruption", func(t *testing.T) {
		h := newHanging(t, "")
		ctx, cancel := context.WithCancelCause(t.Context())
		enough := errors.New("enough")
		ended := h.start(t, ctx)
		cancel(enough)
		if err := <-ended; !errors.Is(err, enough) {
			t.Errorf("err = %v", err)
		}
		h.check(t)
	})
	t.Run("the engine is killed", func(t *testing.T) {
		h := newHanging(t, "")
		var engine atomic.Int64
		h.runner.Started = func(pid int) { engine.Store(max(engine.Load(), int64(pid))) }
		ended := h.start(t, t.Context())
		if err := syscall.Kill(int(engine.Load()), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err == nil {
			t.Error("a build that was killed is good")
		}
		h.check(t)
	})
}

// TestRemoveRunEndsBuilds: the next run ends the builds of one that died, and
// of that alone.
func TestRemoveRunEndsBuilds(t *testing.T) {
	h := newHanging(t, "")
	ended := h.start(t, t.Context())
	if err := h.Engine.RemoveRun(t.Context(), "run-2"); err != nil {
		t.Error(err)
	}
	if len(h.processes()) == 0 || h.external(t) == 0 {
		t.Error("the build of another run must go on")
	}
	if err := h.Engine.RemoveRun(t.Context(), "run-1"); err != nil {
		t.Error(err)
	}
	<-ended
	h.check(t)
}

func TestMarked(t *testing.T) {
	for text, want := range map[string]bool{
		`"Secrets":["id=stretcher.build,src=/tmp/.stretcher-a-0/stretcher-hook-7/mark"]`:        true,
		`"Secrets":["id=x,src=/y","id=stretcher.build,src=/.stretcher-a-1/stretcher-hook-7/m"]`: true,
		`"Secrets":["id=stretcher.build,src=/tmp/.stretcher-b-0/stretcher-hook-7/mark"]`:        false,
		`"Secrets":["id=stretcher.build,src=/tmp/.stretcher-a-0/other/mark"]`:                   false,
		`"Secrets":["id=other,src=/tmp/.stretcher-a-0/stretcher-hook-7/mark"]`:                  false,
		`"id=stretcher.build,src=/x", "/tmp/.stretcher-a-0/stretcher-hook-7/mark"`:              false,
	} {
		if got := marked([]byte(text), ".stretcher-a-"); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	if marked(bytes.Repeat([]byte("x"), 100), ".stretcher-a-") {
		t.Error("no secret")
	}
}
