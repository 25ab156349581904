package mirror

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk/confined"
	"stretcher/internal/testparts"
)

// mount puts a tmpfs at dir.
func mount(t testing.TB, dir, options string) {
	t.Helper()
	check(t, os.MkdirAll(dir, 0o755))
	testparts.Mount(t, "tmpfs", dir, "tmpfs", 0, options)
}

func TestNoSpaceForStaging(t *testing.T) {
	top := tempDir(t)
	mount(t, top, "size=64k")
	opts := Options{}
	_, err := scan(t, tarball(t, parse(t, "d/ d/f="+strings.Repeat("x", 1<<17))), filepath.Join(top, "dest"),
		filepath.Join(top, "staging"), &opts)
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), `stage "d/f"`) {
		t.Errorf("err = %v", err)
	}
}

// TestMountInside replaces, adds and deletes below a mount point in dest, to
// which nothing can be renamed.
func TestMountInside(t *testing.T) {
	top := tempDir(t)
	mnt := filepath.Join(top, "dest/m")
	mount(t, mnt, "size=1m")
	plant(t, filepath.Join(top, "dest"), parse(t, "m/ m/f=old m/gone= m/l->a m/x=file m/y/ m/y/z="))
	src := parse(t, "m/ m/f=new! m/d/ m/d/g=x m/d/l->g m/d/p| m/l->b m/x/ m/x/h= m/y=file")
	left := filepath.Join(mnt, ".own") // by a run that was killed
	plant(t, left, parse(t, "d/ d/f=x"))
	opts := Options{TempName: ".own", Protect: func(path string) bool { return path == "m/.own" }}
	plan := prepare(t, top, src, opts, true)
	check(t, plan.Apply(context.Background(), place(t, filepath.Join(top, "staging"))))
	same(t, filepath.Join(top, "dest"), src)
}

// TestMountGoes has mount points that the tree does not have: they stay with
// all in them, where rsync empties them before it fails.
func TestMountGoes(t *testing.T) {
	for _, kind := range []string{"tmpfs", "bind"} {
		for _, at := range []string{"m", "d/e/m"} {
			t.Run(kind+" at "+at, func(t *testing.T) {
				top := tempDir(t)
				mnt := filepath.Join(top, "dest", at)
				plant(t, filepath.Join(top, "dest"), parse(t, "d/ d/e/ d/gone="))
				mountAs(t, kind, mnt, filepath.Join(top, "other"))
				plant(t, mnt, parse(t, "f=precious sub/ sub/f=x"))
				var warnings []string
				opts := Options{Warn: func(msg string) { warnings = append(warnings, msg) }}
				plan := prepare(t, top, parse(t, "new=x"), opts, true)
				check(t, plan.Apply(context.Background(), place(t, filepath.Join(top, "staging"))))
				same(t, mnt, parse(t, "f=precious sub/ sub/f=x"))
				if _, err := os.Lstat(filepath.Join(top, "dest/d/gone")); err == nil {
					t.Error("what is beside the mount point is there")
				}
				want := `directory "` + at + `" is a mount point and stays, with all in it`
				if len(warnings) != 1 || warnings[0] != want {
					t.Errorf("warnings %q, want %q", warnings, want)
				}
			})
		}
	}
}

// TestMountInTheWay wants a file where a mount point is, or above it.
func TestMountInTheWay(t *testing.T) {
	for _, kind := range []string{"tmpfs", "bind"} {
		for at, want := range map[string]string{
			"d":   `"d" must replace a mount point`,
			"d/m": `"d" must replace a directory that holds the mount point "d/m"`,
		} {
			t.Run(kind+" at "+at, func(t *testing.T) {
				top := tempDir(t)
				mnt := filepath.Join(top, "dest", at)
				plant(t, filepath.Join(top, "dest"), parse(t, "d/"))
				mountAs(t, kind, mnt, filepath.Join(top, "other"))
				plant(t, mnt, parse(t, "f=precious"))
				var opts Options
				entries, err := scan(t, tarball(t, parse(t, "d=file")), filepath.Join(top, "dest"),
					filepath.Join(top, "staging"), &opts)
				check(t, err)
				failure(t, top, want, func() error {
					_, err := Compare(context.Background(), entries, place(t, filepath.Join(top, "dest")), opts)
					return err
				})
			})
		}
	}
}

// TestMountedFile: a file that is mounted on stays where the tree does not have
// it, and is never written to where the tree has another.
func TestMountedFile(t *testing.T) {
	for tree, want := range map[string]string{
		"new=x":              "",
		"d/ d/f=precious":    "",
		"d/ d/f=other":       `"d/f" must replace a mount point`,
		"d/ d/f/ d/f/g=file": `"d/f" must replace a mount point`,
		"d=file":             `"d" must replace a directory that holds the mount point "d/f"`,
	} {
		t.Run(tree, func(t *testing.T) {
			top := tempDir(t)
			plant(t, filepath.Join(top, "dest"), parse(t, "d/ d/f=mounted d/gone="))
			plant(t, filepath.Join(top, "other"), parse(t, "f=precious"))
			mounted := filepath.Join(top, "dest/d/f")
			testparts.Bind(t, filepath.Join(top, "other/f"), mounted)
			opts := Options{Warn: func(string) {}}
			entries, err := scan(t, tarball(t, parse(t, tree)), filepath.Join(top, "dest"), filepath.Join(top, "staging"),
				&opts)
			check(t, err)
			compare := func() (*Plan, error) {
				return Compare(context.Background(), entries, place(t, filepath.Join(top, "dest")), opts)
			}
			if want != "" {
				failure(t, top, want, func() error { _, err := compare(); return err })
				return
			}
			plan, err := compare()
			check(t, err)
			check(t, plan.Apply(context.Background(), place(t, filepath.Join(top, "staging"))))
			if data, err := os.ReadFile(filepath.Join(top, "other/f")); string(data) != "precious" {
				t.Errorf("what is mounted holds %q, %v", data, err)
			}
			if _, err := os.Lstat(filepath.Join(top, "dest/d/gone")); err == nil {
				t.Error("what is beside it is there")
			}
		})
	}
}

// mountAs mounts something at dir: a file system, or a directory that other
// holds.
func mountAs(t *testing.T, kind, dir, other string) {
	t.Helper()
	if kind == "tmpfs" {
		mount(t, dir, "size=1m")
		return
	}
	check(t, os.MkdirAll(dir, 0o755))
	check(t, os.MkdirAll(other, 0o755))
	testparts.Bind(t, other, dir)
}

func TestNoSpaceInMount(t *testing.T) {
	top := tempDir(t)
	mount(t, filepath.Join(top, "dest/m"), "size=64k")
	plant(t, filepath.Join(top, "dest"), parse(t, "m/ m/f=old"))
	plan := prepare(t, top, parse(t, "m/ m/f="+strings.Repeat("x", 1<<17)), Options{}, true)
	err := failure(t, top, `put "m/f" into place`,
		func() error { return plan.Apply(context.Background(), place(t, filepath.Join(top, "staging"))) })
	if !errors.Is(err, unix.ENOSPC) {
		t.Errorf("err = %v", err)
	}
}

func TestReadOnlyDest(t *testing.T) {
	top := tempDir(t)
	dest := filepath.Join(top, "dest")
	mount(t, dest, "")
	plant(t, dest, parse(t, "f=old"))
	check(t, unix.Mount("", dest, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	plan := prepare(t, top, parse(t, "f=newer"), Options{}, true)
	err := failure(t, top, `put "f" into place`,
		func() error { return plan.Apply(context.Background(), place(t, filepath.Join(top, "staging"))) })
	if !errors.Is(err, unix.EROFS) || errors.Is(err, ErrMixed) {
		t.Errorf("err = %v", err)
	}
}

// TestOtherFileSystem has staging on another one than a dest that is missing.
func TestOtherFileSystem(t *testing.T) {
	top := tempDir(t)
	dir, dest := filepath.Join(top, "m/staging"), filepath.Join(top, "dest")
	mount(t, filepath.Dir(dir), "")
	src := parse(t, "d/:555 d/f=x d/l->f p|")
	var opts Options
	entries, err := scan(t, tarball(t, src), dest, dir, &opts)
	check(t, err)
	plan, err := Compare(context.Background(), entries, place(t, dest), opts)
	check(t, err)
	check(t, plan.Apply(context.Background(), place(t, dir)))
	same(t, dest, src)
	if left, _ := filepath.Glob(filepath.Join(top, ".mirror*")); len(left) > 0 {
		t.Errorf("left %q", left)
	}
}

// TestAsNobody runs the rules again without privileges.
func TestAsNobody(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become nobody")
	}
	const nobody = 65534
	dir := tempDir(t)
	check(t, os.Chown(dir, nobody, nobody))
	self, err := os.ReadFile("/proc/self/exe")
	check(t, err)
	exe := filepath.Join(dir, "mirror.test")
	check(t, os.WriteFile(exe, self, 0o755))
	cmd := exec.Command(exe, "-test.run", "TestRules|TestFresh|TestUn|TestCancel|TestStagedMissing|TestDeep")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestUnwritable has directories that the caller owns but may not write.
func TestUnwritable(t *testing.T) {
	for _, tarred := range []bool{false, true} {
		top := tempDir(t)
		plant(t, filepath.Join(top, "dest"),
			parse(t, "a/:555 a/f=old a/gone= b/:500 b/c/:500 b/c/f= x/:555 x/y= k/:555 k/keep= k/gone= z=file"))
		src := parse(t, "a/:555 a/f=newer a/new= x=file z/:555 z/w/:500 z/w/f=x")
		plan := prepare(t, top, src, Options{Excludes: excludes(t, "keep")}, tarred)
		check(t, plan.Apply(context.Background(), place(t, filepath.Join(top, "staging"))))
		same(t, filepath.Join(top, "dest"), append(src, parse(t, "k/:555 k/keep=")[1:]...))
	}
}

// TestUnreadable ends with a directory that its owner may not read.
func TestUnreadable(t *testing.T) {
	top := tempDir(t)
	dir := filepath.Join(top, "dest/d")
	plant(t, filepath.Join(top, "dest"), parse(t, "d/ d/f=old"))
	plan := prepare(t, top, parse(t, "d/:300 d/f=newer"), Options{}, true)
	check(t, plan.Apply(context.Background(), place(t, filepath.Join(top, "staging"))))
	info, err := os.Lstat(dir)
	check(t, err)
	if info.Mode().Perm() != 0o300 {
		t.Errorf("mode %v", info.Mode())
	}
	check(t, os.Chmod(dir, 0o755))
	check(t, os.Chtimes(dir, info.ModTime(), info.ModTime()))
	same(t, filepath.Join(top, "dest"), parse(t, "d/ d/f=newer"))
}

// TestNeverMissing looks for paths all the time while they are replaced by
// others of the same and another type.
func TestNeverMissing(t *testing.T) {
	top := tempDir(t)
	dest := filepath.Join(top, "dest")
	trees := [2][]node{
		parse(t, "f=old d/ d/x=x d/y/ l->a s->b t/"),
		parse(t, "f=newer d=file l->b s/ s/f=x t->f"),
	}
	plant(t, dest, trees[0])
	probe := filepath.Join(top, "probe")
	plant(t, probe, parse(t, "a= b="))
	if err := confined.Exchange(unix.AT_FDCWD, probe+"/a", unix.AT_FDCWD, probe+"/b"); err != nil {
		t.Skip("no exchange here:", err)
	}
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- watch(stop, dest, "f", "d", "l", "s", "t") }()
	for i := range 150 {
		plan := prepare(t, top, trees[(i+1)%2], Options{}, true)
		check(t, plan.Apply(context.Background(), place(t, filepath.Join(top, "staging"))))
		check(t, os.RemoveAll(filepath.Join(top, "staging")))
	}
	close(stop)
	check(t, <-done)
}

func watch(stop chan struct{}, dir string, names ...string) error {
	var st unix.Stat_t
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		for _, name := range names {
			if err := unix.Lstat(filepath.Join(dir, name), &st); err != nil {
				return &os.PathError{Op: "lstat", Path: name, Err: err}
			}
		}
	}
}

// TestExchangeSlow is for file systems that can't exchange.
func TestExchangeSlow(t *testing.T) {
	top := tempDir(t)
	plant(t, filepath.Join(top, "staging"), parse(t, "a=new"))
	plant(t, filepath.Join(top, "dest"), parse(t, "a/ a/f=old"))
	from, err := confined.NewWalk(rootAt(t, filepath.Join(top, "staging")))
	check(t, err)
	defer from.Close()
	to, err := confined.NewWalk(rootAt(t, filepath.Join(top, "dest")))
	check(t, err)
	defer to.Close()
	a := &application{Plan: &Plan{}}
	check(t, a.exchangeSlow(from.Root(), "a", to.Root(), "a"))
	if data, err := os.ReadFile(filepath.Join(top, "dest/a")); err != nil || string(data) != "new" {
		t.Errorf("new %q, %v", data, err)
	}
	if data, err := os.ReadFile(filepath.Join(top, "staging/a/f")); err != nil || string(data) != "old" {
		t.Errorf("old %q, %v", data, err)
	}
	if err := a.exchangeSlow(from.Root(), "missing", to.Root(), "a"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("err = %v", err)
	}
	if data, err := os.ReadFile(filepath.Join(top, "dest/a")); err != nil || string(data) != "new" {
		t.Errorf("after an error %q, %v", data, err)
	}
}

// killTrees are the trees between which a killed process is to switch.
func killTrees() [2][]node {
	rnd := rand.New(rand.NewPCG(3, 3))
	old := randomSource(rnd)
	for len(old) < 100 {
		old = grow(rnd, old, "", 0, false)
	}
	trees := [2][]node{old, mutated(rnd, old)}
	for k, tree := range trees {
		for i := range tree {
			n := &tree[i]
			n.uid, n.gid, n.hard = os.Getuid(), os.Getgid(), ""
			n.mtime = floorSecond(n.mtime) * 1e9 // a fraction alone is not mended
			if n.mode&fs.ModeSocket != 0 {
				n.mode = 0o600
			}
			if os.Getuid() != 0 {
				n.mode = n.mode.Type() | n.mode.Perm()&0o755 // what an archive gives to others
			}
			if k == 1 && n.mode.IsRegular() {
				n.data += "new"
			}
		}
	}
	return trees
}

// TestKillChild is the process that TestKill kills.
func TestKillChild(t *testing.T) {
	top := os.Getenv("STRETCHER_TEST_KILL")
	if top == "" {
		t.Skip("runs as the child of TestKill")
	}
	plan := prepare(t, top, killTrees()[1], Options{}, true)
	_, err := os.Stdout.WriteString("ready\n")
	check(t, err)
	check(t, plan.Apply(context.Background(), place(t, filepath.Join(top, "staging"))))
}

// TestKill kills a process that applies a plan, at random moments: each path
// is then old or new, and doing it again finishes the job.
func TestKill(t *testing.T) {
	trees := killTrees()
	known := map[string][]string{}
	for _, tree := range trees {
		for _, n := range tree {
			if n.mode.IsRegular() {
				known[n.path] = append(known[n.path], n.data)
			}
		}
	}
	mixed, whole := 0, len(prepareIn(t, tempDir(t), trees).Changes())
	for round := 0; round < 20 || mixed == 0 && round < 400; round++ {
		top := tempDir(t)
		dest := filepath.Join(top, "dest")
		plant(t, dest, trees[0])
		killed(t, top, time.Duration(rand.IntN(4000))*time.Microsecond)
		oldOrNew(t, dest, known)
		opts := Options{}
		entries, err := scan(t, tarball(t, trees[1]), dest, filepath.Join(top, "staging2"), &opts)
		check(t, err)
		plan, err := Compare(context.Background(), entries, place(t, dest), opts)
		check(t, err)
		if n := len(plan.Changes()); n > 0 && n < whole {
			mixed++
		}
		check(t, plan.Apply(context.Background(), place(t, filepath.Join(top, "staging2"))))
		same(t, dest, trees[1])
	}
	if mixed == 0 {
		t.Error("no kill was in the middle")
	}
	t.Logf("%d kills in the middle", mixed)
}

// prepareIn plants the first of the trees below top and compares it with the
// second.
func prepareIn(t *testing.T, top string, trees [2][]node) *Plan {
	t.Helper()
	plant(t, filepath.Join(top, "dest"), trees[0])
	return prepare(t, top, trees[1], Options{}, true)
}

// killed runs the child and kills it some time after it has begun to apply.
func killed(t *testing.T, top string, after time.Duration) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run", "^TestKillChild$")
	cmd.Env = append(os.Environ(), "STRETCHER_TEST_KILL="+top)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	buf := make([]byte, 6)
	if _, err := io.ReadFull(out, buf); err != nil || !bytes.Equal(buf, []byte("ready\n")) {
		t.Errorf("child: %q, %v", buf, err)
	}
	time.Sleep(after)
	check(t, cmd.Process.Kill())
	_ = cmd.Wait() // killed, or just done
}

// oldOrNew fails when a file has neither its old nor its new content.
func oldOrNew(t *testing.T, dest string, known map[string][]string) {
	t.Helper()
	entries, err := FromDir(context.Background(), rootAt(t, dest))
	check(t, err)
	for _, e := range entries {
		if !e.Mode.IsRegular() {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dest, e.Path))
		check(t, err)
		ok := false
		for _, want := range known[e.Path] {
			ok = ok || want == string(data)
		}
		if !ok {
			t.Errorf("%q has %d bytes that are neither old nor new", e.Path, len(data))
		}
	}
}
