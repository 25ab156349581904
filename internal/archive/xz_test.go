package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/text/failure"
)

// withDictionary lets the first block claim another dictionary.
func withDictionary(t testing.TB, b []byte, size byte) []byte {
	t.Helper()
	b = slices.Clone(b)
	hdr := b[12 : 12+(int(b[12])+1)*4]
	i := bytes.Index(hdr, []byte{0x21, 1})
	hdr[i+2] = size
	binary.LittleEndian.PutUint32(hdr[len(hdr)-4:], crc32.ChecksumIEEE(hdr[:len(hdr)-4]))
	return b
}

// xzBlockFile is a stream of blocks that hold data uncompressed, behind a
// chain of filters and below a dictionary of the size that dict stands for.
func xzBlockFile(filters []byte, count int, dict byte, blocks ...[]byte) []byte {
	sum := func(b []byte) []byte { return binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(b)) }
	num := func(v int) []byte { return binary.AppendUvarint(nil, uint64(v)) }
	flags := []byte{0, 0}
	out := slices.Concat([]byte(xzMagic), flags, sum(flags))
	index := slices.Concat([]byte{0}, num(len(blocks)))
	for _, data := range blocks {
		head := slices.Concat([]byte{0, byte(count)}, filters, []byte{0x21, 1, dict})
		head = append(head, make([]byte, -len(head)&3)...)
		head[0] = byte(len(head) / 4)
		head = append(head, sum(head)...)
		body := []byte{0}
		if len(data) > 0 {
			body = slices.Concat([]byte{1, byte((len(data) - 1) >> 8), byte(len(data) - 1)}, data, body)
		}
		index = append(append(index, num(len(head)+len(body))...), num(len(data))...)
		out = append(append(append(out, head...), body...), make([]byte, -len(body)&3)...)
	}
	index = append(index, make([]byte, -len(index)&3)...)
	index = append(index, sum(index)...)
	foot := append(binary.LittleEndian.AppendUint32(nil, uint32(len(index)/4-1)), flags...)
	return slices.Concat(out, index, sum(foot), foot, []byte("YZ"))
}

func unxz(b []byte) ([]byte, error) {
	z, err := newXZ(bytes.NewReader(b))
	if err != nil {
		return nil, xzFault(err)
	}
	got, err := io.ReadAll(z)
	if err != nil {
		err = xzFault(err)
	}
	return got, err
}

// sample has code, text, noise and long repetitions.
func sample(t testing.TB) []byte {
	t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	check(t, err)
	self = self[len(self)/2:][:100_000]
	noise := make([]byte, 30_000)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	return slices.Concat(self, noise, bytes.Repeat([]byte("what repeats "), 10_000), noise[:333])
}

// xzFiles are files that xz(1) makes, by the options that it gets.
func xzFiles(t testing.TB, data []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, opts := range []string{
		"-0", "-6", "-9e", "--check=none", "--check=crc32", "--check=crc64", "--check=sha256",
		"--x86 --lzma2", "--powerpc --lzma2", "--ia64 --lzma2",
		"--arm --lzma2", "--armthumb --lzma2", "--sparc --lzma2",
		"--x86=start=4096 --lzma2=preset=1", "--delta --lzma2", "--delta=dist=4 --lzma2",
		"--delta=dist=256 --lzma2",
		"--x86 --delta=dist=3 --lzma2", "--delta --x86 --delta=dist=2 --lzma2", "--arm --delta --x86 --lzma2",
		"--lzma2=lc=0,lp=4,pb=4", "--lzma2=lc=4,lp=0,pb=0", "--lzma2=dict=4KiB", "--lzma2=dict=6KiB", "--lzma2=dict=64MiB",
		"-1 --block-size=1000", "-T2 --block-size=65536", "-T2 --block-size=65536 --x86 --lzma2=preset=1",
		"--lzma2=mode=fast,nice=2,mf=hc3", "--block-list=1,2,3,100000",
	} {
		files[opts] = pipe(t, data, "xz", append([]string{"-c"}, strings.Fields(opts)...)...)
	}
	empty := pipe(t, nil, "xz", "-c")
	plain, filtered := files["-0"], files["--x86 --delta=dist=3 --lzma2"]
	pad := make([]byte, 8)
	files["empty"] = empty
	files["streams"] = slices.Concat(plain, filtered, plain)
	files["streams of other checks"] = slices.Concat(
		files["--check=none"], files["--check=sha256"], files["--check=crc32"])
	files["padded streams"] = slices.Concat(plain, pad, filtered, pad[:4], plain, pad, pad)
	files["empty streams"] = slices.Concat(empty, empty, pad[:4], plain, empty)
	return files
}

// TestXZAgainstXZ: of what xz(1) makes each byte is the same.
func TestXZAgainstXZ(t *testing.T) {
	tool(t, "xz", "")
	for name, b := range xzFiles(t, sample(t)) {
		got, err := unxz(b)
		if want := pipe(t, b, "xz", "-dc"); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes and %v, not %d bytes", name, len(got), err, len(want))
		}
	}
}

// TestXZDamagedAgainstXZ damages files: what xz(1) refuses is refused, and what
// it takes is the same.
func TestXZDamagedAgainstXZ(t *testing.T) {
	xz := tool(t, "xz", "")
	files := xzFiles(t, sample(t)[90_000:120_000])
	delete(files, "-9e") // its dictionary takes the most of the time
	delete(files, "--lzma2=dict=64MiB")
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	r := rand.New(rand.NewPCG(7, 8))
	for i := range 200 {
		name := names[i%len(names)]
		b, what := damage(r, files[name])
		got, err := unxz(b)
		cmd := exec.Command(xz, "-dcqq")
		cmd.Stdin = bytes.NewReader(b)
		want, werr := cmd.Output()
		if (err == nil) != (werr == nil) || err == nil && !bytes.Equal(got, want) {
			t.Errorf("%s, %s: %d bytes and %v; xz(1): %d bytes and %v", name, what, len(got), err, len(want), werr)
		}
		if err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrLimit) {
			t.Errorf("%s, %s: %v is of no kind", name, what, err)
		}
	}
}

// damage changes, cuts, adds or moves bytes; half of the time near an end of
// the file, where its structure is.
func damage(r *rand.Rand, b []byte) ([]byte, string) {
	b = slices.Clone(b)
	i := r.IntN(len(b))
	switch r.IntN(4) {
	case 0:
		i = r.IntN(min(len(b), 40))
	case 1:
		i = len(b) - 1 - r.IntN(min(len(b), 60))
	}
	switch r.IntN(6) {
	case 0:
		return b[:i], fmt.Sprintf("cut at %d", i)
	case 1:
		n := 1 + r.IntN(9)
		return append(b, make([]byte, n)...), fmt.Sprintf("%d zeros more", n)
	case 2:
		return append(b, b[i:]...), fmt.Sprintf("again from %d", i)
	case 3:
		return slices.Delete(b, i, i+1), fmt.Sprintf("without byte %d", i)
	}
	bit := byte(1) << r.IntN(8)
	b[i] ^= bit
	return b, fmt.Sprintf("bit %#x of byte %d of %d", bit, i, len(b))
}

// TestXZUnsupported: filters and checks that are not known are no damage.
func TestXZUnsupported(t *testing.T) {
	check := slices.Clone(compress(t, "xz", hello))
	check[7] = 2 // a check that nobody has defined
	binary.LittleEndian.PutUint32(check[8:], crc32.ChecksumIEEE(check[6:8]))
	for name, b := range map[string][]byte{
		"arm64":  pipe(t, hello, "xz", "-c", "--arm64", "--lzma2"),
		"riscv":  xzBlockFile([]byte{0x0b, 0}, 1, 0, hello),
		"custom": xzBlockFile([]byte{0x3f, 1, 7}, 1, 0, hello),
		"check":  check,
	} {
		_, _, err := unpack(t, b, Options{})
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "xz data is not supported") ||
			failure.Hint(err) == "" {
			t.Errorf("%s: %v, hint %q", name, err, failure.Hint(err))
		}
	}
}

// TestXZFilters: blocks may have as many filters as the memory for them
// allows, in each stream anew.
func TestXZFilters(t *testing.T) {
	three := []byte{3, 1, 0, 3, 1, 0, 3, 1, 0}
	full := xzBlockFile(three, 3, 0, make([][]byte, xzMaxFilters/3)...)
	over := xzBlockFile(three, 3, 0, make([][]byte, xzMaxFilters/3+1)...)
	if _, err := unxz(slices.Concat(full, make([]byte, 4), full, compress(t, "xz", hello))); err != nil {
		t.Error(err)
	}
	for name, b := range map[string][]byte{"one stream": over, "the second": slices.Concat(full, over)} {
		if _, err := unxz(b); !errors.Is(err, ErrLimit) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestXZMemory: what is allocated for a file of many blocks is bounded,
// whatever their headers claim.
func TestXZMemory(t *testing.T) {
	const largest = 28 // 64 MiB
	small := make([][]byte, 50_000)
	for i := range small {
		small[i] = []byte("x")
	}
	growing := []byte{}
	for size := range byte(largest + 1) {
		growing = append(growing, xzBlockFile(nil, 0, size, []byte("x"))...)
	}
	for name, tc := range map[string]struct {
		file []byte
		most uint64
	}{
		"largest dictionary": {xzBlockFile(nil, 0, largest, small...), 64<<20 + 50_000*300},
		"small dictionary":   {xzBlockFile(nil, 0, 0, small...), 1<<20 + 50_000*300},
		"growing":            {growing, 256 << 20}, // one after the other
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		z, err := newXZ(bytes.NewReader(tc.file))
		check(t, err)
		_, err = io.Copy(io.Discard, z)
		check(t, err)
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > tc.most {
			t.Errorf("%s: %d bytes for %d bytes of input, more than %d", name, got, len(tc.file), tc.most)
		}
	}
}

// TestXZDictionaries: those of the blocks before are given back.
func TestXZDictionaries(t *testing.T) {
	var file []byte
	for _, mib := range []int{16, 24, 32, 48, 64} {
		file = append(file, pipe(t, make([]byte, 1<<20), "xz", "-c", fmt.Sprintf("--lzma2=preset=0,dict=%dMiB", mib))...)
	}
	runtime.GC()
	inUse := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse
	}
	before, most := inUse(), uint64(0)
	z, err := newXZ(bytes.NewReader(file))
	check(t, err)
	buf := make([]byte, aheadSize)
	for err == nil {
		_, err = z.Read(buf)
		most = max(most, inUse())
	}
	if err != io.EOF || most > before+xzDictionary+(8<<20) {
		t.Errorf("%v, %d bytes more than before", err, int64(most)-int64(before))
	}
}

// BenchmarkXZBlocks: the time for each block is the same, however many there
// are and whatever dictionary they claim.
func BenchmarkXZBlocks(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		blocks := make([][]byte, n)
		for i := range blocks {
			blocks[i] = []byte("x")
		}
		file := xzBlockFile(nil, 0, 28, blocks...)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := unxz(file); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/block")
		})
	}
}
