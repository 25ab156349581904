package testparts

import (
	"bytes"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// proc is a child process in a process group of its own.
type proc struct {
	cmd  *exec.Cmd
	out  buffer        // stdout and stderr together
	done chan struct{} // closed when the process has ended
}

// start runs a program with env added to the test's own environment. When the
// test ends its process group is killed, and when the test failed its output
// is shown.
func start(t testing.TB, env []string, bin string, args ...string) *proc {
	t.Helper()
	p := &proc{cmd: exec.Command(bin, args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.SysProcAttr = ownGroup()
	// A grandchild that holds the pipe must not keep Wait from returning.
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", bin, err)
	}
	go func() {
		// The exit status stays in ProcessState, which is all that's asked for.
		_ = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("output of %s:\n%s", bin, p.out.String())
		}
	})
	return p
}

// ready waits until cond holds and fails the test at once when the process
// ends before that. The process must be alive afterwards: what answers could
// be somebody else's server.
func (p *proc) ready(t testing.TB, cond func() bool) {
	t.Helper()
	if !poll(cond, p.done) || p.exited() {
		t.Fatalf("%s does not answer; its output:\n%s", p.cmd.Path, p.out.String())
	}
}

func (p *proc) exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill ends the whole group and waits for the process itself.
func (p *proc) kill() {
	// ESRCH says that nobody is left, which is what's wanted.
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// run executes a client program and gives its output; failure fails the test.
func run(t testing.TB, bin string, args ...string) string {
	t.Helper()
	out, err := exec.Command(bin, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", bin, args, err, out)
	}
	return string(out)
}

// buffer collects output that is read while it's still written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends p; it never fails.
func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String gives all that was written so far.
func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
