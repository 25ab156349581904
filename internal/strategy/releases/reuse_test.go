package releases

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// reuseTree fills a staged tree; its files are old, as an archive's are.
func reuseTree(t *testing.T, d *Dir, files ...string) string {
	t.Helper()
	dir := stage(t, d, files...)
	for i := 0; i < len(files); i += 2 {
		setAge(t, filepath.Join(dir, files[i]))
	}
	return dir
}

func setAge(t *testing.T, path string) {
	t.Helper()
	old := time.Unix(1e9, 123456789)
	must(t, os.Chtimes(path, old, old))
}

func stat(t *testing.T, path string) (fs.FileInfo, *syscall.Stat_t) {
	t.Helper()
	info, err := os.Lstat(path)
	must(t, err)
	return info, info.Sys().(*syscall.Stat_t)
}

func TestReuseHard(t *testing.T) {
	d := layout(t)
	ctx := context.Background()
	first := reuseTree(t, d, "same", "1", "dir/same", "22", "changed", "1", "size", "1", "mode", "1", "time", "1",
		"gone", "1", "empty", "", "pair", "1", "wasdir/f", "1")
	must(t, os.Symlink("same", filepath.Join(first, "waslink")))
	must(t, os.Symlink("dir", filepath.Join(first, "linkdir")))
	must(t, addAt(d, ctx, first, Release{ID: id(1)}, nil))
	second := reuseTree(t, d, "same", "1", "dir/same", "22", "changed", "2", "size", "11", "mode", "1", "time", "1",
		"new", "1", "empty", "", "pair", "1", "wasdir", "1", "waslink", "1", "linkdir/same", "22")
	must(t, os.Chmod(filepath.Join(second, "mode"), 0o600))
	must(t, os.Chtimes(filepath.Join(second, "time"), time.Time{}, time.Unix(2e9, 0)))
	must(t, os.Link(filepath.Join(second, "pair"), filepath.Join(second, "pair2")))
	saved, err := reuseAt(d, ctx, second, id(1), Hard)
	if err != nil || saved != (Saved{Files: 2, Bytes: 3}) {
		t.Errorf("Reuse = %+v, %v", saved, err)
	}
	must(t, addAt(d, ctx, second, Release{ID: id(2)}, nil))
	for name, want := range map[string]bool{
		"same": true, "dir/same": true, "changed": false, "size": false, "mode": false, "time": false, "empty": false,
		"pair": false, "waslink": false, "linkdir/same": false,
	} {
		info, st := stat(t, filepath.Join(d.Path(id(2)), name))
		old, err := os.Stat(filepath.Join(d.Path(id(1)), name))
		must(t, err)
		if os.SameFile(info, old) != want {
			t.Errorf("%s is shared: %v, want %v (%d links)", name, !want, want, st.Nlink)
		}
	}
	if _, st := stat(t, filepath.Join(d.Path(id(2)), "pair")); st.Nlink != 2 {
		t.Errorf("the pair has %d links", st.Nlink)
	}
	if got := names(t, d.Path(id(2))); strings.Contains(got, ".") {
		t.Errorf("left behind: %s", got)
	}
}

// TestReuseNever: no inode is shared unless asked for, wherever this runs.
func TestReuseNever(t *testing.T) {
	for _, how := range []Link{Reflink, NoLink} {
		d := layout(t)
		ctx := context.Background()
		must(t, addAt(d, ctx, reuseTree(t, d, "a", "same"), Release{ID: id(1)}, nil))
		second := reuseTree(t, d, "a", "same")
		_, err := reuseAt(d, ctx, second, id(1), how)
		must(t, err)
		info, st := stat(t, filepath.Join(second, "a"))
		if st.Nlink != 1 || get(t, filepath.Join(second, "a")) != "same" || !info.ModTime().Equal(time.Unix(1e9, 123456789)) {
			t.Errorf("%s: %d links, %v", how, st.Nlink, info.ModTime())
		}
	}
}

func TestReuseNothing(t *testing.T) {
	d := layout(t)
	staged := reuseTree(t, d, "a", "1")
	for _, of := range []string{"", id(1), "../x"} {
		if saved, err := reuseAt(d, context.Background(), staged, of, Hard); saved != (Saved{}) || err != nil {
			t.Errorf("Reuse of %q = %+v, %v", of, saved, err)
		}
	}
	must(t, addAt(d, context.Background(), staged, Release{ID: id(1)}, nil))
	if _, err := reuseAt(d, context.Background(), staged, id(1), Hard); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("err = %v", err)
	}
	done, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := reuseAt(d, done, reuseTree(t, d, "a", "1"), id(1), Hard); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
}
