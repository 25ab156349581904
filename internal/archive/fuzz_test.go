package archive

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"stretcher/internal/disk/confined"
)

// FuzzExtract holds that nothing panics, nothing but the root changes, and no
// limit is passed, whatever the input.
func FuzzExtract(f *testing.F) {
	seeds := 0
	for _, name := range slices.Sorted(maps.Keys(benign)) {
		b := tarOf(benign[name]...)
		for flags := range byte(4) {
			f.Add(b, flags)
		}
		seeds += len(b)
	}
	for _, format := range compressions {
		f.Add(compress(f, format, tarOf(benign["plain"]...)), byte(0))
	}
	f.Add(tarOf(ent{name: "l", typ: '2', link: ".."}, ent{name: "l/canary", data: "x"}), byte(fuzzReseal))
	f.Add(tarOf(ent{name: "d", typ: '5'}, ent{name: "d", typ: '2', link: "../canary"},
		ent{name: "h", typ: '1', link: "d"}), byte(fuzzReseal))
	f.Add(tarOf(ent{name: "s", data: "x",
		pax: map[string]string{"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.numblocks": "1",
			"GNU.sparse.map": "0,1", "GNU.sparse.size": "100000"}}), byte(fuzzReseal|fuzzStrict))
	if seeds == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, b []byte, flags byte) {
		strict := flags&fuzzStrict != 0
		if flags&fuzzReseal != 0 {
			b = reseal(slices.Clone(b))
		}
		opts := Options{Limits: Limits{Bytes: 1 << 20, Entries: 100, NameLen: 2000, Depth: 50}}
		if strict {
			opts.Mode = Strict
		}
		dir, res, err := unpack(t, b, opts)
		if err == nil && (res.Bytes > opts.Limits.Bytes || res.Entries > opts.Limits.Entries) {
			t.Fatalf("limits passed: %+v", res)
		}
		if err == nil && strict {
			strictTree(t, dir)
		}
		if err != nil && err.Error() == "" || errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
	})
}

// FuzzScan holds that Scan says of any sequence of entries what Extract makes
// of it, errors included; see unpack. FuzzExtract does so for any bytes.
func FuzzScan(f *testing.F) {
	rnd := rand.New(rand.NewPCG(21, 22))
	for i := range 40 {
		b := make([]byte, 4*i)
		for j := range b {
			b[j] = byte(rnd.Uint32())
		}
		f.Add(b, byte(i))
	}
	f.Fuzz(func(t *testing.T, b []byte, flags byte) {
		opts := Options{Mode: Mode(flags & fuzzStrict), Limits: Limits{Bytes: 20_000, Entries: 50, Depth: 4}}
		ents := sequence(b)
		raw := tarOf(ents...)
		if flags&fuzzCut != 0 && len(b) > 1 {
			raw = raw[:len(raw)*int(b[1])/256]
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		unpack(t, raw, opts)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
			t.Errorf("%d bytes allocated for %d entries", n, len(ents))
		}
	})
}

const (
	fuzzStrict = 1 << iota
	fuzzReseal // without it hardly any change gets past the header's checksum
	fuzzCut
)

// reseal mends the checksum of every header, as far as the sizes lead.
func reseal(b []byte) []byte {
	for i := 0; i+blockSize <= len(b); i += blockSize {
		if len(bytes.Trim(b[i:i+blockSize], "\x00")) == 0 {
			continue
		}
		seal(b[i : i+blockSize])
		size, _ := strconv.ParseUint(string(bytes.Trim(b[i+124:i+136], " \x00")), 8, 16)
		i += len(padded(string(make([]byte, size))))
	}
	return b
}

// strictTree holds that every link stays inside and no mode is special.
func strictTree(t *testing.T, dir string) {
	real, err := filepath.EvalSymlinks(dir)
	check(t, err)
	filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		check(t, err)
		fi, err := d.Info()
		check(t, err)
		if fi.Mode().Type() == os.ModeSymlink {
			if to, err := filepath.EvalSymlinks(p); err == nil && !confined.Within(to, real) {
				t.Errorf("%q leads to %q", p, to)
			}
			return nil
		}
		if fi.Mode()&^(os.ModeDir|0o755) != 0 {
			t.Errorf("%q has mode %v", p, fi.Mode())
		}
		return nil
	})
}

func BenchmarkExtract(b *testing.B) {
	var ents []ent
	for i := range 1500 {
		ents = append(ents, ent{name: filepath.Join("d", string(rune('a'+i%20)),
			"f"+string(rune('0'+i%10))+string(rune(0x100+i))), data: string(bytes.Repeat([]byte{byte(i), 7, 9}, 9000))})
	}
	plain := tarOf(ents...)
	for _, format := range []string{"tar", "gzip", "zstd"} {
		data := compress(b, format, plain)
		b.Run(format, func(b *testing.B) {
			b.SetBytes(int64(len(plain)))
			b.ReportAllocs()
			for b.Loop() {
				dir, err := os.MkdirTemp(b.TempDir(), "")
				check(b, err)
				_, err = extractInto(b.Context(), bytes.NewReader(data), dir, Options{})
				check(b, err)
			}
		})
	}
}

// BenchmarkScan compares a scan that leaves all content unread with bare
// decompression. ARCHIVE names an archive to take instead of the small one.
func BenchmarkScan(b *testing.B) {
	data := compress(b, "gzip", tarOf(ent{name: "f", data: strings.Repeat("some text ", 1<<20)}))
	if name := os.Getenv("ARCHIVE"); name != "" {
		var err error
		data, err = os.ReadFile(name)
		check(b, err)
	}
	b.Run("decompress", func(b *testing.B) {
		for b.Loop() {
			d, err := newDecoder(bufio.NewReaderSize(bytes.NewReader(data), 64<<10), true)
			check(b, err)
			n, err := io.Copy(io.Discard, d)
			check(b, err)
			b.SetBytes(n)
			d.close()
		}
	})
	b.Run("scan", func(b *testing.B) {
		for b.Loop() {
			_, res, err := Scan(b.Context(), bytes.NewReader(data), Options{}, sinkFunc(nil))
			check(b, err)
			b.SetBytes(res.Bytes)
		}
	})
}
