package mirror

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	attacker = 47001 // a uid that owns nothing else
	rounds   = 20
)

// attacks are what the owner of a directory may do in it while dest is made
// equal to a tree: top/home is the directory, top/home/dest is dest,
// top/victim is root's. They tell how often it could be done.
var attacks = map[string]func(top string) int{
	// dest becomes a link to what is root's, and again a directory.
	"dest swapped": func(top string) int { return swap(top+"/home/dest", top+"/victim") },
	// dest appears where it was missing.
	"dest appears": func(top string) int {
		if os.Symlink(top+"/victim", top+"/home/dest") != nil || os.Remove(top+"/home/dest") != nil {
			return 0
		}
		return 1
	},
	// What is copied to a missing dest, from another file system, is swapped.
	"copy swapped": func(top string) int { return swap(top+"/home/.mirror.tmp", top+"/victim") },
	// Directories in dest become links, and again directories.
	"directories swapped": func(top string) (n int) {
		for i := range dirs {
			n += swap(fmt.Sprintf("%s/home/dest/d%d", top, i), top+"/victim")
		}
		return n
	},
	// Files in dest become links, and again files.
	"files swapped": func(top string) (n int) {
		for i := range dirs {
			n += swap(fmt.Sprintf("%s/home/dest/d%d/owner", top, i), top+"/victim/file")
		}
		return n
	},
	// What is copied into a mount point in dest becomes the attacker's own
	// program before it gets owner and mode.
	"copied file swapped": func(top string) int {
		temp := top + "/home/dest/d0/.mirror.tmp"
		if os.Rename(temp, temp+".x") != nil {
			return 0 // not there now
		}
		_ = os.WriteFile(temp, []byte("evil"), 0o755)
		_ = os.Remove(temp + ".x")
		return 1
	},
}

// swap puts a link in the place of a path for a moment.
func swap(path, target string) int {
	if os.Rename(path, path+".x") != nil {
		return 0 // it is not there now
	}
	err := os.Symlink(target, path)
	time.Sleep(50 * time.Microsecond)
	_ = os.Remove(path)
	_ = os.Rename(path+".x", path)
	if err != nil {
		return 0
	}
	return 1
}

// TestAttacker is the process that TestAttack runs as the attacker.
func TestAttacker(t *testing.T) {
	top, name, _ := strings.Cut(os.Getenv("STRETCHER_TEST_ATTACK"), "\n")
	if top == "" {
		t.Skip("runs as the child of TestAttack")
	}
	_, err := os.Stdout.WriteString("ready\n")
	check(t, err)
	for n := 0; ; {
		if done := attacks[name](top); done > 0 {
			n += done
			check(t, os.WriteFile("count", []byte(strconv.Itoa(n)), 0o644))
		}
	}
}

const dirs = 20

// attackTree is a tree of root's with setuid programs, version 0 or 1. The
// files called "owner" change in their owner alone.
func attackTree(version int) []node {
	tree := []node{{mode: fs.ModeDir | 0o755, mtime: 1e18}}
	add := func(path string, mode fs.FileMode, owner, v int) {
		n := node{path: path, mode: mode, uid: owner, gid: owner, mtime: 1e18 + int64(v)*1e9}
		if mode.IsRegular() {
			n.data = strings.Repeat("x", 100)
		}
		tree = append(tree, n)
	}
	for i := range dirs {
		dir := fmt.Sprintf("d%d", i)
		add(dir, fs.ModeDir|0o755, attacker, 0)
		add(dir+"/file", 0o644, 0, version)
		add(dir+"/owner", 0o644, attacker+version, 0)
		add(dir+"/program", fs.ModeSetuid|0o755, 0, version)
		if version == 0 {
			add(dir+"/passwd", 0o644, 0, 0)
			add(dir+"/sub", fs.ModeDir|0o755, 0, 0)
			add(dir+"/sub/x", 0o644, 0, 0)
		}
	}
	for i := range 300 * version {
		add(fmt.Sprintf("d0/program-%d", i), fs.ModeSetuid|0o755, 0, 0)
	}
	return tree
}

// TestAttack makes dest equal to a tree while the owner of dest and of the
// directory above it moves things about: nothing of root's changes, and
// nothing of his becomes root's program.
func TestAttack(t *testing.T) {
	if os.Getuid() != 0 || testing.Short() {
		t.Skip("takes root")
	}
	self, err := os.ReadFile("/proc/self/exe")
	check(t, err)
	for name := range attacks {
		t.Run(name, func(t *testing.T) {
			top := tempDir(t)
			check(t, os.Chmod(top, 0o755))
			check(t, os.WriteFile(top+"/mirror.test", self, 0o755))
			applied, attacked, round := 0, 0, 0
			for ; round < rounds || attacked < rounds && round < 3*rounds; round++ {
				ok, n := attackRound(t, top, name)
				attacked += n
				if ok {
					applied++
				}
			}
			t.Logf("%d of %d rounds ended well, %d attacks", applied, round, attacked)
			if attacked == 0 { // a busy machine may leave the attacker little time
				t.Error("nobody attacked")
			}
		})
	}
}

// attackRound deploys once under attack. It tells whether that ended well, as
// it need not.
func attackRound(t *testing.T, top, name string) (ok bool, attacked int) {
	s := &scope{TB: t}
	defer s.close()
	to, from := attackPlaces(s, top, name)
	plant(t, top+"/victim", parse(t, "file=precious:600 passwd=x owner=x:600 sub/ sub/x=x program=x"))
	before := snapshot(t, top+"/victim")
	stop := attack(s, top, name)
	ok = attackedDeployment(t, to, from)
	attacked = stop()
	for _, p := range differences(before, snapshot(t, top+"/victim"), true) {
		t.Fatalf("what is root's has changed: %q", p)
	}
	noEvil(t, top+"/home")
	return ok, attacked
}

// attackPlaces makes and opens a dest and a staging directory.
func attackPlaces(s *scope, top, name string) (to, from Place) {
	for _, dir := range []string{"/home", "/private", "/victim"} {
		check(s, removeAll(top+dir))
		check(s, os.Mkdir(top+dir, 0o755))
	}
	dest, private := top+"/home/dest", top+"/private"
	if name == "copy swapped" {
		mount(s, private, "size=16m")
	}
	check(s, os.Mkdir(private+"/tree", 0o700))
	if name != "dest appears" && name != "copy swapped" {
		plant(s, dest, attackTree(0))
		check(s, os.Chown(dest, attacker, attacker))
	}
	if name == "copied file swapped" {
		mount(s, dest+"/d0", "size=1m")
		check(s, os.Chown(dest+"/d0", attacker, attacker))
	}
	check(s, os.Chown(top+"/home", attacker, attacker))
	return place(s, dest), place(s, private+"/tree")
}

func attackedDeployment(t *testing.T, to, from Place) bool {
	opts := Options{Owners: true}
	entries, err := scanTo(t, tarball(t, attackTree(1)), to.Dir, from.Dir, &opts)
	if err != nil {
		return false
	}
	plan, err := Compare(context.Background(), entries, to, opts)
	return err == nil && plan.Apply(context.Background(), from) == nil
}

// attack runs the attacker until stop, which tells how often it attacked.
func attack(s *scope, top, name string) (stop func() int) {
	dir := top + "/attacker"
	check(s, os.RemoveAll(dir))
	check(s, os.Mkdir(dir, 0o755))
	check(s, os.Chown(dir, attacker, attacker))
	cmd := exec.Command(top+"/mirror.test", "-test.run", "^TestAttacker$")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "STRETCHER_TEST_ATTACK="+top+"\n"+name)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: attacker, Gid: attacker}}
	out, err := cmd.StdoutPipe()
	check(s, err)
	check(s, cmd.Start())
	end := func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	s.Cleanup(end)
	buf := make([]byte, 6)
	_, err = io.ReadFull(out, buf)
	check(s, err)
	return func() int {
		end()
		count, _ := os.ReadFile(dir + "/count")
		n, _ := strconv.Atoi(string(count))
		return n
	}
}

// noEvil fails when something that the attacker wrote runs as root.
func noEvil(t *testing.T, dir string) {
	t.Helper()
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		var st unix.Stat_t
		data, err := os.ReadFile(path)
		if err == nil && unix.Lstat(path, &st) == nil && st.Uid == 0 && string(data) == "evil" {
			t.Errorf("%q is root's now, mode %o", path, st.Mode)
		}
		return nil
	})
}
