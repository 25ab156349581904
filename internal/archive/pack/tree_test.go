package pack

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// plant makes files, whose directories it makes, and symlinks ("->" before the
// target) below dir. All have the time 1e9.
func plant(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for path, content := range files {
		name := filepath.Join(dir, path)
		check(t, os.MkdirAll(filepath.Dir(name), 0o755))
		target, isLink := strings.CutPrefix(content, "->")
		if isLink {
			check(t, os.Symlink(target, name))
		} else {
			check(t, os.WriteFile(name, []byte(content), 0o644))
			check(t, os.Chmod(name, 0o644)) // whatever the umask
		}
	}
	settle(t, dir)
}

// settle gives everything below dir the same time, and directories a mode.
func settle(t testing.TB, dir string) {
	t.Helper()
	check(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(name, 0o755)
		}
		if err != nil {
			return err
		}
		at := unix.Timeval{Sec: 1e9}
		return unix.Lutimes(name, []unix.Timeval{at, at})
	}))
}

// randomTree makes one with names, sizes and links of all kinds.
func randomTree(t testing.TB, rnd *rand.Rand, dir string) {
	t.Helper()
	names := []string{"a", "b.txt", "with space", "new\nline", "caf\xc3\xa9", "\xff\xfe", "-rf", "..dots", "\\", "*", "C:",
		strings.Repeat("n", 200)}
	dirs, files := []string{dir}, []string{}
	for i := range 5 + rnd.IntN(40) {
		parent := dirs[rnd.IntN(len(dirs))]
		name := filepath.Join(parent, fmt.Sprint(names[rnd.IntN(len(names))], i))
		switch rnd.IntN(10) {
		case 0, 1, 2:
			if len(name) < len(dir)+1200 {
				check(t, os.Mkdir(name, 0o755))
				dirs = append(dirs, name)
			}
		case 3:
			check(t, os.Symlink([]string{"a", "../x", "/nowhere", strings.Repeat("t/", 300)}[rnd.IntN(4)], name))
		case 4:
			if len(files) > 0 {
				check(t, os.Link(files[rnd.IntN(len(files))], name))
			}
		default:
			check(t, os.WriteFile(name, randomContent(rnd), 0o600))
			check(t, os.Chmod(name, fs.FileMode(0o400|rnd.IntN(0o400)&0o355)))
			check(t, os.Chtimes(name, time.Time{}, time.Unix(rnd.Int64N(1<<33), rnd.Int64N(1e9))))
			files = append(files, name)
		}
	}
}

func randomContent(rnd *rand.Rand) []byte {
	size := []int{0, 1, 511, 512, 513, 5000, 70_000, gzipGroup / 2, gzipGroup, 2*maxPiece + 1}[rnd.IntN(10)]
	b := bytes.Repeat([]byte(fmt.Sprint(rnd.Uint64())), size/15+1)[:size]
	for range size / 20 {
		b[rnd.IntN(size)] = byte(rnd.Uint32())
	}
	return b
}

// look tells all that an archive keeps of what is below dir, a line for each
// entry; for hard links, the first name.
func look(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	first := map[uint64]string{}
	check(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		check(t, err)
		info, err := d.Info()
		check(t, err)
		rel, _ := filepath.Rel(dir, name)
		st := info.Sys().(*syscall.Stat_t)
		fmt.Fprintf(&b, "%q %v %d", rel, info.Mode(), info.ModTime().Unix())
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(name)
			check(t, err)
			fmt.Fprintf(&b, " -> %q", target)
		case info.Mode().IsRegular():
			data, err := os.ReadFile(name)
			check(t, err)
			if _, ok := first[st.Ino]; !ok {
				first[st.Ino] = rel
			}
			fmt.Fprintf(&b, " %d %x of %q", len(data), sha256.Sum256(data), first[st.Ino])
		}
		b.WriteString("\n")
		return nil
	}))
	return b.String()
}
