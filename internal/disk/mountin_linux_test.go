package disk

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"stretcher/internal/testparts"
)

// TestMountIn finds mounts on directories and on files, at whatever depth.
func TestMountIn(t *testing.T) {
	asRoot(t)
	for name, isDir := range map[string]bool{
		"r": true, "r/a": true, "r/a/b/c": true, "r/file": false, "r/a/b/file": false,
	} {
		top := tempDir(t)
		must(t, os.MkdirAll(filepath.Join(top, "r/a/b/c"), 0o755))
		must(t, os.Symlink("a", filepath.Join(top, "r/link")))
		must(t, os.MkdirAll(filepath.Join(top, "other/dir"), 0o755))
		for _, file := range []string{"r/file", "r/a/b/file", "other/file"} {
			must(t, os.WriteFile(filepath.Join(top, file), nil, 0o644))
		}
		root := rootAt(t, top)
		if got, err := MountIn(t.Context(), root, "r"); got != "" || err != nil {
			t.Errorf("without a mount: %q, %v", got, err)
		}
		other := filepath.Join(top, "other/file")
		if isDir {
			other = filepath.Join(top, "other/dir")
		}
		testparts.Bind(t, other, filepath.Join(top, name))
		if got, err := MountIn(t.Context(), root, "r"); got != name || err != nil {
			t.Errorf("%q: %q, %v", name, got, err)
		}
		must(t, unix.Unmount(filepath.Join(top, name), unix.MNT_DETACH))
	}
}

// TestMountInDeep: a tree is deeper than there are descriptors, and the caller
// gives up.
func TestMountInDeep(t *testing.T) {
	const depth = 300
	top := tempDir(t)
	must(t, os.MkdirAll(filepath.Join(top, strings.Repeat("d/", depth)), 0o755))
	root := rootAt(t, top)
	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	low := limit
	low.Cur = depth / 2
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &low))
	got, err := MountIn(t.Context(), root, "d")
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	if got != "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := MountIn(ctx, root, "d"); !errors.Is(err, context.Canceled) {
		t.Errorf("told to end: %v", err)
	}
}
