package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// times is how often each attack is made.
const times = 20

// attack is what the stranger does in top/home, which is his, while root works
// there. top/victim is root's.
type attack struct {
	// prepare fills top/home, as root, while the stranger is stopped.
	prepare func(t *testing.T, top string)
	// strike is made over and over by the stranger. It tells whether it could
	// be.
	strike func(top string) bool
	// work is what root does meanwhile. It fails the test when the stranger has
	// led it elsewhere.
	work func(t *testing.T, top string)
}

func attacks() map[string]attack {
	return map[string]attack{
		"RemoveAll, directory to link": {plantTree, func(top string) bool {
			return swap(top+"/home/tree/p", top+"/victim")
		}, removeTree},
		"RemoveAll, deep directory to link": {plantTree, func(top string) bool {
			return swap(top+"/home/tree/p/d1", top+"/victim/d1")
		}, removeTree},
		"RemoveAll, top to link": {plantTree, func(top string) bool {
			return swap(top+"/home/tree", top+"/victim")
		}, removeTree},
		"RemoveAll, directory moved away": {plantTree, func(top string) bool {
			if os.Rename(top+"/home/tree/p", top+"/home/q") != nil {
				return false
			}
			return os.Rename(top+"/home/q", top+"/home/tree/p") == nil
		}, removeTree},
		"Open, directory to link": {plantPath, func(top string) bool {
			return swap(top+"/home/a", top+"/victim")
		}, openPath},
		"Open, last to link": {plantPath, func(top string) bool {
			return swap(top+"/home/a/d1", top+"/victim/d1")
		}, openPath},
		"Open, link in the link": {func(t *testing.T, top string) {
			plantPath(t, top)
			must(t, os.Symlink("home/a", top+"/way")) // root's, through what is his
		}, func(top string) bool { return swap(top+"/home/a", top+"/victim") }, func(t *testing.T, top string) {
			opens(t, top, top+"/way/d1")
			must(t, os.Remove(top+"/way"))
		}},
		"Make, new directory to link": {plantPath, func(top string) bool {
			return swap(top+"/home/new", top+"/victim")
		}, makeNew},
		"Make, new directory to root's": {func(t *testing.T, top string) {
			plantPath(t, top)
			must(t, os.MkdirAll(top+"/home/trap/kept", 0o700))
		}, func(top string) bool {
			if os.Rename(top+"/home/new", top+"/home/old") != nil {
				return false
			}
			_ = os.Rename(top+"/home/trap", top+"/home/new")
			time.Sleep(50 * time.Microsecond)
			_ = os.Rename(top+"/home/new", top+"/home/trap")
			return os.Rename(top+"/home/old", top+"/home/new") == nil
		}, makeNew},
		"Private, candidate to link": {plantPath, func(top string) bool {
			return swap(top+"/home/a", top+"/victim")
		}, choosePlace},
		"OpenRegular, file to link": {plantPath, func(top string) bool {
			return swap(top+"/home/log", top+"/victim/d1/kept")
		}, appendLog},
		"OpenRegular, file to FIFO": {plantPath, func(top string) bool {
			_ = os.Remove(top + "/home/log")
			return unix.Mkfifo(top+"/home/log", 0o666) == nil
		}, appendLog},
		"Sweep, root's directory by our name": {func(t *testing.T, top string) {
			plantPath(t, top)
			must(t, os.MkdirAll(top+"/home/trap/kept", 0o700))
			old := time.Now().Add(-time.Hour)
			must(t, os.Chtimes(top+"/home/trap", old, old))
		}, func(top string) bool {
			if os.Rename(top+"/home/trap", top+"/home/.temp-1") != nil {
				return false
			}
			time.Sleep(50 * time.Microsecond)
			return os.Rename(top+"/home/.temp-1", top+"/home/trap") == nil
		}, sweepHome},
	}
}

// swap puts a symlink in the place of a path for a moment.
func swap(path, target string) bool {
	if os.Rename(path, path+".x") != nil {
		return false // it is not there now
	}
	err := os.Symlink(target, path)
	time.Sleep(rand.N(500 * time.Microsecond))
	_ = os.Remove(path)
	_ = os.Rename(path+".x", path)
	return err == nil
}

// plantTree makes a tree with directories of the victim's names, large enough
// to be worked on for a while.
func plantTree(t *testing.T, top string) {
	t.Helper()
	for i := range 8 {
		dir := fmt.Sprintf("%s/home/tree/p/d%d", top, i)
		must(t, os.MkdirAll(dir, 0o755))
		for k := range 50 {
			must(t, os.WriteFile(fmt.Sprintf("%s/f%d", dir, k), nil, 0o644))
		}
	}
	give(t, top+"/home")
}

// plantPath makes what is opened.
func plantPath(t *testing.T, top string) {
	t.Helper()
	must(t, os.MkdirAll(top+"/home/a/d1", 0o755))
	must(t, os.WriteFile(top+"/home/log", nil, 0o666))
	give(t, top+"/home")
}

// give makes the stranger the owner of a tree.
func give(t *testing.T, dir string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, stranger, stranger))
	}))
}

func removeTree(t *testing.T, top string) {
	t.Helper()
	root := rootAt(t, top+"/home")
	_ = RemoveAll(root, "tree") // it may fail, but remove nothing else
}

func openPath(t *testing.T, top string) {
	t.Helper()
	opens(t, top, top+"/home/a/d1")
}

// opens opens a path and a dest often. Neither may be the victim's.
func opens(t *testing.T, top, path string) {
	t.Helper()
	for range 100 {
		if d, err := Open(path); err == nil {
			notVictim(t, top, d)
			_ = d.Close()
		}
		d, err := OpenDest(path)
		if err != nil {
			continue
		}
		notVictim(t, top, d.Parent)
		if d.Dir != nil {
			notVictim(t, top, d.Dir)
		}
		_ = d.Close()
	}
}

// notVictim fails when a directory that was opened, or its root, is the
// victim's.
func notVictim(t *testing.T, top string, d *Dir) {
	t.Helper()
	for _, name := range []string{"", "d1"} {
		victim, err := os.Stat(filepath.Join(top, "victim", name))
		must(t, err)
		byFile, err := d.File().Stat()
		must(t, err)
		byRoot, err := d.Root().Stat(".")
		must(t, err)
		if os.SameFile(victim, byFile) || os.SameFile(victim, byRoot) {
			t.Errorf("%q is the victim's", d.Path())
		}
	}
}

func makeNew(t *testing.T, top string) {
	t.Helper()
	home := dirAt(t, top+"/home")
	for range 50 {
		d, err := home.Make("new", 0o700)
		if err == nil {
			notVictim(t, top, d)
			if _, err := d.Root().Stat("kept"); err == nil {
				t.Error("what was made is another directory of root's")
			}
			must(t, d.File().Chmod(0o755))
			_ = d.Close()
		}
		for _, name := range []string{"new", "new.x", "old"} {
			_ = RemoveAll(home.Root(), name)
		}
	}
}

func choosePlace(t *testing.T, top string) {
	t.Helper()
	for range 100 {
		d, err := Private(Wanted{What: "test", Size: -1, Candidates: []string{top + "/home/a/d1", top + "/home/a", top}})
		must(t, err)
		notVictim(t, top, d)
		if d.Path() != top {
			t.Errorf("the place is %q", d.Path())
		}
		_ = d.Close()
	}
}

func appendLog(t *testing.T, top string) {
	t.Helper()
	for range 200 {
		f, err := OpenRegular(top+"/home/log", os.O_WRONLY|os.O_CREATE|os.O_APPEND|os.O_TRUNC, 0o600)
		if err == nil {
			_, err = f.WriteString("line\n")
			must(t, err)
			_ = f.Close()
		}
	}
}

func sweepHome(t *testing.T, top string) {
	t.Helper()
	home := rootAt(t, top+"/home")
	trap, err := home.OpenRoot("trap")
	if err != nil {
		return // he has renamed it just now
	}
	defer trap.Close()
	for range 20 {
		Sweep(dirAt(t, top+"/home"), tempName.MatchString)
	}
	if _, err := trap.Stat("kept"); err != nil {
		t.Error("root's directory was swept away")
	}
}

// TestAttacker is the process that TestAttack runs as the stranger.
func TestAttacker(t *testing.T) {
	top, name, _ := strings.Cut(os.Getenv("STRETCHER_TEST_ATTACK"), "\n")
	if top == "" {
		t.Skip("runs as the child of TestAttack")
	}
	for strike := attacks()[name].strike; ; {
		if strike(top) {
			_, err := os.Stdout.WriteString("x")
			must(t, err)
		}
	}
}

// TestAttack works in a directory of another user's while he moves things
// about in it: nothing of root's changes, is opened or is removed.
func TestAttack(t *testing.T) {
	asRoot(t)
	self, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	bin := filepath.Join(tempDir(t), "disk.test")
	must(t, os.WriteFile(bin, self, 0o755))
	for name, a := range attacks() {
		t.Run(name, func(t *testing.T) {
			top := tempDir(t)
			must(t, os.MkdirAll(top+"/victim/d1", 0o755))
			must(t, os.WriteFile(top+"/victim/d1/kept", []byte("text"), 0o600))
			must(t, os.Mkdir(top+"/home", 0o755))
			enemy := attacker(t, bin, top, name)
			for done := 0; done < times; {
				enemy.stop(t)
				emptied(t, top+"/home")
				a.prepare(t, top)
				before := enemy.strikes.Load()
				enemy.signal(t, syscall.SIGCONT)
				a.work(t, top)
				if enemy.strikes.Load() > before { // else it was over before he came
					done++
				}
				unharmed(t, top)
			}
			t.Logf("%d attacks", enemy.strikes.Load())
		})
	}
}

// enemy is the stranger at work.
type enemy struct {
	cmd     *exec.Cmd
	strikes atomic.Int64
}

// attacker runs the stranger until the test ends.
func attacker(t *testing.T, bin, top, name string) *enemy {
	t.Helper()
	e := &enemy{cmd: exec.Command(bin, "-test.run", "^TestAttacker$")}
	e.cmd.Dir, e.cmd.Env = "/", append(os.Environ(), "STRETCHER_TEST_ATTACK="+top+"\n"+name)
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger}}
	out, err := e.cmd.StdoutPipe()
	must(t, err)
	must(t, e.cmd.Start())
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for n, err := 0, error(nil); err == nil; e.strikes.Add(int64(n)) {
			n, err = out.Read(buf)
		}
	}()
	t.Cleanup(func() {
		_ = e.cmd.Process.Kill()
		<-done
		_ = e.cmd.Wait()
	})
	return e
}

func (e *enemy) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	must(t, e.cmd.Process.Signal(s))
}

// stop returns when the stranger does nothing any more.
func (e *enemy) stop(t *testing.T) {
	t.Helper()
	e.signal(t, syscall.SIGSTOP)
	for range 60_000 {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", e.cmd.Process.Pid))
		must(t, err)
		if _, state, _ := strings.Cut(string(stat), ") "); strings.HasPrefix(state, "T") {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("the attacker does not stop")
}

// emptied removes what is in a directory.
func emptied(t *testing.T, dir string) {
	t.Helper()
	names, err := os.ReadDir(dir)
	must(t, err)
	for _, n := range names {
		must(t, os.RemoveAll(filepath.Join(dir, n.Name())))
	}
}

// unharmed fails unless the victim is as it was.
func unharmed(t *testing.T, top string) {
	t.Helper()
	info, err := os.Stat(top + "/victim/d1/kept")
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("what is root's has changed: %v, %v", info, err)
	}
	if text, err := os.ReadFile(top + "/victim/d1/kept"); err != nil || string(text) != "text" {
		t.Fatalf("what is root's holds %q, %v", text, err)
	}
	for name, want := range map[string]int{"victim": 1, "victim/d1": 1} {
		names, err := os.ReadDir(filepath.Join(top, name))
		if err != nil || len(names) != want {
			t.Fatalf("in %q there are %v, %v", name, names, err)
		}
		info, err := os.Stat(filepath.Join(top, name))
		if err != nil || info.Mode().Perm() != 0o755 {
			t.Fatalf("%q is %v, %v", name, info.Mode(), err)
		}
	}
}
