package crash

import (
	"path/filepath"
	"syscall"
	"testing"

	"stretcher/internal/testparts"
)

// TestCrashTwice kills a run, and the next one while it cleans up after the
// first: before each system call that changes names, up to that clean-up's
// end. The run after that removes what both have left.
func TestCrashTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, crash{strategy: strategyNative}, crashArchives(t))
	w.bin = testparts.Shipped(t) // as in a sweep
	w.writeManifest()
	const most = 200 // calls before the clean-up is done
	for n := 1; n <= most; n++ {
		left := w.killInPost()
		child := w.prepare("second", "", w.manifestURL())
		status, sent := (&tracer{n: n, signal: syscall.SIGKILL}).run(t, child.cmd)
		child.closeOut()
		if !sent || status != exitSignal+int(syscall.SIGKILL) {
			t.Fatalf("exit status %d of a run that got the signal: %v", status, sent)
		}
		cleaned := !w.exists(left)
		if got := w.start("third", "", w.manifestURL()).wait(); got != exitGood {
			t.Errorf("the third run: exit status %d, want 0", got)
		}
		w.checkClean()
		w.checkState()
		if t.Failed() {
			t.Fatalf("the second run was killed before call %d", n)
		}
		if cleaned {
			return
		}
	}
	t.Errorf("after %d calls the second run has not cleaned up", most)
}

// killInPost kills a run in its commands, when it has staged the tree, and
// returns the directory that it has left.
func (w *world) killInPost() string {
	w.t.Helper()
	w.fault("post", hangExec)
	w.removeAll("mark")
	child := w.start("first", "", "--force", w.manifestURL())
	if !child.await(func() bool { return w.exists("mark") }) {
		w.t.Fatal("the first run did not come to its command")
	}
	child.signal(syscall.SIGKILL)
	child.wait()
	left, _ := filepath.Glob(w.path("*/.stretcher-*"))
	if len(left) != 1 {
		w.t.Fatalf("the first run has left %q", left)
	}
	name, err := filepath.Rel(w.dir, left[0])
	if err != nil {
		w.t.Fatal(err)
	}
	return name
}
