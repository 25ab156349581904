package pack

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"stretcher/internal/archive"
	"stretcher/internal/archive/index"
	"stretcher/internal/testparts"
)

var compressions = map[string]Compression{"gzip": Gzip, "zstd": Zstd}

// pack packs the directory of that name.
func pack(t testing.TB, dir string, opts Options) ([]byte, Result, error) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	check(t, err)
	defer root.Close()
	var b bytes.Buffer
	res, err := Write(t.Context(), root, &b, opts)
	return b.Bytes(), res, err
}

// stream decompresses an archive by libraries that know nothing of members.
func stream(t testing.TB, b []byte, c Compression) []byte {
	t.Helper()
	var r io.Reader
	var err error
	if c == Gzip {
		r, err = gzip.NewReader(bytes.NewReader(b))
	} else {
		r, err = zstd.NewReader(bytes.NewReader(b), zstd.WithDecoderConcurrency(1))
	}
	check(t, err)
	all, err := io.ReadAll(r)
	check(t, err)
	return all
}

// unpack unpacks an archive as a deployment does.
func unpack(t testing.TB, b []byte) (dir string) {
	t.Helper()
	dir = t.TempDir()
	root, err := os.OpenRoot(dir)
	check(t, err)
	defer root.Close()
	_, err = archive.Extract(t.Context(), bytes.NewReader(b), root, archive.Options{})
	check(t, err)
	return dir
}

// TestRandomTrees packs trees and unpacks them, by this program and by GNU
// tar: they are the same.
func TestRandomTrees(t *testing.T) {
	tar := testparts.Need(t, "tar")
	for seed := range uint64(5) {
		for name, c := range compressions {
			t.Run(fmt.Sprint(name, seed), func(t *testing.T) {
				dir := t.TempDir()
				randomTree(t, rand.New(rand.NewPCG(seed, 1)), dir)
				b, res, err := pack(t, dir, Options{Compression: c})
				check(t, err)
				want := look(t, dir)
				if got := look(t, unpack(t, b)); got != want {
					t.Errorf("unpacked:\n%s\npacked:\n%s", got, want)
				}
				other := t.TempDir()
				run(t, b, tar, "-x", "-p", "--"+name, "-C", other, "-f", "-")
				if got := look(t, other); got != want {
					t.Errorf("unpacked by GNU tar:\n%s\npacked:\n%s", got, want)
				}
				again, _, err := pack(t, dir, Options{Compression: c, Cores: 1 + int(seed)%5})
				if check(t, err); !bytes.Equal(again, b) {
					t.Error("packed again, it is another archive")
				}
				checkIndex(t, res.Index, b, stream(t, b, c))
			})
		}
	}
}

func run(t testing.TB, in []byte, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// checkIndex holds that an index speaks of this archive, and that its stream
// can be put together again.
func checkIndex(t *testing.T, made *index.Index, b, stream []byte) {
	t.Helper()
	x, err := index.Decode(made.Encode())
	check(t, err)
	if x.Archive != sha256.Sum256(b) || x.Size != int64(len(b)) || x.Stream != int64(len(stream)) {
		t.Errorf("%d bytes with a stream of %d: %d and %d", len(b), len(stream), x.Size, x.Stream)
	}
	for i, m := range x.Members {
		if sha256.Sum256(b[m.Offset:m.Offset+int64(m.Length)]) != m.Sum {
			t.Fatalf("member %d has another digest", i)
		}
	}
	content := func(i int) []byte { return stream[x.Files[i].Start : x.Files[i].Start+x.Files[i].Size] }
	for i, f := range x.Files {
		if sha256.Sum256(content(i)) != f.Sum {
			t.Fatalf("%q has another digest", f.Path)
		}
	}
	r := x.Rebuild(func(i int) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content(i))), nil })
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, stream) {
		t.Errorf("the stream is another one: %v", err)
	}
}

// golden is a small tree of everything.
func golden(t testing.TB) string {
	dir := t.TempDir()
	rnd := rand.New(rand.NewPCG(5, 6))
	files := map[string]string{"README": "read me\n", "empty": "", "bin/link": "->../README", "caf\xc3\xa9": "1",
		strings.Repeat("long/", 60) + "file": "deep"}
	for i := range 40 {
		files[fmt.Sprintf("src/%02d.go", i)] = text(rnd, 1+rnd.IntN(20_000))
	}
	files["data.bin"] = text(rnd, 700_000) + string(randomContent(rnd))
	plant(t, dir, files)
	check(t, os.Link(filepath.Join(dir, "README"), filepath.Join(dir, "READTOO")))
	check(t, os.Chmod(filepath.Join(dir, "bin"), 0o700))
	settle(t, dir)
	return dir
}

func text(rnd *rand.Rand, size int) string {
	words := strings.Fields("return error nil func string range package import const struct byte context")
	var b strings.Builder
	for b.Len() < size {
		fmt.Fprintln(&b, words[rnd.IntN(len(words))], rnd.IntN(1000))
	}
	return b.String()[:size]
}

// TestGolden holds that every machine and every version makes the same
// archive. When a new version of the compressor or of this package makes others,
// that is a change which users see: everybody's unchanged applications are
// uploaded and fetched again.
func TestGolden(t *testing.T) {
	dir := golden(t)
	for name, want := range map[string]string{
		"gzip": "347205a64f694942cdb520e16f7d294b5fb6eb70ab30b7b1050440ffba31b562 " +
			"9c938a6eceef9c809b5ad19f0f729116f63f73066bc0c97c5df6cfc6cec92c1b",
		"zstd": "4800c8e861822555eda78436b1108b6903964f49fa5c75020584d24828fd3e39 " +
			"e4f81599ef81ed6d8f292d0ab1b45d0c8184ffdf139f0968a06264756e44859b",
	} {
		b, res, err := pack(t, dir, Options{Compression: compressions[name]})
		check(t, err)
		if got := fmt.Sprintf("%x %x", sha256.Sum256(b), sha256.Sum256(res.Index.Encode())); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestTools holds that the archives are read by what is used for that.
func TestTools(t *testing.T) {
	dir := golden(t)
	_, want, _ := strings.Cut(look(t, dir), "\n") // bsdtar and busybox leave the root alone
	for _, c := range []struct {
		tool string
		args []string
		how  Compression
	}{
		{"tar", []string{"-xp"}, Gzip},
		{"tar", []string{"-xp"}, Zstd},
		{"bsdtar", []string{"-xp"}, Gzip},
		{"bsdtar", []string{"-xp"}, Zstd},
		{"busybox", []string{"tar", "-xzp"}, Gzip},
	} {
		t.Run(fmt.Sprint(c.tool, c.how), func(t *testing.T) {
			tool := testparts.Need(t, c.tool)
			b, _, err := pack(t, dir, Options{Compression: c.how})
			check(t, err)
			name, to := filepath.Join(t.TempDir(), "archive"), t.TempDir()
			check(t, os.WriteFile(name, b, 0o600))
			run(t, nil, tool, append(c.args, "-f", name, "-C", to)...)
			_, got, _ := strings.Cut(look(t, to), "\n")
			want := want
			if c.tool == "busybox" { // it sets the times of files alone
				notFiles := regexp.MustCompile(`(?m)( [dL]\S+) \d+`)
				got, want = notFiles.ReplaceAllString(got, "$1"), notFiles.ReplaceAllString(want, "$1")
			}
			if got != want {
				t.Errorf("unpacked:\n%s\npacked:\n%s", got, want)
			}
		})
	}
}

// TestSize holds the size of an archive against gzip, also where there is little
// in a file but its header, and where all is in one file.
func TestSize(t *testing.T) {
	gz := testparts.Need(t, "gzip")
	goroot := strings.TrimSpace(run(t, nil, "go", "env", "GOROOT"))
	dirs := map[string]string{"net": filepath.Join(goroot, "src", "net"), "sources": filepath.Join("..", "..")}
	for name, files := range sized() {
		dirs[name] = t.TempDir()
		plant(t, dirs[name], files)
	}
	for what, dir := range dirs {
		for name, c := range compressions {
			b, _, err := pack(t, dir, Options{Compression: c})
			check(t, err)
			plain := len(run(t, stream(t, b, c), gz, "-6", "-n", "-c"))
			if ratio := float64(len(b)) / float64(plain); ratio > 1.05 {
				t.Errorf("%s of %s: %d bytes, %.3f x what gzip -6 makes", name, what, len(b), ratio)
			}
		}
	}
}

// sized are trees by their names.
func sized() map[string]map[string]string {
	rnd, words := rand.New(rand.NewPCG(7, 8)), strings.Fields(text(rand.New(rand.NewPCG(9, 9)), 300))
	tiny, empty, docs := map[string]string{}, map[string]string{}, map[string]string{}
	for i := range 2000 {
		tiny[fmt.Sprintf("d%d/f%d", i%17, i)] = text(rnd, 100+rnd.IntN(300))
		empty[fmt.Sprintf("d%d/%d", i%50, i)], empty[fmt.Sprintf("d%d/%d.x", i%50, i)] = "", ""
	}
	for i := range 3000 {
		docs[fmt.Sprintf("%d.json", i)] = fmt.Sprintf(`{"id": %d, "value": %d}`, i, rnd.IntN(1_000_000))
	}
	var b strings.Builder
	for i := range 40_000 {
		fmt.Fprintf(&b, "2026-11-26T12:%02d:%02d", i/60%60, i%60)
		for range 8 {
			b.WriteString(" " + words[rnd.IntN(len(words))])
		}
		b.WriteString("\n")
	}
	return map[string]map[string]string{"tiny files": tiny, "empty files": empty, "JSON": docs,
		"a log": {"log": b.String()}}
}

func TestOptions(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, map[string]string{"keep": "1", "drop": "2", "sub/drop": "3", "sub/keep": "4", "gone/file": "5"})
	early := time.Unix(123456789, 987654321)
	var read int64
	b, res, err := pack(t, dir, Options{Time: &early, Progress: func(n int64) { read += n },
		Skip: func(path string, isDir bool) bool { return strings.HasSuffix(path, "drop") || isDir && path == "gone" }})
	check(t, err)
	got := run(t, b, testparts.Need(t, "tar"), "-tvz", "--full-time", "--utc", "--numeric-owner", "-f", "-")
	want := `drwxr-xr-x 0/0               0 1973-11-29 21:33:09 ./
-rw-r--r-- 0/0               1 1973-11-29 21:33:09 keep
drwxr-xr-x 0/0               0 1973-11-29 21:33:09 sub/
-rw-r--r-- 0/0               1 1973-11-29 21:33:09 sub/keep
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if res.Entries != 4 || res.Bytes != 2 || read != 2 {
		t.Errorf("%d entries, %d bytes, %d of them told of", res.Entries, res.Bytes, read)
	}
}

func TestOwners(t *testing.T) {
	if os.Geteuid() != 0 {
		testparts.Missing(t, "only root gives files away")
	}
	dir := t.TempDir()
	plant(t, dir, map[string]string{"file": "1"})
	group := uint32(1 << 31)
	check(t, os.Chown(filepath.Join(dir, "file"), 12345, int(group)))
	for owners, want := range map[bool]string{false: " 0/0 ", true: " 12345/2147483648 "} {
		b, _, err := pack(t, dir, Options{Owners: owners})
		check(t, err)
		if got := run(t, b, "tar", "-tvz", "--numeric-owner", "-f", "-"); !strings.Contains(got, want) {
			t.Errorf("%v:\n%s", owners, got)
		}
	}
}

// TestOthers holds what becomes of what is no file.
func TestOthers(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, map[string]string{"file": "1", ".stretcher-01890a5d-ac96-774b-bcce-b302099a8057-0/x": "2"})
	check(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	check(t, err)
	defer syscall.Close(fd)
	t.Chdir(dir) // the path of a socket is short
	check(t, syscall.Bind(fd, &syscall.SockaddrUnix{Name: "socket"}))
	var warned []string
	_, res, err := pack(t, dir, Options{Warn: func(msg string) { warned = append(warned, msg) }})
	check(t, err)
	want := `[".stretcher-01890a5d-ac96-774b-bcce-b302099a8057-0" is left out: it is a temporary directory of ` +
		`a deployment "fifo" is left out: it is a FIFO "socket" is left out: it is a socket]`
	if got := fmt.Sprint(warned); got != want || res.Entries != 2 {
		t.Errorf("%d entries, %s", res.Entries, got)
	}
	if syscall.Mknod(filepath.Join(dir, "device"), syscall.S_IFCHR, 1<<8|3) != nil {
		testparts.Missing(t, "only root makes devices")
	}
	if _, _, err := pack(t, dir, Options{}); err == nil || !strings.Contains(err.Error(), `"device" is a device`) {
		t.Error(err)
	}
}

// TestChanged changes the tree while it is packed: at the moment when the
// content of a file is read, or a name is looked at.
func TestChanged(t *testing.T) {
	for name, change := range map[string]func(dir string) error{
		"longer":  func(dir string) error { return appendTo(dir+"/b", "more") },
		"shorter": func(dir string) error { return os.Truncate(dir+"/b", 150_000) },
		"other": func(dir string) error {
			return os.WriteFile(dir+"/b", bytes.Repeat([]byte("y"), 200_000), 0o644)
		},
		"touched":        func(dir string) error { return os.Chtimes(dir+"/b", time.Time{}, time.Unix(5, 0)) },
		"mode":           func(dir string) error { return os.Chmod(dir+"/b", 0o600) },
		"gone":           func(dir string) error { return os.Remove(dir + "/c") },
		"gone directory": func(dir string) error { return os.RemoveAll(dir + "/d") },
		"new":            func(dir string) error { return os.WriteFile(dir+"/a", nil, 0o644) },
		"a symlink now":  func(dir string) error { return errors.Join(os.Remove(dir+"/c"), os.Symlink("b", dir+"/c")) },
		"a directory behind a symlink": func(dir string) error {
			return errors.Join(os.RemoveAll(dir+"/d"), os.Symlink("e", dir+"/d"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			plant(t, dir, map[string]string{"b": strings.Repeat("x", 200_000), "c": "c", "d/f": "f", "e/f": "f"})
			done := false
			_, res, err := pack(t, dir, Options{Progress: func(int64) {
				if !done {
					done = true
					check(t, change(dir))
				}
			}})
			if !errors.Is(err, ErrChanged) || res.Index != nil {
				t.Errorf("%v, %+v", err, res)
			}
		})
	}
}

func appendTo(name, text string) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func TestErrors(t *testing.T) {
	dir := golden(t)
	root, err := os.OpenRoot(dir)
	check(t, err)
	defer root.Close()
	full := errors.New("the disk is full")
	for _, room := range []int{0, 1, 100_000} {
		res, err := Write(t.Context(), root, &narrow{room, full}, Options{})
		if !errors.Is(err, full) || res.Index != nil {
			t.Errorf("room for %d bytes: %v", room, err)
		}
		if n := strings.Count(fmt.Sprint(err), full.Error()); n != 1 {
			t.Errorf("said %d times: %v", n, err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(full)
	if _, err := Write(ctx, root, io.Discard, Options{}); !errors.Is(err, full) {
		t.Error(err)
	}
}

// narrow takes so many bytes.
type narrow struct {
	room int
	err  error
}

func (n *narrow) Write(p []byte) (int, error) {
	if n.room -= len(p); n.room < 0 {
		return 0, n.err
	}
	return len(p), nil
}

// TestInterrupted: a large file is no reason to go on.
func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "large"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(1<<40), f.Close()); err != nil {
		t.Skip("no files as large as that here: ", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	_, err = Write(ctx, root, io.Discard, Options{Progress: func(int64) { cancel(stop) }})
	if !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
}
