package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func TestScanSequences(t *testing.T) {
	rnd := rand.New(rand.NewPCG(11, 12))
	good, bad := 0, 0
	for range 500 {
		b := make([]byte, 4*(1+rnd.IntN(12)))
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		_, _, err := unpack(t, tarOf(sequence(b)...), Options{Mode: Mode(rnd.IntN(2))})
		if t.Failed() {
			t.Fatalf("%+v", sequence(b))
		}
		if err == nil {
			good++
		} else {
			bad++
		}
	}
	if good < 50 || bad < 50 {
		t.Errorf("%d good, %d bad: the generator shows too little", good, bad)
	}
}

// TestScanWritesNothing besides what the sink does.
func TestScanWritesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("TMPDIR", dir)
	list, _, err := Scan(context.Background(), bytes.NewReader(tarOf(benign["plain"]...)), Options{}, sinkFunc(nil))
	check(t, err)
	names, err := os.ReadDir(dir)
	check(t, err)
	if len(names) > 0 || len(list) != 5 {
		t.Errorf("found %v, scanned %v", names, list)
	}
}

// sinkFunc is a sink that skips everything without a function for File.
type sinkFunc func(e Entry, c *Content) error

func (s sinkFunc) File(e Entry, c *Content) error {
	if s == nil {
		return nil
	}
	return s(e, c)
}
func (sinkFunc) Link(Entry, string) error { return nil }
func (sinkFunc) Drop(string) error        { return nil }

func TestScanImplied(t *testing.T) {
	b := tarOf(ent{name: "d/e/f", data: "x", mtime: 5}, ent{name: "d-e"}, ent{name: "d", typ: '5', mode: 0o700, mtime: 6})
	list, res, err := Scan(context.Background(), bytes.NewReader(b), Options{Mode: Strict}, sinkFunc(nil))
	check(t, err)
	var got []string
	for _, e := range list {
		got = append(got, fmt.Sprint(e.Path, " ", e.Mode|0o022, " ", e.Implied)) // whatever the umask
	}
	want := []string{" drwxrwxrwx true", "d drwx-w--w- false", "d-e -rw-rw-rw- false", "d/e drwxrwxrwx true",
		"d/e/f -rw-rw-rw- false"}
	if !reflect.DeepEqual(got, want) && processUmask() == 0o022 || res.HasRoot || list[4].MTime != 5e9 ||
		list[1].MTime != 6e9 {
		t.Errorf("got %q, %+v", got, list)
	}
}

func TestScanUmask(t *testing.T) {
	if got := processUmask(); got != swapUmask() || os.Geteuid() != 0 && got != umaskOf(t) {
		t.Errorf("processUmask says %o, swapUmask %o", got, swapUmask())
	}
}

type sinkError struct{}

func (*sinkError) Error() string { return "sink is full" }

// TestScanSinkErrors end the scan at once, wherever they come from.
func TestScanSinkErrors(t *testing.T) {
	b := tarOf(ent{name: "a"}, ent{name: "b", typ: '1', link: "a"}, ent{name: "a", data: "x"}, ent{name: "never"})
	for i, name := range []string{"a", "b", "a", "a"} {
		list, _, err := Scan(context.Background(), bytes.NewReader(b), Options{}, &failing{t: t, at: i})
		var own *sinkError
		if list != nil || !errors.As(err, &own) || isOurs(err) ||
			err.Error() != fmt.Sprintf("archive entry %q: sink is full", name) {
			t.Errorf("call %d: %v", i, err)
		}
	}
}

// failing fails at one call and must not be called after it.
type failing struct {
	t     *testing.T
	calls int
	at    int
}

func (f *failing) call() error {
	if f.calls++; f.calls == f.at+1 {
		return &sinkError{}
	} else if f.calls > f.at+1 {
		f.t.Error("sink is called after its error")
	}
	return nil
}

func (f *failing) File(Entry, *Content) error { return f.call() }
func (f *failing) Link(Entry, string) error   { return f.call() }
func (f *failing) Drop(string) error          { return f.call() }

// TestScanSwallowed errors of the archive end the scan all the same, and go
// before what the sink made of them.
func TestScanSwallowed(t *testing.T) {
	b := bare(ent{name: "f", data: "x", size: 5000})
	for _, own := range []error{nil, errors.New("cannot close")} {
		var c *Content
		_, _, err := Scan(context.Background(), bytes.NewReader(b), Options{},
			sinkFunc(func(_ Entry, content *Content) error {
				c = content
				if _, err := io.Copy(io.Discard, c); !errors.Is(err, ErrMalformed) {
					t.Errorf("sink reads %v", err)
				}
				return own
			}))
		if !errors.Is(err, ErrMalformed) || errors.Is(err, own) {
			t.Errorf("got %v", err)
		}
		if _, again := c.Read(make([]byte, 1)); again == nil {
			t.Error("content can be read after the scan")
		}
	}
}

func TestScanClosesContent(t *testing.T) {
	var first *Content
	_, _, err := Scan(context.Background(), bytes.NewReader(hello), Options{}, sinkFunc(func(_ Entry, c *Content) error {
		first = c
		return nil
	}))
	check(t, err)
	if n, err := first.Read(make([]byte, 1)); n != 0 || !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

// TestScanCancel has a sink that leaves an endless file unread.
func TestScanCancel(t *testing.T) {
	for _, when := range []int{0, 4 << 20} {
		ctx, cancel := ending(t)
		r := &endless{head: bytes.NewReader(bare(ent{name: "f", size: 1 << 40})), at: math.MaxInt, then: cancel}
		_, _, err := Scan(ctx, r, Options{}, sinkFunc(func(Entry, *Content) error {
			r.at = r.n + when
			return nil
		}))
		if !errors.Is(err, errEnough) || isOurs(err) || r.n > 6<<20 {
			t.Fatalf("%v after %d bytes", err, r.n)
		}
	}
}

// TestScanSparse writes a part of a sparse file by hand and the rest by CopyTo.
func TestScanSparse(t *testing.T) {
	const size = 40 << 20
	b := tarOf(ent{name: "s", data: "headtail", pax: map[string]string{"GNU.sparse.major": "0", "GNU.sparse.minor": "1",
		"GNU.sparse.numblocks": "2", "GNU.sparse.map": "0,4,20000000,4", "GNU.sparse.size": fmt.Sprint(size)}})
	want := make([]byte, size)
	copy(want, "head")
	copy(want[20000000:], "tail")
	for _, part := range []int64{0, 3, 70_000, size - 1, size} {
		f, err := os.Create(filepath.Join(t.TempDir(), "f"))
		check(t, err)
		_, _, err = Scan(context.Background(), bytes.NewReader(b), Options{}, sinkFunc(func(e Entry, c *Content) error {
			if e.Size != size {
				t.Errorf("size %d", e.Size)
			}
			if _, err := io.CopyN(f, c, part); err != nil {
				return err
			}
			return c.CopyTo(f)
		}))
		check(t, err)
		check(t, f.Close())
		got, err := os.ReadFile(f.Name())
		check(t, err)
		fi, err := os.Stat(f.Name())
		check(t, err)
		if used := fi.Sys().(*syscall.Stat_t).Blocks * 512; !bytes.Equal(got, want) || used > part+1<<20 {
			t.Errorf("after %d bytes: %d bytes, right: %v, %d on disk", part, len(got), bytes.Equal(got, want), used)
		}
	}
}

// TestScanMemory bounds the heap by files: 100 000 of them with paths of 60
// bytes, while they are read and when they are returned.
func TestScanMemory(t *testing.T) {
	const files, most, mostAfter = 100_000, 18 << 20, 14 << 20
	r := manyOf(files, func(i int) ent {
		return ent{name: fmt.Sprintf("some/directory/%03d/and/one/more/%s/file-%06d", i%200, strings.Repeat("x", 16), i)}
	})
	before, during, n := heap(), int64(0), 0
	list, _, err := Scan(context.Background(), r, Options{}, sinkFunc(func(e Entry, _ *Content) error {
		if n++; n == files {
			during = heap() - before
		}
		return nil
	}))
	check(t, err)
	after := heap() - before
	t.Logf("%d bytes while scanning, %d bytes for the %d entries returned", during, after, len(list))
	if during > most || after > mostAfter || len(list) < files || len(list[len(list)-1].Path) != 60 {
		t.Errorf("%d bytes while scanning, %d bytes after, last is %+v", during, after, list[len(list)-1])
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
