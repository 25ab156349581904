package mirror

import (
	"archive/tar"
	"bytes"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk"
	"stretcher/internal/disk/confined"
	"stretcher/internal/disk/tree"
)

// node is a path of a tree made for a test.
type node struct {
	path     string
	mode     fs.FileMode
	uid, gid int
	mtime    int64 // nanoseconds
	data     string
	link     string // target of a symlink
	hard     string // the regular file it is another name of
}

func pick[T any](rnd *rand.Rand, from ...T) T { return from[rnd.IntN(len(from))] }

// big is more than a buffer; bigs differ from it in their first and last byte.
var (
	big  = strings.Repeat("0123456789abcde\n", 9000)
	bigs = [...]string{big, big[:len(big)-1] + "x", "1" + big[1:]}
)

// holed are contents that archives have as files with holes: the last has what the
// first has, a block further on.
var holed = [...]string{hole + "x" + hole, hole + "y" + hole, hole + "\x00" + hole,
	hole + hole[:tree.BlockSize] + "x" + hole[tree.BlockSize:]}

var hole = strings.Repeat("\x00", 140_000)

// random gives a node all but its path. Few different values make trees agree
// often.
func random(rnd *rand.Rand, dest bool) node {
	const day = 86400 * int64(time.Second)
	n := node{
		mode: pick[fs.FileMode](rnd, 0o644, 0o644, 0o600, 0o755, 0o444, unreadable(), 0o755|fs.ModeSetuid,
			0o711|fs.ModeSetgid),
		mtime: 11000*day + pick[int64](rnd, 0, 0, 5e8, 123456789, 1e9, 2*day, -20000*day-1),
	}
	if os.Getuid() == 0 {
		n.uid, n.gid = pick(rnd, 0, 0, 1, 2), pick(rnd, 0, 0, 1, 2)
	}
	switch k := rnd.IntN(40); {
	case k < 14:
		n.mode = fs.ModeDir | pick[fs.FileMode](rnd, 0o755, 0o755, 0o700, 0o555|own(), 0o777|fs.ModeSticky,
			0o750|fs.ModeSetgid)
	case k < 19:
		n.mode, n.link = fs.ModeSymlink|0o777, pick(rnd, ".", "a", "..", "no/where", "/etc/passwd")
	case k < 21:
		n.mode |= fs.ModeNamedPipe
	case k < 22 && dest:
		n.mode |= fs.ModeSocket
	case k < 24:
		n.data = bigs[rnd.IntN(len(bigs))]
	case k < 26:
		n.data = holed[rnd.IntN(len(holed))]
	default:
		n.data = pick(rnd, "", "x", "aaaaa", "aaaaa", "bbbbb", "longer than that")
	}
	return n
}

// grow adds random nodes below dir.
func grow(rnd *rand.Rand, tree []node, dir string, depth int, dest bool) []node {
	for range 1 + rnd.IntN(5) {
		path := confined.Join(dir, randomName(rnd))
		if slices.ContainsFunc(tree, func(n node) bool { return n.path == path }) {
			continue
		}
		n := random(rnd, dest)
		if depth == 4 && n.mode.IsDir() {
			continue
		}
		n.path = path
		tree = append(tree, n)
		if n.mode.IsDir() {
			tree = grow(rnd, tree, path, depth+1, dest)
		}
	}
	return tree
}

func randomName(rnd *rand.Rand) string {
	var b strings.Builder
	for range 1 + rnd.IntN(2) {
		if rnd.IntN(8) == 0 {
			b.WriteString(pick(rnd, "\n", "\xff", " ", "-", "!", ".x", "0", "é"))
		} else {
			b.WriteByte("abc"[rnd.IntN(3)])
		}
	}
	return b.String()
}

// root is the node of the tree's own directory.
func root(rnd *rand.Rand) node {
	n := random(rnd, false)
	return node{mode: fs.ModeDir | pick[fs.FileMode](rnd, 0o755, 0o711), uid: n.uid, gid: n.gid, mtime: n.mtime}
}

func randomSource(rnd *rand.Rand) []node {
	tree := grow(rnd, []node{root(rnd)}, "", 0, false)
	var dirs []string
	for _, n := range tree {
		if n.mode.IsDir() {
			dirs = append(dirs, n.path)
		}
	}
	for i := 0; i < len(tree); i++ { // of what is added, too: links to links
		n := tree[i]
		if n.mode.IsRegular() && rnd.IntN(8) == 0 {
			_, name := confined.Split(n.path)
			n.path, n.hard = confined.Join(pick(rnd, dirs...), name+"~"), n.path
			if !slices.ContainsFunc(tree, func(o node) bool { return o.path == n.path }) {
				tree = append(tree, n)
			}
		}
	}
	return tree
}

// mutated is a tree that differs from src here and there.
func mutated(rnd *rand.Rand, src []node) []node {
	tree := []node{src[0]}
	if rnd.IntN(2) == 0 {
		tree[0] = root(rnd)
	}
	dirs := map[string]bool{"": true}
	for _, n := range src[1:] {
		dir, _ := confined.Split(n.path)
		if !dirs[dir] {
			continue
		}
		n.hard = ""
		other := random(rnd, true)
		switch rnd.IntN(24) {
		case 0:
			continue
		case 1:
			other.path = n.path
			n = other
		case 2:
			if n.mode = n.mode.Type() | other.mode&^fs.ModeType; n.mode.IsDir() {
				n.mode |= own()
			}
		case 3:
			n.uid, n.gid = other.uid, other.gid
		case 4, 5:
			n.mtime = other.mtime
		case 6, 7:
			switch len(n.data) {
			case len(big):
				other.data = bigs[rnd.IntN(len(bigs))]
			case len(holed[0]):
				other.data = holed[rnd.IntN(len(holed))]
			}
			n.data = other.data
			if n.link != "" && other.link != "" {
				n.link = other.link
			}
		}
		if !n.mode.IsRegular() {
			n.data = ""
		}
		if n.mode.IsDir() {
			dirs[n.path] = true
		}
		tree = append(tree, n)
	}
	for dir := range maps(dirs) {
		if rnd.IntN(4) == 0 {
			tree = grow(rnd, tree, dir, 3, true)
		}
	}
	return tree
}

// maps yields the keys in an order that the seed decides.
func maps(m map[string]bool) func(func(string) bool) {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return slices.Values(keys)
}

// randomPatterns are exclude patterns, most of them of names that are there.
func randomPatterns(rnd *rand.Rand, trees ...[]node) []string {
	if rnd.IntN(5) == 0 {
		return nil
	}
	var list []string
	for range 1 + rnd.IntN(3) {
		tree := trees[rnd.IntN(len(trees))]
		p := tree[rnd.IntN(len(tree))].path
		dir, name := confined.Split(p)
		switch rnd.IntN(8) {
		case 0:
			p = "/" + p
		case 1:
			p = "/" + dir + "/*"
		case 2:
			p = name + "/"
		case 3:
			p = "*" + name[len(name)/2:]
		case 4:
			p = "/" + p + "/***"
		case 5:
			p = name
		case 6:
			p = pick(rnd, "?", "[ab]?", "**a", "a/**/b", "b/*", "*/")
		}
		if !slices.Contains([]string{"", "+ ", "- "}, p) && !strings.Contains(p, "\n") {
			list = append(list, pick(rnd, "", "", "", "+ ", "- ")+p)
		}
	}
	return list
}

// plant makes a tree at dir.
func plant(t testing.TB, dir string, tree []node) {
	t.Helper()
	for _, n := range tree {
		path := filepath.Join(dir, n.path)
		switch n.mode.Type() {
		case fs.ModeDir:
			check(t, os.MkdirAll(path, 0o700))
		case fs.ModeSymlink:
			check(t, os.Symlink(n.link, path))
		case fs.ModeNamedPipe:
			check(t, unix.Mkfifo(path, 0o600))
		case fs.ModeSocket:
			check(t, unix.Mknod(path, unix.S_IFSOCK|0o600, 0))
		default:
			if n.hard != "" {
				check(t, os.Link(filepath.Join(dir, n.hard), path))
			} else {
				check(t, os.WriteFile(path, []byte(n.data), 0o600))
			}
		}
	}
	for i := range slices.Backward(tree) {
		n := &tree[i]
		path := filepath.Join(dir, n.path)
		if os.Getuid() == 0 {
			check(t, os.Lchown(path, n.uid, n.gid))
		} else if own := groups(t); len(own) > 0 {
			check(t, os.Lchown(path, -1, own[(n.gid+i)%len(own)]))
		}
		if n.link == "" {
			check(t, os.Chmod(path, n.mode))
		}
		check(t, confined.SetTime(unix.AT_FDCWD, path, unix.NsecToTimespec(n.mtime)))
	}
}

// groups are those that the caller may give a file.
func groups(t testing.TB) []int {
	own, err := os.Getgroups()
	check(t, err)
	return append(own, os.Getegid())
}

// special are the bits that fs.FileMode has elsewhere.
var special = map[int64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky}

// own is what root alone can do without in a directory's mode: others can't
// look into it, and rsync leaves it writable when something in it is to go and
// can't.
func own() fs.FileMode {
	if os.Getuid() == 0 {
		return 0
	}
	return 0o700
}

// unreadable is a mode of files that root alone can compare.
func unreadable() fs.FileMode {
	if os.Getuid() == 0 {
		return 0
	}
	return 0o400
}

// octal is a mode as archives have it, and fromOctal the reverse.
func octal(m fs.FileMode) int64 {
	n := int64(m.Perm())
	for bit, mode := range special {
		if m&mode != 0 {
			n |= bit
		}
	}
	return n
}

func fromOctal(n int64) fs.FileMode {
	m := fs.FileMode(n & 0o777)
	for bit, mode := range special {
		if n&bit != 0 {
			m |= mode
		}
	}
	return m
}

// tarball is the tree as an archive.
func tarball(t testing.TB, tree []node) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, n := range tree {
		h := &tar.Header{
			Name: "./" + n.path, Mode: octal(n.mode), Uid: n.uid, Gid: n.gid,
			ModTime: time.Unix(0, n.mtime), Format: tar.FormatPAX, Typeflag: tar.TypeReg, Size: int64(len(n.data)),
		}
		switch {
		case n.hard != "":
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, "./"+n.hard, 0
		case n.mode.IsDir():
			h.Typeflag = tar.TypeDir
		case n.link != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, n.link
		case n.mode&fs.ModeNamedPipe != 0:
			h.Typeflag = tar.TypeFifo
		}
		data := n.data
		if h.Typeflag == tar.TypeReg && strings.Contains(data, hole) {
			data = withHoles(h, data)
		}
		from := buf.Len()
		check(t, w.WriteHeader(h))
		head := buf.Bytes()[from:] // a tar.Writer does not take the names that it is to have
		copy(head, bytes.ReplaceAll(head, []byte("GNX.sparse."), []byte("GNU.sparse.")))
		if h.Size > 0 {
			_, err := w.Write([]byte(data))
			check(t, err)
		}
	}
	check(t, w.Close())
	return buf.Bytes()
}

// withHoles makes a header that of a file that has holes where data has them, and gives
// what of data is in the archive.
func withHoles(h *tar.Header, data string) string {
	before := len(data) - len(strings.TrimLeft(data, "\x00"))
	rest := strings.Trim(data, "\x00")
	h.Size = int64(len(rest))
	h.PAXRecords = map[string]string{
		"GNX.sparse.major": "0", "GNX.sparse.minor": "1", "GNX.sparse.numblocks": "1",
		"GNX.sparse.map": fmt.Sprintf("%d,%d", before, len(rest)), "GNX.sparse.size": fmt.Sprint(len(data)),
	}
	return rest
}

// seen is what a test sees of a path.
type seen struct {
	what  string
	mtime string // "now" for this hour
	dir   bool
}

// snapshot looks at everything below dir; nothing when it is missing.
func snapshot(t testing.TB, dir string) map[string]seen {
	t.Helper()
	out := map[string]seen{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		if rel == "." {
			rel = ""
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		s := seen{mtime: fmt.Sprint(info.ModTime().UnixNano()), dir: d.IsDir()}
		if time.Since(info.ModTime()).Abs() < time.Hour {
			s.mtime = "now"
		}
		s.what = fmt.Sprintf("%v %d:%d", info.Mode(), st.Uid, st.Gid)
		switch info.Mode().Type() {
		case 0:
			data, err := os.ReadFile(path)
			check(t, err)
			s.what += fmt.Sprintf(" links=%d %d %q", st.Nlink, len(data), data[max(0, len(data)-20):])
			s.what += fmt.Sprintf(" %08x", crc32.ChecksumIEEE(data))
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			check(t, err)
			s.what += " -> " + target
		}
		s.what += aclsOf(path)
		out[rel] = s
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return out
}

// differences lists the paths at which two snapshots differ, sorted. Times of
// directories count only when times is set.
func differences(a, b map[string]seen, times bool) []string {
	var list []string
	for p, s := range a {
		o, ok := b[p]
		if !ok || s.what != o.what || s.mtime != o.mtime && (times || !s.dir) {
			list = append(list, p)
		}
	}
	for p := range b {
		if _, ok := a[p]; !ok {
			list = append(list, p)
		}
	}
	slices.Sort(list)
	return list
}

// tempDir is a directory that is removed whatever modes are in it.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mirror")
	check(t, err)
	t.Cleanup(func() { _ = removeAll(dir) })
	return dir
}

// removeAll removes a tree whatever modes are in it.
func removeAll(path string) error {
	parent, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer parent.Close()
	return disk.RemoveAll(parent, filepath.Base(path))
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
