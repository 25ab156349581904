package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// ent is one entry written by hand, for headers no tar writer would make.
type ent struct {
	typ          byte // '0' when zero
	name, link   string
	mode         int64 // 0644 when zero; -1 for none
	uid, gid     int64
	uname, gname string
	mtime        int64 // 1e9 when zero
	data         string
	size         int64             // claimed size, len(data) when zero
	pax          map[string]string // an extended header before the entry
	v7, base256  bool
	gnu          bool   // old GNU's format
	device       string // from its fields on
	prefix       string
	rawSize      string // the field
}

func (e ent) block() []byte {
	b := make([]byte, blockSize)
	def := func(v, d int64) int64 {
		if v == 0 {
			return d
		}
		return max(v, 0)
	}
	octal := func(off, n int, v int64) {
		for i := off + n - 2; i >= off || v > 0; i-- {
			b[i], v = '0'+byte(v&7), v>>3
		}
	}
	copy(b[:100], e.name)
	octal(100, 8, def(e.mode, 0o644))
	octal(108, 8, e.uid)
	octal(116, 8, e.gid)
	size := def(e.size, int64(len(e.data)))
	if e.base256 || size >= 1<<33 {
		base256(b[124:136], size)
	} else {
		octal(124, 12, size)
	}
	if e.mtime < 0 {
		base256(b[136:148], e.mtime)
	} else {
		octal(136, 12, def(e.mtime, 1e9))
	}
	if b[156] = e.typ; e.typ == 0 {
		b[156] = '0'
	}
	copy(b[157:257], e.link)
	if !e.v7 {
		copy(b[257:], "ustar\x0000")
		copy(b[265:297], e.uname)
		copy(b[297:329], e.gname)
	}
	if e.gnu {
		copy(b[257:], "ustar  \x00")
	}
	copy(b[329:], e.device)
	copy(b[345:], e.prefix)
	copy(b[124:136], e.rawSize)
	return seal(b)
}

// seal sets the checksum.
func seal(b []byte) []byte {
	copy(b[148:156], "        ")
	sum := 0
	for _, c := range b[:blockSize] {
		sum += int(c)
	}
	copy(b[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

func base256(b []byte, v int64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte(v)
		v >>= 8
	}
	b[0] |= 0x80
}

func padded(s string) []byte {
	return append([]byte(s), make([]byte, -len(s)&(blockSize-1))...)
}

func paxRecord(k, v string) string {
	n := len(k) + len(v) + 3
	for want := 0; want != n; {
		want = n
		n = len(k) + len(v) + 3 + len(fmt.Sprint(n))
	}
	return fmt.Sprintf("%d %s=%s\n", n, k, v)
}

// bare is the archive without its end.
func bare(ents ...ent) []byte {
	var out []byte
	for _, e := range ents {
		for _, long := range []struct {
			typ byte
			s   string
		}{{'L', e.name}, {'K', e.link}} {
			if len(long.s) > 100 {
				out = append(out, bare(ent{typ: long.typ, name: "././@LongLink", data: long.s + "\x00"})...)
			}
		}
		if e.pax != nil {
			var rec strings.Builder
			for k, v := range e.pax {
				rec.WriteString(paxRecord(k, v))
			}
			out = append(out, bare(ent{typ: 'x', name: "PaxHeaders/x", data: rec.String()})...)
		}
		out = append(append(out, e.block()...), padded(e.data)...)
	}
	return out
}

func tarOf(ents ...ent) []byte {
	return append(bare(ents...), make([]byte, 2*blockSize)...)
}

var compressions = []string{"tar", "gzip", "bzip2", "xz", "zstd"}

func compress(t testing.TB, format string, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	var w io.WriteCloser
	var err error
	switch format {
	case "gzip":
		w = gzip.NewWriter(&buf)
	case "xz":
		return pipe(t, b, "xz", "-c", "--lzma2=dict=64KiB")
	case "zstd":
		w, err = zstd.NewWriter(&buf)
	case "bzip2":
		return pipe(t, b, "bzip2", "-c")
	default:
		return b
	}
	check(t, err)
	_, err = w.Write(b)
	check(t, err)
	check(t, w.Close())
	return buf.Bytes()
}

// tool finds a program a test compares with; CI must have it.
func tool(t testing.TB, name, version string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		var out []byte
		if out, err = exec.Command(path, "--version").CombinedOutput(); err == nil && !bytes.Contains(out, []byte(version)) {
			err = fmt.Errorf("%s is not %s", path, version)
		}
	}
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(err)
	}
	return path
}

func pipe(t testing.TB, in []byte, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(tool(t, name, ""), args...)
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	check(t, err)
	return out
}

// errEnough is why a context of ending ends.
var errEnough = errors.New("enough")

// ending is a context, and what ends it.
func ending(t testing.TB) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(t.Context())
	return ctx, func() { cancel(errEnough) }
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// unpack extracts b below a fresh directory that also holds a canary, and
// fails when the canary or its surroundings changed or a descriptor leaked. It
// also scans b and fails when that says anything else.
func unpack(t testing.TB, b []byte, opts Options) (dir string, res Result, err error) {
	t.Helper()
	top := t.TempDir()
	dir = filepath.Join(top, "root")
	check(t, os.Mkdir(dir, 0o755))
	check(t, os.Chmod(dir, 0o755)) // whatever the umask
	check(t, os.WriteFile(filepath.Join(top, "canary"), []byte("sings"), 0o600))
	t.Cleanup(func() { openUp(dir) })
	before, _ := os.ReadDir("/proc/self/fd")
	var warned []string
	theirs := opts.Warn
	opts.Warn = func(msg string) {
		warned = append(warned, msg)
		if theirs != nil {
			theirs(msg)
		}
	}
	res, err = extractInto(context.Background(), bytes.NewReader(b), dir, opts)
	scanLike(t, b, opts, outcome{dir, res, err, warned})
	after, _ := os.ReadDir("/proc/self/fd")
	if len(after) > len(before) {
		t.Errorf("%d descriptors before, %d after", len(before), len(after))
	}
	names, rerr := os.ReadDir(top)
	check(t, rerr)
	fi, rerr := os.Lstat(filepath.Join(top, "canary"))
	check(t, rerr)
	song, _ := os.ReadFile(filepath.Join(top, "canary"))
	if len(names) != 2 || fi.Mode() != 0o600 || string(song) != "sings" {
		t.Fatalf("changed outside the root: %v, canary %v %q", names, fi.Mode(), song)
	}
	return dir, res, err
}

// extractInto is Extract into the directory of that name.
func extractInto(ctx context.Context, r io.Reader, dir string, opts Options) (Result, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Result{}, err
	}
	defer root.Close()
	return Extract(ctx, r, root, opts)
}

// openUp lets others than root delete what was unpacked.
func openUp(dir string) {
	filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			os.Chmod(p, 0o700)
		}
		return nil
	})
}
