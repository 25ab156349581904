package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"
)

func TestLimits(t *testing.T) {
	three := tarOf(ent{name: "a", data: strings.Repeat("x", 1000)},
		ent{name: "b/c/d", data: strings.Repeat("y", 1000)}, ent{name: "e"})
	bomb := tarOf(ent{name: "z", data: strings.Repeat("\x00", 8<<20)})
	globals := bytes.Repeat(bare(ent{name: "g", typ: 'g', data: paxRecord("comment", "x")}), 50)
	chain := bytes.Repeat(bare(ent{name: "l", typ: 'L', data: strings.Repeat("x", 100_000)}), 100)
	deep := tarOf(ent{name: "1/" + strings.Repeat("a/", 600) + "f"}, ent{name: "2/" + strings.Repeat("a/", 600) + "f"})
	linked := []ent{{name: "f", data: strings.Repeat("x", 10_000)}}
	for _, name := range []string{"a", "b", "c", "d"} {
		linked = append(linked, ent{name: name, typ: '1', link: "f"})
	}
	links := tarOf(linked...)
	sparse := tarOf(ent{name: "s", data: "x",
		pax: map[string]string{"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.numblocks": "1",
			"GNU.sparse.map": "0,1", "GNU.sparse.size": "1000000000000"}})
	for _, c := range []struct {
		name string
		b    []byte
		lim  Limits
		want error
	}{
		{"bytes fit", three, Limits{Bytes: 2000}, nil},
		{"bytes over", three, Limits{Bytes: 1999}, ErrLimit},
		{"entries fit", three, Limits{Entries: 5}, nil}, // b and b/c have none of their own
		{"entries over", three, Limits{Entries: 4}, ErrLimit},
		{"implied directories", deep, Limits{Entries: 1000}, ErrLimit},
		{"implied for a link", tarOf(ent{name: "a"}, ent{name: "b/c/d", typ: '1', link: "a"}), Limits{Entries: 3}, ErrLimit},
		{"implied for a directory", tarOf(ent{name: "b/c/d", typ: '5'}), Limits{Entries: 2}, ErrLimit},
		{"implied once", tarOf(ent{name: "d/a"}, ent{name: "d/b", typ: '2', link: "x"}, ent{name: "d/c", typ: '6'}),
			Limits{Entries: 4}, nil},
		{"links fit", links, Limits{Bytes: 50_000}, nil},
		{"links over", links, Limits{Bytes: 49_999}, ErrLimit},
		{"links to itself", tarOf(ent{name: "a", data: "12345"}, ent{name: "a", typ: '1', link: "a"}), Limits{Bytes: 5},
			nil},
		{"links to a link", tarOf(ent{name: "a", data: "12345"}, ent{name: "b", typ: '1', link: "a"},
			ent{name: "c", typ: '1', link: "b"}), Limits{Bytes: 14}, ErrLimit},
		{"links before content", tarOf(ent{name: "a", data: "12345"}, ent{name: "b", typ: '1', link: "a"},
			ent{name: "c", data: "12345"}), Limits{Bytes: 14}, ErrLimit},
		{"name fits", three, Limits{NameLen: 5}, nil},
		{"name over", three, Limits{NameLen: 4}, ErrLimit},
		{"depth fits", three, Limits{Depth: 3}, nil},
		{"depth over", three, Limits{Depth: 2}, ErrLimit},
		{"bomb", bomb, Limits{Bytes: 1 << 20}, ErrLimit},
		{"global headers", globals, Limits{Entries: 40}, ErrLimit},
		{"endless meta headers", chain, Limits{Bytes: 1000}, ErrLimit},
		{"sparse", sparse, Limits{Bytes: 1 << 20}, ErrLimit},
		{"zeros after the end", append(slices.Clone(three), make([]byte, 8<<20)...), Limits{Bytes: 1 << 20}, ErrLimit},
		{"some zeros after the end", append(slices.Clone(three), make([]byte, 1<<20)...), Limits{Bytes: 1 << 20}, nil},
	} {
		for _, format := range []string{"tar", "gzip", "zstd"} {
			t.Run(c.name+"/"+format, func(t *testing.T) {
				_, _, err := unpack(t, compress(t, format, c.b), Options{Limits: c.lim})
				if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
					t.Fatalf("got %v, want %v", err, c.want)
				}
			})
		}
	}
}

// TestEndless refuses what would be decompressed for ever, but not what is as
// long as it is.
func TestEndless(t *testing.T) {
	opts := Options{Limits: Limits{behind: 16 << 20}}
	zeros := compress(t, "gzip", make([]byte, 4<<20))
	r := io.MultiReader(bytes.NewReader(compress(t, "gzip", hello)), &cycle{part: zeros})
	if _, err := extractInto(context.Background(), r, t.TempDir(), opts); !errors.Is(err, ErrLimit) {
		t.Errorf("zeros behind the end: %v", err)
	}
	plain := io.MultiReader(bytes.NewReader(hello), io.LimitReader(&cycle{part: make([]byte, 1<<20)}, 17<<20))
	_, err := extractInto(context.Background(), plain, t.TempDir(), opts)
	check(t, err)
	if l := (Limits{}).withDefaults(); l.behind != behindSlack {
		t.Errorf("%d bytes may be behind the end", l.behind)
	}
}

// TestOver8GiB reads an old GNU sparse file with a base-256 size.
func TestOver8GiB(t *testing.T) {
	const size = 8<<30 + 4096
	b := ent{name: "big", typ: 'S', data: "tail"}.block()
	copy(b[257:], "ustar  \x00")
	copy(b[386:], fmt.Sprintf("%011o\x00%011o\x00", 0, 0)) // one map entry: base-256 offset, 4 bytes
	base256(b[386:398], size-4)
	copy(b[398:], fmt.Sprintf("%011o\x00", 4))
	base256(b[483:495], size)
	b = append(append(seal(b), padded("tail")...), make([]byte, 1024)...)
	dir, res, err := unpack(t, b, Options{})
	check(t, err)
	fi, err := os.Stat(filepath.Join(dir, "big"))
	check(t, err)
	if fi.Size() != size || res.Bytes != size || fi.Sys().(*syscall.Stat_t).Blocks > 1000 {
		t.Fatalf("size %d, counted %d, blocks %d", fi.Size(), res.Bytes, fi.Sys().(*syscall.Stat_t).Blocks)
	}
}

// endless never ends, and counts what was taken.
type endless struct {
	head io.Reader
	n    int
	at   int // where to call then
	then func()
}

func (e *endless) Read(p []byte) (int, error) {
	if e.n += len(p); e.n >= e.at {
		e.then()
	}
	if n, err := e.head.Read(p); err == nil {
		return n, nil
	}
	clear(p)
	return len(p), nil
}

func TestCancel(t *testing.T) {
	file := bare(ent{name: "f", size: 1 << 40})
	end := tarOf(ent{name: "f"})
	for name, head := range map[string][]byte{"inside a file": file, "after the end": end} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := ending(t)
			r := &endless{head: bytes.NewReader(head), at: 4 << 20, then: cancel}
			_, err := extractInto(ctx, r, t.TempDir(), Options{})
			if !errors.Is(err, errEnough) || errors.Is(err, ErrMalformed) || r.n > 6<<20 {
				t.Fatalf("%v after %d bytes", err, r.n)
			}
		})
	}
}

// atEnd calls then when all of r has been read.
type atEnd struct {
	r    io.Reader
	then func()
}

func (a *atEnd) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	if err == io.EOF {
		a.then()
	}
	return n, err
}

// TestCancelAtEnd cancels when all has been read, and directories get their metadata.
func TestCancelAtEnd(t *testing.T) {
	for name, b := range map[string][]byte{
		"plain": tarOf(ent{name: "d/"}), "compressed": compress(t, "gzip", tarOf(ent{name: "d/"})),
		"in segments": segmented(t, "gzip", tarOf(ent{name: "d/"}), 512),
	} {
		ctx, cancel := ending(t)
		_, err := extractInto(ctx, &atEnd{bytes.NewReader(b), cancel}, t.TempDir(), Options{})
		if !errors.Is(err, errEnough) || errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestCancelCompressed stops the read-ahead too, even one that yields nothing.
func TestCancelCompressed(t *testing.T) {
	empty := compress(t, "gzip", nil)
	for name, part := range map[string][]byte{"empty members": empty, "bomb": compress(t, "gzip", make([]byte, 1<<20))} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := ending(t)
			first := bytes.NewReader(compress(t, "gzip", bare(ent{name: "f", size: 1 << 40})))
			r := &endless{head: io.MultiReader(first, &cycle{part: part}), at: 1 << 20, then: cancel}
			before := runtime.NumGoroutine()
			_, err := extractInto(ctx, r, t.TempDir(), Options{})
			if !errors.Is(err, errEnough) || errors.Is(err, ErrMalformed) {
				t.Fatalf("got %v", err)
			}
			for range 60_000 { // one that has said goodbye may still be counted
				if runtime.NumGoroutine() <= before {
					return
				}
				time.Sleep(time.Millisecond)
			}
			t.Errorf("%d goroutines before, %d after", before, runtime.NumGoroutine())
		})
	}
}

// TestCancelHole cancels while a hole is read, for which the archive is not.
func TestCancelHole(t *testing.T) {
	ctx, cancel := ending(t)
	b := tarOf(ent{name: "/s", data: "x", pax: map[string]string{"GNU.sparse.major": "0", "GNU.sparse.minor": "1",
		"GNU.sparse.numblocks": "1", "GNU.sparse.map": "4000000000000,1", "GNU.sparse.size": "4000000000001"}})
	_, err := extractInto(ctx, bytes.NewReader(b), t.TempDir(), Options{Warn: func(string) { cancel() }})
	if !errors.Is(err, errEnough) {
		t.Fatalf("got %v", err)
	}
}

// TestFaultEndsReadAhead has an input whose decompressor would read for ever.
func TestFaultEndsReadAhead(t *testing.T) {
	first := compress(t, "gzip", append(bare(ent{name: "../x"}), make([]byte, aheadSize)...))
	r := io.MultiReader(bytes.NewReader(first), &cycle{part: compress(t, "gzip", nil)})
	_, err := extractInto(context.Background(), r, t.TempDir(), Options{})
	if !errors.Is(err, ErrUnsafe) {
		t.Fatalf("got %v", err)
	}
}

// cycle repeats part for ever.
type cycle struct {
	part []byte
	i    int
}

func (c *cycle) Read(p []byte) (int, error) {
	n := copy(p, c.part[c.i:])
	c.i = (c.i + n) % len(c.part)
	return n, nil
}

func TestTruncated(t *testing.T) {
	whole := tarOf(ent{name: "d", typ: '5', mode: 0o755}, ent{name: "d/f", data: strings.Repeat("x", 1500)},
		ent{name: strings.Repeat("l", 150), data: "y"},
		ent{name: "p", data: "z", pax: map[string]string{"path": "q"}})
	for n := range len(whole) {
		if n%512 > 1 && n%37 != 0 {
			continue
		}
		_, _, err := unpack(t, whole[:n], Options{})
		between := n == 512 || n == 2560 || n == 4608 // where an entry ends, and no header speaks of the next
		legal := between || n >= 6656                 // or in the end marker
		if err == nil && !legal || err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("cut at %d: %v", n, err)
		}
		if _, _, err = unpack(t, whole[:n], Options{Mode: Strict}); !errors.Is(err, ErrMalformed) {
			t.Errorf("strict, cut at %d: %v", n, err)
		}
	}
}

func TestTruncatedCompressed(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 3000)
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	whole := tarOf(ent{name: "f", data: string(noise)})
	for _, format := range compressions[1:] {
		b := compress(t, format, whole)
		for n := 0; n < len(b); n += 1 + n/20 {
			if _, _, err := unpack(t, b[:n], Options{}); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s cut at %d of %d: %v", format, n, len(b), err)
			}
		}
		for n := 1; n < 16; n++ {
			if _, _, err := unpack(t, b[:len(b)-n], Options{}); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s without its last %d bytes: %v", format, n, err)
			}
		}
	}
}

// TestSystemErrors are not the archive's fault.
func TestSystemErrors(t *testing.T) {
	broken := errors.New("broken disk")
	b := tarOf(ent{name: "f", data: strings.Repeat("x", 1<<20)})
	for _, format := range compressions {
		r := io.MultiReader(bytes.NewReader(compress(t, format, b)[:30]), iotest.ErrReader(broken))
		_, err := extractInto(context.Background(), r, t.TempDir(), Options{})
		if !errors.Is(err, broken) || isOurs(err) {
			t.Errorf("%s: %v", format, err)
		}
	}
	full := t.TempDir()
	check(t, os.WriteFile(filepath.Join(full, "f"), nil, 0o600))
	if _, err := extractInto(context.Background(), bytes.NewReader(b), full, Options{}); err == nil || isOurs(err) {
		t.Errorf("root in use: %v", err)
	}
}

func isOurs(err error) bool {
	return errors.Is(err, ErrMalformed) || errors.Is(err, ErrUnsafe) || errors.Is(err, ErrLimit)
}
