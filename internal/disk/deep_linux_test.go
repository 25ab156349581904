package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"stretcher/internal/testparts"
)

// fewDescriptors lets this process open no more than n at a time.
func fewDescriptors(t *testing.T, n uint64) {
	t.Helper()
	var before unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	t.Cleanup(func() { must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &before)) })
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: before.Max}))
}

// TestRemoveAllOfAnyDepth: it needs no more descriptors for what others have
// nested deeply, and leaves nothing of it.
func TestRemoveAllOfAnyDepth(t *testing.T) {
	top := t.TempDir()
	dir := top + "/dir"
	must(t, os.Mkdir(dir, 0o700))
	testparts.Nest(t, dir, "d", 5000)
	for i := range 4 { // for all workers
		testparts.Nest(t, dir, fmt.Sprint(i), 1000)
	}
	testparts.Nest(t, dir, strings.Repeat("n", 250), 300)
	root := rootAt(t, top)
	fewDescriptors(t, 100+removers*(maxOpen+2))
	must(t, RemoveAll(root, "dir"))
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// TestRemoveAllStopsAtDeepMounts: what is mounted deep below stays, and the
// message is short.
func TestRemoveAllStopsAtDeepMounts(t *testing.T) {
	asRoot(t)
	top, elsewhere := t.TempDir(), t.TempDir()
	must(t, os.WriteFile(elsewhere+"/kept", nil, 0o600))
	dir := top + "/dir"
	must(t, os.Mkdir(dir, 0o700))
	name := strings.Repeat("n", 20)
	testparts.Nest(t, dir, name, maxOpen+50)
	testparts.Bind(t, elsewhere, dir+strings.Repeat("/"+name, maxOpen+30))
	err := RemoveAll(rootAt(t, top), "dir")
	if !errors.Is(err, ErrMount) || len(err.Error()) > 2*maxShown {
		t.Errorf("err = %v", err)
	}
	if _, err := os.Lstat(elsewhere + "/kept"); err != nil {
		t.Error(err)
	}
	up, err := filepath.Glob(dir + "/.too-deep-*") // it has gone with what it is mounted in
	if must(t, err); len(up) != 1 {
		t.Fatalf("moved up: %q", up)
	}
	must(t, unix.Unmount(up[0]+strings.Repeat("/"+name, 30), unix.MNT_DETACH))
}
