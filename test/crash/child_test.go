package crash

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"stretcher/internal/testparts"
)

// child is a run of the program.
type child struct {
	w    *world
	name string
	cmd  *exec.Cmd
	out  [2]*os.File   // until it runs
	done chan struct{} // closed when it has ended
	err  error         // of its Wait
}

// start runs the program, with an event on its standard input as consul watch
// hands it over, or with none. Its output goes to files, since a process that
// is left behind would hold a pipe.
func (w *world) start(name, event string, args ...string) *child {
	w.t.Helper()
	c := w.prepare(name, event, args...)
	defer c.closeOut()
	if err := c.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() { c.err = c.cmd.Wait(); close(c.done) }()
	return c
}

func (w *world) prepare(name, event string, args ...string) *child {
	w.t.Helper()
	c := &child{w: w, name: name, done: make(chan struct{})}
	c.cmd = exec.Command(w.bin, args...)
	c.cmd.Dir = w.dir
	c.cmd.Env = []string{
		"WORK=" + w.dir, "TMPDIR=" + w.path("tmp"), "HOME=" + w.path("home"), "STRETCHER_STATE_DIR=" + w.path("state"),
		testparts.NoExitSleep,
		"PATH=" + w.path("bin") + ":" + os.Getenv("PATH"),
	}
	if event != "" {
		c.cmd.Env = append(c.cmd.Env, "CONSUL_INDEX=7")
		c.cmd.Args = append(c.cmd.Args, "--strict-exit")
		c.cmd.Stdin = strings.NewReader(event)
	}
	for i, suffix := range []string{".out", ".err"} {
		f, err := os.Create(w.path(name + suffix))
		if err != nil {
			w.t.Fatal(err)
		}
		c.out[i] = f
	}
	c.cmd.Stdout, c.cmd.Stderr = c.out[0], c.out[1]
	w.t.Cleanup(func() {
		if w.t.Failed() {
			w.t.Logf("stderr of %s:\n%s", name, c.stderr())
		}
	})
	return c
}

func (c *child) closeOut() {
	for _, f := range c.out {
		_ = f.Close()
	}
}

func (c *child) stderr() string { return c.w.read(c.name + ".err") }

// signal sends a signal to the program, not to its children.
func (c *child) signal(s syscall.Signal) { _ = c.cmd.Process.Signal(s) }

// ended tells whether the program has ended, after a moment.
func (c *child) ended() bool {
	select {
	case <-c.done:
		return true
	case <-time.After(50 * time.Millisecond):
		return false
	}
}

// await polls cond while the program runs, and tells whether it came true. It
// polls often, since some states pass.
func (c *child) await(cond func() bool) bool { return testparts.Poll(cond, c.done, 2*time.Millisecond) }

// wait waits for the end of the program, and returns the status that a shell
// would show.
func (c *child) wait() int {
	c.w.t.Helper()
	// It stops waiting when the program has ended.
	testparts.Poll(func() bool { return false }, c.done, time.Second)
	if !c.ended() {
		c.signal(syscall.SIGQUIT) // shows the goroutines
		<-c.done
		c.w.t.Fatalf("%s did not end", c.name)
	}
	if strings.Contains(c.stderr(), "DATA RACE") {
		c.w.t.Errorf("%s has a data race", c.name)
	}
	return testparts.ExitStatus(c.err)
}
