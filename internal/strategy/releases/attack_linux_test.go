package releases

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/strategy"
	"stretcher/internal/testparts/again"
)

const (
	attacker = 47001 // a uid that owns nothing else
	rounds   = 20
)

// attacks are what another user may do while root deploys to top/home/dest.
// That user owns home, dest and what is deployed; top/victim is root's. They
// tell how often it could be done.
var attacks = map[string]func(top string) int{
	"dest linked":     func(top string) int { return swap(top+"/home/dest", link(top+"/victim")) },
	"dest a FIFO":     func(top string) int { return swap(top+"/home/dest", fifo) },
	"releases linked": func(top string) int { return swap(top+"/home/dest/releases", link(top+"/victim")) },
	"releases a FIFO": func(top string) int { return swap(top+"/home/dest/releases", fifo) },
	"releases of his own": func(top string) int {
		return swap(top+"/home/dest/releases", func(path string) error { return ownReleases(path, top+"/victim") })
	},
	"shared linked": func(top string) int {
		return swap(top+"/home/dest/shared", link(top+"/victim")) + swap(top+"/home/dest/shared/log", link(top+"/victim/dir"))
	},
	"shared a FIFO": func(top string) int {
		return swap(top+"/home/dest/shared", fifo) + swap(top+"/home/dest/shared/log", fifo)
	},
	"copies to shared swapped": func(top string) (n int) {
		for _, temp := range glob(top + "/home/dest/shared/.shared-*") {
			n += swap(temp, link("../victim/dir")) + swap(temp+"/sub", link(top+"/victim/dir")) + swap(temp+"/a", fifo)
		}
		return n + swap(top+"/home/dest/shared/log", link(top+"/victim/dir"))
	},
	"current swapped": func(top string) (n int) {
		for i := range 5 {
			n += put1(top+"/home/dest/"+newCurrent+id(i), link(top+"/victim/secret"))
		}
		return n + swap(top+"/home/dest/current", fifo) + swap(top+"/home/dest/current", link(top+"/victim"))
	},
	"directories of releases linked": func(top string) (n int) {
		for _, dir := range glob(top + "/home/dest/releases/*/p") {
			n += swap(dir, link(top+"/victim"))
		}
		return n
	},
	"parts of releases swapped": func(top string) (n int) {
		for _, dir := range glob(top + "/home/dest/releases/*/p") {
			n += swap(dir+"/dir", link(top+"/victim/dir")) + swap(dir+"/secret", fifo) + swap(dir+"/dir", fifo)
		}
		return n
	},
}

func link(to string) func(string) error {
	return func(path string) error { return os.Symlink(to, path) }
}

func fifo(path string) error { return unix.Mkfifo(path, 0o666) }

// ownReleases is a directory of releases in which all names that a run may
// use lead to what is the victim's, or to a FIFO.
func ownReleases(path, victim string) error {
	err := os.Mkdir(path, 0o755)
	for i := range 5 {
		err = errors.Join(err,
			os.Symlink(victim+"/secret", filepath.Join(path, newMark+id(i))), fifo(filepath.Join(path, id(i)+markSuffix)),
			os.Symlink(victim, filepath.Join(path, pruned+id(i))), os.Symlink(victim, filepath.Join(path, id(i))))
	}
	return err
}

func glob(pattern string) []string {
	found, _ := filepath.Glob(pattern)
	return found
}

// swap puts something else in the place of a path for a moment.
func swap(path string, other func(string) error) int {
	away := filepath.Dir(path) + "/x" + filepath.Base(path)
	if os.Rename(path, away) != nil {
		return 0 // it is not there now
	}
	n := put1(path, other)
	_ = os.Rename(away, path)
	return n
}

// put1 puts something at a path for a moment.
func put1(path string, what func(string) error) int {
	if what(path) != nil {
		return 0
	}
	time.Sleep(50 * time.Microsecond)
	_ = os.RemoveAll(path)
	return 1
}

// attackForever is the attacker's process: one attack until it is killed. It
// says how often it could be done.
func attackForever(args []string) error {
	fmt.Println("ready")
	for n := 0; ; {
		if done := attacks[args[1]](args[0]); done > 0 {
			n += done
			fmt.Println(n)
		}
	}
}

// TestAttack deploys, goes back and removes releases while another user moves
// things about. What is root's stays as it is, and nothing hangs. A deployment
// may fail.
func TestAttack(t *testing.T) {
	if os.Getuid() != 0 || testing.Short() {
		t.Skip("takes root")
	}
	self, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	for name := range attacks {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			must(t, os.Chmod(filepath.Dir(top), 0o755))
			must(t, os.Chmod(top, 0o755))
			must(t, os.WriteFile(top+"/attacker", self, 0o755))
			attacked, well := 0, 0
			for range rounds {
				a := newAttack(t, top)
				stop := a.start(name)
				well += a.deployments()
				attacked += stop()
				a.check()
			}
			t.Logf("%d of %d deployments ended well, %d attacks", well, 4*rounds, attacked)
			if attacked < rounds {
				t.Error("hardly anybody attacked")
			}
		})
	}
}

// attack is one round.
type attack struct {
	*runs
	top    string
	before string
}

func newAttack(t *testing.T, top string) *attack {
	t.Helper()
	for _, dir := range []string{"home", "victim", "private"} {
		_ = unix.Unmount(top+"/home/dest/shared", unix.MNT_DETACH)
		must(t, os.RemoveAll(filepath.Join(top, dir)))
	}
	for dir, mode := range map[string]fs.FileMode{
		"/home": 0o755, "/home/dest": 0o755, "/private": 0o700, "/victim": 0o755, "/victim/dir": 0o700,
	} {
		must(t, os.MkdirAll(top+dir, 0o755))
		must(t, os.Chmod(top+dir, mode))
	}
	for _, name := range []string{"secret", "dir/secret", "dir/a", "dir/sub/f", "f0", "f1"} {
		put(t, top+"/victim/"+name, "precious")
		must(t, os.Chmod(top+"/victim/"+name, 0o600))
	}
	must(t, errors.Join(os.Chown(top+"/home", attacker, attacker), os.Chown(top+"/home/dest", attacker, attacker)))
	work, err := disk.Open(top + "/private")
	must(t, err)
	t.Cleanup(func() { _ = work.Close() })
	a := &attack{runs: &runs{t: t, dest: top + "/home/dest", work: work}, top: top}
	a.before = a.victim()
	return a
}

// start starts the attacker. stop tells how often it attacked.
func (a *attack) start(name string) (stop func() int) {
	a.t.Helper()
	if name == "copies to shared swapped" {
		must(a.t, os.Mkdir(a.dest+"/shared", 0o755))
		mountTmp(a.t, a.dest+"/shared", "size=16m")
		must(a.t, os.Chown(a.dest+"/shared", attacker, attacker))
	}
	cmd := again.Command(a.top, name)
	cmd.Path = a.top + "/attacker"
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: attacker, Gid: attacker},
		Pdeathsig:  syscall.SIGKILL, // a test that panics leaves nobody behind
	}
	out, err := cmd.StdoutPipe()
	must(a.t, err)
	must(a.t, cmd.Start())
	lines, count := bufio.NewScanner(out), make(chan int)
	lines.Scan() // it is ready
	go func() {
		last := 0
		for lines.Scan() {
			last, _ = strconv.Atoi(lines.Text())
		}
		count <- last
	}()
	return func() int {
		_ = cmd.Process.Kill()
		n := <-count
		_ = cmd.Wait()
		return n
	}
}

// deployments are what root does meanwhile. It returns how many went well.
func (a *attack) deployments() (well int) {
	a.t.Helper()
	for i, one := range []func() error{
		func() error { return a.one(1, "", true) },
		func() error { return a.one(2, "", true) },
		func() error { return a.one(3, "", false) },
		func() error { return a.one(4, id(2), true) },
	} {
		done := make(chan error, 1)
		go func() { done <- one() }()
		select {
		case err := <-done:
			if err == nil {
				well++
			}
		case <-time.After(time.Minute):
			a.t.Fatalf("deployment %d hangs", i+1)
		}
	}
	return well
}

// one is the n-th run, which goes back to a release, or deploys; it goes well,
// or fails after the switch.
func (a *attack) one(n int, back string, good bool) error {
	dest, err := disk.OpenDest(a.dest)
	if err != nil {
		return err
	}
	defer dest.Close()
	ctx := context.Background()
	d := newDeployment(strategy.Target{
		Run: id(n), Dest: dest,
		Source: strategy.Source{Origin: func() string { return "test" }},
		Tools:  strategy.Tools{Log: &a.log, Place: a},
		Options: strategy.Options{
			Releases: strategy.ReleasesOptions{Keep: 1, Shared: []string{"log", "q/r/"}, Link: string(Hard), Back: back},
		},
	})
	defer d.dir.Close()
	d.dir.opts.Sync = false
	if err := errors.Join(d.CheckLayout(), d.Check()); err != nil {
		return err
	}
	staged, err := d.Stage(ctx, archive.FileInput(a.tree(n), false))
	if err == nil {
		err = errors.Join(d.Sync(ctx, &staged), staged.Close())
	}
	if err != nil || !good {
		_, rerr := d.Revert(ctx, "it failed")
		_, perr := d.Prune(ctx)
		return errors.Join(err, rerr, perr)
	}
	err = d.Accept(ctx)
	_, perr := d.Prune(ctx)
	return errors.Join(err, perr)
}

// tree is an archive whose files belong to the attacker.
func (a *attack) tree(n int) *os.File {
	names := []string{"p/secret", "p/dir/secret", "log/a", "log/sub/f"}
	for i := range 100 {
		names = append(names, fmt.Sprintf("p/f%d", i), fmt.Sprintf("p/dir/f%d", i))
	}
	return a.archiveOf(attacker, func(name string) string { return strings.Repeat(name, 1+n%2) }, names...)
}

// check checks that nothing of root's has changed.
func (a *attack) check() {
	a.t.Helper()
	if after := a.victim(); after != a.before {
		a.t.Fatalf("what is root's was\n%s\nand is\n%s", a.before, after)
	}
}

// victim is all that is root's.
func (a *attack) victim() string {
	a.t.Helper()
	var all strings.Builder
	must(a.t, filepath.WalkDir(a.top+"/victim", func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		fmt.Fprint(&all, path, info.Mode(), st.Uid, st.Gid, st.Nlink, info.ModTime())
		if e.Type().IsRegular() {
			text, err := os.ReadFile(path)
			fmt.Fprint(&all, string(text), err)
		}
		fmt.Fprintln(&all)
		return nil
	}))
	return all.String()
}
