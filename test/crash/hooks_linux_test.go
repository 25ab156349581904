package crash

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"stretcher/internal/testparts"
)

// TestCrashHooks kills hooks run and hooks install, which leave no row in the
// history, where they have something to leave. What they have left goes with
// the next run, be it a deployment or the same command.
func TestCrashHooks(t *testing.T) {
	pods := hookPods(t)
	for _, c := range []hookCrash{
		{"run/fetch", hooksRun, kind("app.tar.gz", "stall"), stop{at: requested("/stall/app.tar.gz")}},
		{"run/extract", hooksRun, sendArchive("many"),
			stop{at: found("tmp/.stretcher-*/tree/many"), passing: unfinished("tmp/.stretcher-*/tree/many/*")}},
		{"run/hook", hooksRun, fault("hook", "setsid sleep 600 & "+hangExec), stop{at: marked}},
		{"install/lock", hooksInstall, holdRoot, stop{at: said("waiting for the lock")}},
		{"install/fetch", hooksInstall, kind("app.tar.gz", "stall"), stop{at: requested("/stall/app.tar.gz")}},
		{"install/extract", hooksInstall, sendArchive("many"),
			stop{at: found("root/.stretcher-*/tree/many"), passing: unfinished("root/.stretcher-*/tree/many/*")}},
	} {
		for _, next := range []string{"deployment", "again"} {
			t.Run(c.name+"/KILL/"+next, func(t *testing.T) {
				t.Parallel()
				c.test(newHookWorld(t, pods), next)
			})
		}
	}
}

func holdRoot(w *world) { w.hold(w.path("root")) }

// unfinished tells whether there is more of the archive with many files to
// extract.
func unfinished(pattern string) func(*world) bool {
	return func(w *world) bool {
		names, _ := filepath.Glob(w.path(pattern))
		return len(names) < manyFiles
	}
}

// hookCrash is one case.
type hookCrash struct {
	name string // COMMAND/WHERE
	args func(*world) []string
	set  func(*world)
	stop stop
}

func (c hookCrash) test(w *world, next string) {
	if c.set != nil {
		c.set(w)
	}
	w.writePod()
	child := w.start("first", "", c.args(w)...)
	c.stop.signal = syscall.SIGKILL
	crash{stop: c.stop}.interrupt(w, child)
	if got := child.wait(); got != exitSignal+int(syscall.SIGKILL) {
		w.t.Fatalf("exit status %d of a command that was killed", got)
	}
	w.mend()
	w.writePod()
	args := []string{w.url + "/other.yml"}
	if next == "again" {
		args = c.args(w)
	}
	after := w.start("next", "", args...)
	if got := after.wait(); got != exitGood || !strings.Contains(after.stderr(), " died: removing what it left") {
		w.t.Errorf("the next run: exit status %d, want 0 and a word of what died", got)
	}
	w.checkClean()
	if got := w.start("last", "", c.args(w)...).wait(); got != exitGood { // and takes the lock over
		w.t.Errorf("the same command: exit status %d, want 0", got)
	}
	w.checkClean()
	w.checkState()
}

// TestCrashHooksSweep kills them before each system call that changes names.
// The next call of the same command does what it should and leaves nothing; a
// pod's hook is always one that can run, also while the same is installed again.
func TestCrashHooksSweep(t *testing.T) {
	pods := hookPods(t)
	for name, c := range map[string]struct {
		args func(*world) []string
		next map[string]string // archive that comes after another
	}{
		"run":           {hooksRun, nil},
		"install":       {hooksInstall, map[string]string{"small": "old", "old": "small"}},
		"install again": {hooksInstall, nil},
	} {
		t.Run(name+"/KILL", func(t *testing.T) {
			t.Parallel()
			w := newHookWorld(t, pods)
			w.bin = testparts.Shipped(t) // as in a sweep
			w.archive = "old"
			n, sent := 1, true
			for ; sent; n++ {
				w.archive = cmp.Or(c.next[w.archive], w.archive)
				w.writePod()
				sent = w.killHooks(n, c.args(w))
				if t.Failed() {
					t.Fatalf("the command was killed before call %d", n)
				}
			}
			if n < 10 {
				t.Errorf("the command makes only %d calls", n)
			}
		})
	}
}

// killHooks kills a command before its nth call, and lets the next one finish.
func (w *world) killHooks(n int, args []string) (sent bool) {
	w.t.Helper()
	child := w.prepare("first", "", args...)
	status, sent := (&tracer{n: n, signal: syscall.SIGKILL}).run(w.t, child.cmd)
	child.closeOut()
	if sent != (status == exitSignal+int(syscall.SIGKILL)) || !sent && status != exitGood {
		w.t.Errorf("exit status %d of a command that was killed: %v", status, sent)
	}
	w.checkPod()
	w.age()
	if got := w.start("next", "", args...).wait(); got != exitGood {
		w.t.Errorf("the next command: exit status %d, want 0", got)
	}
	w.checkPod()
	w.checkClean()
	w.checkState()
	for _, pattern := range []string{
		"root/pods/*/*/.*", "root/pods/*/*/*/.*", "root/pods/*/*/*/installs/.*", "root/exec/*/.*",
	} {
		if left, _ := filepath.Glob(w.path(pattern)); len(left) > 0 {
			w.t.Errorf("left behind: %q", left)
		}
	}
	return sent
}

// checkPod checks that the pod's hook, once it is there, can run.
func (w *world) checkPod() {
	w.t.Helper()
	link := w.path("root/exec/after_install/users_users_launch")
	if _, err := os.Lstat(link); err != nil {
		return
	}
	if info, err := os.Stat(link); err != nil || info.Mode()&0o111 == 0 {
		w.t.Errorf("the hook can't run: %v", err)
	}
}

func hooksRun(w *world) []string { return []string{"hooks", "run", "named", w.url + "/run.yml"} }

func hooksInstall(w *world) []string {
	return []string{"hooks", "install", "--event", "after_install", "--hooks-root", w.path("root"), w.url + "/pod.yml"}
}

// hookPods are the archives of a hook pod.
func hookPods(t *testing.T) map[string][]byte {
	pod := func(version string, files int) []byte {
		all := map[string]string{"a": version, "bin/launch": "#!/bin/sh\n"}
		for i := range files {
			all[fmt.Sprintf("many/%05d", i)] = "x"
		}
		return gzipped(t, all)
	}
	return map[string][]byte{"small": pod("2\n", 0), "old": pod("1\n", 0), "many": pod("3\n", manyFiles)}
}

// newHookWorld is a world that serves hook pods, and a deployment that has
// nothing to do with them.
func newHookWorld(t *testing.T, pods map[string][]byte) *world {
	t.Helper()
	w := newWorld(t, crash{strategy: strategyNative}, pods)
	w.write("www/other.yml", "commands: {pre: [\"true\"]}\n")
	return w
}

// writePod writes the manifests of the pod and of its hooks, and the archive.
func (w *world) writePod() {
	w.t.Helper()
	data := w.archives[w.archive]
	w.write("www/app.tar.gz", string(data))
	pod := fmt.Sprintf("name: users\nsrc: %s/app.tar.gz\nchecksum: sha256:%x\n", w.url, sha256.Sum256(data))
	w.write("www/pod.yml", pod)
	w.write("www/run.yml", pod+fmt.Sprintf("dest: %s\nhooks:\n  named: [{run: %q}]\n",
		w.path("srv/app"), w.faulty("hook")))
}
