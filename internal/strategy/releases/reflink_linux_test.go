package releases

import (
	"context"
	"io/fs"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/testparts"
)

// mountImage makes a file system in a file and mounts it.
func mountImage(t *testing.T, mkfs string, args ...string) string {
	t.Helper()
	bin := testparts.Need(t, mkfs)
	if os.Getuid() != 0 {
		t.Skip("only root may mount")
	}
	dir := t.TempDir()
	image, mount := filepath.Join(dir, "image"), filepath.Join(dir, "mount")
	put(t, image, "")
	must(t, os.Truncate(image, 512<<20)) // sparse; XFS wants 300 MiB
	must(t, os.Mkdir(mount, 0o755))
	if out, err := exec.Command(bin, append(args, image)...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", mkfs, err, out)
	}
	if out, err := exec.Command(testparts.Need(t, "mount"), "-o", "loop", image, mount).CombinedOutput(); err != nil {
		// Containers have no loop devices, and kernels lack file systems.
		t.Skipf("no image can be mounted here: %v: %s", err, out)
	}
	// What another test has just started may hold it for a moment yet.
	t.Cleanup(func() { must(t, unix.Unmount(mount, unix.MNT_DETACH)) })
	return mount
}

// used is how much of a file system is in use, in bytes.
func used(t *testing.T, dir string) int64 {
	t.Helper()
	f, err := os.Open(dir)
	must(t, err)
	defer f.Close()
	must(t, unix.Syncfs(int(f.Fd())))
	var st unix.Statfs_t
	must(t, unix.Statfs(dir, &st))
	return int64(st.Blocks-st.Bfree) * int64(st.Bsize)
}

func TestReflink(t *testing.T) {
	t.Run("btrfs", func(t *testing.T) { testReflink(t, mountImage(t, "mkfs.btrfs", "-q"), true) })
	t.Run("xfs", func(t *testing.T) { testReflink(t, mountImage(t, "mkfs.xfs", "-q", "-m", "reflink=1"), true) })
	t.Run("xfs without", func(t *testing.T) { testReflink(t, mountImage(t, "mkfs.xfs", "-q", "-m", "reflink=0"), false) })
	t.Run("ext4", func(t *testing.T) { testReflink(t, mountImage(t, "mkfs.ext4", "-q"), false) })
	t.Run("tmpfs", func(t *testing.T) {
		dir := t.TempDir()
		mountTmp(t, dir, "")
		testReflink(t, dir, false)
	})
}

const bigSize = 8 << 20

func testReflink(t *testing.T, dir string, able bool) {
	d, err := Open(dir+"/dest", Options{Sync: true})
	must(t, err)
	must(t, d.Prepare())
	ctx := context.Background()
	must(t, addAt(d, ctx, reflinkTree(t, d, 1), Release{ID: id(1)}, nil))
	before := used(t, dir)
	must(t, addAt(d, ctx, reflinkTree(t, d, 2), Release{ID: id(2)}, nil))
	if grown := used(t, dir) - before; grown < bigSize {
		t.Errorf("a copy takes %d bytes more: this test proves nothing", grown)
	}
	before = used(t, dir)
	third := reflinkTree(t, d, 3)
	saved, err := reuseAt(d, ctx, third, id(2), Reflink)
	must(t, err)
	want := Saved{}
	if able {
		want = Saved{Files: 6, Bytes: bigSize + 4*9000 + 100}
	}
	if saved != want {
		t.Errorf("saved %+v, want %+v", saved, want)
	}
	checkReflinkTree(t, third, 3)
	must(t, addAt(d, ctx, third, Release{ID: id(3)}, nil))
	if grown := used(t, dir) - before; (grown < bigSize/4) != able {
		t.Errorf("the third release takes %d bytes more", grown)
	}
	f, err := os.OpenFile(filepath.Join(d.Path(id(3)), "big"), os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt([]byte("written to one release"), 0)
	must(t, err)
	must(t, f.Close())
	checkReflinkTree(t, d.Path(id(1)), 1)
	checkReflinkTree(t, d.Path(id(2)), 2)
}

type reflinkFile struct {
	size int
	seed int64
	mode fs.FileMode
}

// reflinkFiles are the files of release n; those with a seed of 0 to 9 are
// the same in all.
func reflinkFiles(n int64) map[string]reflinkFile {
	return map[string]reflinkFile{
		"big":         {bigSize, 0, 0o644},
		"d/readonly":  {9000, 1, 0o444},
		"d/setuid":    {9000, 2, fs.ModeSetuid | 0o755},
		"d/nolonger":  {9000, 10 * n, 0o644},
		"d/small":     {100, 4, 0o644},
		"d/pair":      {9000, 5, 0o640},
		"d/empty":     {0, 0, 0o644},
		"d/sometimes": {8000 + int(n), 6, 0o644},
	}
}

func reflinkContent(size int, seed int64) string {
	b := make([]byte, size)
	_, _ = rand.New(rand.NewSource(seed)).Read(b)
	return string(b)
}

func reflinkTree(t *testing.T, d *Dir, n int64) string {
	t.Helper()
	staged := stage(t, d)
	for name, f := range reflinkFiles(n) {
		path := filepath.Join(staged, name)
		put(t, path, reflinkContent(f.size, f.seed))
		must(t, os.Chmod(path, f.mode))
		setAge(t, path)
	}
	must(t, os.Link(filepath.Join(staged, "d/pair"), filepath.Join(staged, "d/other")))
	must(t, os.Symlink("big", filepath.Join(staged, "link")))
	return staged
}

// checkReflinkTree checks that a tree is as reflinkTree made it.
func checkReflinkTree(t *testing.T, dir string, n int64) {
	t.Helper()
	for name, f := range reflinkFiles(n) {
		path := filepath.Join(dir, name)
		info, st := stat(t, path)
		links := uint64(1)
		if name == "d/pair" {
			links = 2
		}
		if info.Mode() != f.mode || !info.ModTime().Equal(time.Unix(1e9, 123456789)) || uint64(st.Nlink) != links {
			t.Errorf("release %d, %s: %v, %v, %d links", n, name, info.Mode(), info.ModTime(), st.Nlink)
		}
		if get(t, path) != reflinkContent(f.size, f.seed) {
			t.Errorf("release %d, %s: other content", n, name)
		}
	}
}
