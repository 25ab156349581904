package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/disk/tree"
)

// manyWords are n directories with a small file each, and one file of more than a block.
func manyWords(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "d%03d/ d%03d/f=%s ", i, i, strings.Repeat(string(rune('a'+i%26)), 1+i*41))
	}
	return b.String() + "large=" + strings.Repeat("l", tree.BlockSize+1) + " block=" + strings.Repeat("b", tree.BlockSize)
}

// TestBehind stages more files than are written at a time. Others refer to them,
// and replace them, before and after they are written; each is known in the end.
func TestBehind(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	top := tempDir(t)
	words := manyWords(300)
	src := append(parse(t, words), parse(t, "l==d299/f d299/f=new d005/f=new k==d299/f")[1:]...)
	opts := Options{Contents: tree.NewContents()}
	plan := prepare(t, top, src, opts, true)
	check(t, plan.Apply(context.Background(), place(t, filepath.Join(top, "staging"))))
	want := parse(t, words+" l="+strings.Repeat(string(rune('a'+299%26)), 1+299*41)+" k=new")
	for i := range want {
		if want[i].path == "d299/f" || want[i].path == "d005/f" {
			want[i].data = "new"
		}
	}
	dest := filepath.Join(top, "dest")
	same(t, dest, want)
	for _, n := range want[1:] {
		var st unix.Stat_t
		check(t, unix.Lstat(filepath.Join(dest, n.path), &st))
		sums, ok := opts.Contents.Of(&st)
		if blocks := (len(n.data) + tree.BlockSize - 1) / tree.BlockSize; ok != n.mode.IsRegular() || len(sums) != blocks {
			t.Errorf("%q: %d sums are known, %v", n.path, len(sums), ok)
		}
	}
}

// TestBehindFails has one of many files fail, the last one or not: it is the one that
// is named.
func TestBehindFails(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	for _, path := range []string{"d001/f", "d299/f", "block"} {
		top := tempDir(t)
		dir := filepath.Join(top, "staging")
		check(t, os.MkdirAll(filepath.Join(dir, path, "in the way"), 0o700))
		stage := NewStage(context.Background(), nil, rootAt(t, dir), Options{})
		_, _, err := archive.Scan(context.Background(), bytes.NewReader(tarball(t, parse(t, manyWords(300)))),
			archive.Options{}, stage)
		want := fmt.Sprintf("archive entry %q: stage %q: ", path, path)
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Count(err.Error(), "stage") > 1 ||
			!errors.Is(err, os.ErrExist) {
			t.Errorf("err = %v, want %q", err, want)
		}
		check(t, stage.Close())
	}
}
