package p2

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	// stranger is another user. He has no account.
	stranger = 47001
	// rounds is how often each attack is made.
	rounds = 20
)

// targets are what the stranger puts a symlink in the place of.
func targets() []string {
	return []string{
		"exec", "exec/before_install", "pods", "pods/before_install", "pods/before_install/a", "pods/before_install/a/x",
		"pods/before_install/a/x/installs",
	}
}

// TestInstallAttacker is the process that TestInstallAttack runs as the
// stranger.
func TestInstallAttacker(t *testing.T) {
	top, name, _ := strings.Cut(os.Getenv("STRETCHER_TEST_ATTACK"), "\n")
	if top == "" {
		t.Skip("runs as the child of TestInstallAttack")
	}
	path, victim := filepath.Join(top, "root", name), filepath.Join(top, "victim", name)
	for {
		if os.Rename(path, path+".x") != nil {
			continue // it is not there now
		}
		_ = os.Symlink(victim, path)
		time.Sleep(rand.N(500 * time.Microsecond))
		_ = os.Remove(path)
		_ = os.Rename(path+".x", path)
		_, err := os.Stdout.WriteString("x")
		must(t, err)
	}
}

// TestInstallAttack installs pods as root below a directory of another user's,
// who puts symlinks to a directory of root's in the place of what is there: in
// that nothing changes.
func TestInstallAttack(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	for _, name := range targets() {
		t.Run(name, func(t *testing.T) {
			top := passable(t)
			victim, root := filepath.Join(top, "victim"), filepath.Join(top, "root")
			must(t, os.Mkdir(filepath.Join(top, "work"), 0o700))
			must(t, os.Mkdir(victim, 0o755))
			_, err := Install(bundle(t, victim, "a", "kept", map[string]string{"x/bin/launch": launch, "y/bin/launch": launch}))
			must(t, err)
			before := tree(t, victim)
			strikes := strike(t, top, name)
			for try, round := 0, 0; round < rounds; {
				plant(t, top, try)
				then := strikes.Load()
				for n := range 6 {
					install(t, top, "root", fmt.Sprintf("v%d", n%3))
				}
				must(t, os.Rename(root, filepath.Join(top, fmt.Sprintf("past%d", try))))
				try++
				if strikes.Load() > then {
					round++
				}
				if after := tree(t, victim); !slices.Equal(before, after) {
					t.Fatalf("what is root's has changed:\n%s", strings.Join(after, "\n"))
				}
			}
			t.Logf("%d attacks", strikes.Load())
		})
	}
}

// passable is a temporary directory that all may pass.
func passable(t *testing.T) string {
	t.Helper()
	top, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	for _, dir := range []string{filepath.Dir(top), top} {
		must(t, os.Chmod(dir, 0o755))
	}
	return top
}

// plant makes top/root, which holds a pod and is the stranger's.
func plant(t *testing.T, top string, try int) {
	t.Helper()
	name := fmt.Sprintf("next%d", try)
	dir := filepath.Join(top, name)
	must(t, os.Mkdir(dir, 0o755))
	install(t, top, name, "v0")
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, stranger, stranger))
	}))
	must(t, os.Rename(dir, filepath.Join(top, "root")))
}

// install installs a version of a pod below a directory, as far as the stranger
// lets it.
func install(t *testing.T, top, name, version string) {
	t.Helper()
	work, err := os.MkdirTemp(filepath.Join(top, "work"), "")
	must(t, err)
	defer os.RemoveAll(work) //nolint:errcheck // the test removes the rest
	write(t, filepath.Join(work, "tree"), map[string]string{"x/bin/launch": launch})
	root, dir := dirAt(t, filepath.Join(top, name)), dirAt(t, work)
	defer root.Close()
	defer dir.Close()
	_, _ = Install(Bundle{
		Root: root, Event: "before_install", Pod: "a", Version: version, Work: dir, Tree: "tree",
	})
}

// strike runs the stranger until the test ends, and counts what he does.
func strike(t *testing.T, top, name string) *atomic.Int64 {
	t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	bin := filepath.Join(top, "p2.test")
	must(t, os.WriteFile(bin, self, 0o755))
	cmd := exec.Command(bin, "-test.run", "^TestInstallAttacker$")
	cmd.Dir, cmd.Env = "/", append(os.Environ(), "STRETCHER_TEST_ATTACK="+top+"\n"+name)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger}}
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	var strikes atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for n, err := 0, error(nil); err == nil; strikes.Add(int64(n)) {
			n, err = out.Read(buf)
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		_ = cmd.Wait()
	})
	return &strikes
}

// TestInstallOwns: a pod is whose it is installed by, whoever has packed it.
func TestInstallOwns(t *testing.T) {
	top := passable(t)
	must(t, os.MkdirAll(filepath.Join(top, "root"), 0o755))
	must(t, os.MkdirAll(filepath.Join(top, "work"), 0o700))
	work := filepath.Join(top, "work")
	write(t, filepath.Join(work, "tree"), map[string]string{
		"x/bin/launch/run": "#!/bin/sh\n", "x/bin/launch/linked": "-> run", "x/lib/helper": "text",
		"x/dangling": "-> nowhere", "x/lib/\xff\n/helper": "text",
	})
	must(t, filepath.WalkDir(filepath.Join(work, "tree"), func(path string, d fs.DirEntry, err error) error {
		if os.Geteuid() == 0 {
			err = errors.Join(err, os.Lchown(path, stranger, stranger))
		}
		if d.Type()&fs.ModeSymlink == 0 {
			err = errors.Join(err, os.Chmod(path, 0o777|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky))
		}
		return err
	}))
	root, dir := dirAt(t, filepath.Join(top, "root")), dirAt(t, work)
	defer root.Close()
	defer dir.Close()
	_, err := Install(Bundle{Root: root, Event: "before_install", Pod: "a", Version: "v1", Work: dir, Tree: "tree"})
	must(t, err)
	seen := 0
	must(t, filepath.WalkDir(root.Path(), func(path string, d fs.DirEntry, err error) error {
		must(t, err)
		info, err := d.Info()
		must(t, err)
		seen++
		uid := int(info.Sys().(*syscall.Stat_t).Uid)
		if uid != os.Geteuid() || d.Type()&fs.ModeSymlink == 0 && info.Mode()&^fs.ModeDir&^0o755 != 0 {
			t.Errorf("%s: uid %d, %s", path, uid, info.Mode())
		}
		return nil
	}))
	if seen < 10 {
		t.Errorf("%d paths", seen)
	}
}

// TestInstallNeverDangles installs one pod again and again while somebody looks
// at its links: each is there and leads to a script, always.
func TestInstallNeverDangles(t *testing.T) {
	for name, exchange := range map[string]func(*os.Root, string, *os.Root, string) error{
		"in one step":              nil,
		"a file system that can't": func(*os.Root, string, *os.Root, string) error { return syscall.EINVAL },
	} {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			for _, dir := range []string{"root", "work"} {
				must(t, os.Mkdir(filepath.Join(top, dir), 0o700))
			}
			again := func(version string, scripts ...string) {
				b := Bundle{Root: dirAt(t, filepath.Join(top, "root")), Event: "before_install", Pod: "a", Version: version,
					Tree: "tree", testExchange: exchange}
				work, err := os.MkdirTemp(filepath.Join(top, "work"), "")
				must(t, err)
				files := map[string]string{}
				for _, script := range scripts {
					files["x/bin/launch/"+script] = launch
				}
				write(t, filepath.Join(work, "tree"), files)
				b.Work = dirAt(t, work)
				_, err = Install(b)
				must(t, err)
			}
			again("v0", "run")
			link := filepath.Join(top, "root/exec/before_install/a_x_run")
			var looks, gone, installs atomic.Int64
			done, looked := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(looked)
				for {
					select {
					case <-done:
						return
					default:
					}
					// A look may be on its way in what an install has just removed. The next one may be so as
					// well, when another install has begun meanwhile.
					for n := 0; ; n++ {
						before := installs.Load()
						if isThere(link) {
							break
						}
						if n > 0 && installs.Load() == before {
							gone.Add(1)
							break
						}
					}
					looks.Add(1)
				}
			}()
			for n := range 60 {
				again(fmt.Sprintf("v%d", n/20%2), "run", fmt.Sprintf("other%d", n%3))
				installs.Add(1)
			}
			close(done)
			<-looked
			if gone.Load() > 0 || looks.Load() == 0 {
				t.Errorf("%d of %d looks found nothing", gone.Load(), looks.Load())
			}
			found, err := os.ReadDir(filepath.Join(top, "root/pods/before_install/a/x/installs"))
			if err != nil || len(found) != 1 {
				t.Errorf("versions %v, %v", found, err)
			}
			list, err := Hooks(Options{Dirs: []string{filepath.Join(top, "root/exec")}}, "pre_fetch")
			if err != nil || len(list) != 2 {
				t.Errorf("hooks %v, %v", list, err)
			}
		})
	}
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
