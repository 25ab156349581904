package mirror

import (
	"crypto/sha256"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/disk/tree"
)

// deploySummed makes dest equal to a tree, from an archive in a file whose contents are
// digested.
func deploySummed(t *testing.T, top, words string, known *tree.Contents) {
	t.Helper()
	dir, opts := filepath.Join(top, "staging"), Options{Contents: known}
	private(t, dir)
	name := filepath.Join(top, "archive")
	check(t, os.WriteFile(name, tarball(t, parse(t, words)), 0o600))
	f, err := os.Open(name)
	check(t, err)
	defer f.Close()
	in, err := archive.FileInput(f, true).Open()
	check(t, err)
	at := place(t, filepath.Join(top, "dest"))
	to := place(t, dir).Dir
	stage := NewStage(t.Context(), at.Dir, to, opts)
	entries, _, err := archive.Scan(t.Context(), in, archive.Options{}, stage)
	check(t, err)
	check(t, stage.Close())
	opts.Differs, opts.Tree = stage.Differs, to
	plan, err := Compare(t.Context(), entries, at, opts)
	check(t, err)
	tree.Settle(time.Now().UnixNano())
	check(t, plan.Apply(t.Context(), place(t, dir)))
}

// TestDigestsOfFiles: whatever becomes of a file whose digest was known, or was not,
// the digest is that of its content afterwards.
func TestDigestsOfFiles(t *testing.T) {
	long := strings.Repeat("a", 3*tree.BlockSize+5)
	middle := long[:tree.BlockSize+7] + "b" + long[tree.BlockSize+8:]
	versions := []string{
		"a=x b=y c=" + long + " d=" + long,
		"a=x b=y c=" + long + " d=" + long,   // the same
		"a=x b=z c=" + middle + " d=" + long, // in the middle, as large as before
		"a=xx b=z c=" + middle + "z d=c" + long[1:],
		"a=xx b=z c=" + long + " d==c e=new",
		"a=xx b=q c=" + long[:len(long)-1] + "b d==a e=new",
	}
	for _, forgets := range []bool{false, true} { // what is known of dest
		top, known := tempDir(t), tree.NewContents()
		for i, words := range versions {
			if forgets {
				known = tree.NewContents()
			}
			deploySummed(t, top, words, known)
			digested(t, filepath.Join(top, "dest"), known, i)
		}
	}
}

// digested fails unless the digests of all files are known, and right.
func digested(t *testing.T, dest string, known *tree.Contents, version int) {
	t.Helper()
	check(t, filepath.WalkDir(dest, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		check(t, err)
		var st unix.Stat_t
		check(t, unix.Lstat(path, &st))
		if sum, ok := known.Digest(&st); !ok || sum != sha256.Sum256(text) {
			t.Errorf("version %d: %s of %d bytes: digest %x, %v", version, e.Name(), len(text), sum, ok)
		}
		return nil
	}))
}
