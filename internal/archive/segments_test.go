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
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"

	"stretcher/internal/archive/gunzip"
	"stretcher/internal/archive/parallel"
)

// segment compresses b so that it can be read on any core.
func segment(t testing.TB, format string, b []byte) []byte {
	t.Helper()
	if format == "zstd" {
		z, err := zstd.NewWriter(nil, zstd.WithSingleSegment(true), zstd.WithEncoderConcurrency(1),
			zstd.WithLowerEncoderMem(true), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(64<<10))
		check(t, err)
		defer z.Close()
		return z.EncodeAll(b, nil)
	}
	out := bytes.NewBuffer(gunzip.AppendHeader(nil))
	z, err := flate.NewWriter(out, 1)
	check(t, err)
	_, err = z.Write(b)
	check(t, err)
	check(t, z.Close())
	m := binary.LittleEndian.AppendUint32(out.Bytes(), crc32.ChecksumIEEE(b))
	m = binary.LittleEndian.AppendUint32(m, uint32(len(b)))
	gunzip.SetLength(m)
	return m
}

// segmented compresses b in segments of size bytes.
func segmented(t testing.TB, format string, b []byte, size int) (out []byte) {
	t.Helper()
	for part := range slices.Chunk(b, size) {
		out = append(out, segment(t, format, part)...)
	}
	return out
}

// readStream reads b as Extract would.
func readStream(t testing.TB, b []byte) (content []byte, fault string, used bool) {
	t.Helper()
	s, err := openStream(t.Context(), bytes.NewReader(b), &tally{lim: Limits{}.withDefaults()})
	if err != nil {
		return nil, err.Error(), false
	}
	defer s.close()
	content, err = io.ReadAll(s)
	return content, fmt.Sprint(err), s.dec.segments != nil
}

// readPlainly reads b on one core.
func readPlainly(t testing.TB, format string, b []byte) (content []byte, fault string) {
	t.Helper()
	d := &decoder{format: format}
	err := d.openRest(bytes.NewReader(b), false)
	if err == nil {
		content, err = io.ReadAll(d.Reader)
	}
	if d.close != nil {
		d.close()
	}
	if err != nil {
		err = decodeFault(format, err)
	}
	return content, fmt.Sprint(err)
}

// spoil does something to b that may matter, or not.
func spoil(t testing.TB, rnd *rand.Rand, format string, b []byte) []byte {
	at := rnd.IntN(len(b))
	switch rnd.IntN(10) {
	case 0, 1, 2:
		b[at] ^= 1 << rnd.IntN(8)
	case 3:
		return b[:at]
	case 4:
		return append(b, make([]byte, 1+rnd.IntN(600))...)
	case 5:
		return append(b, "something else"...)
	case 6:
		return slices.Concat(b, compress(t, format, []byte("an ordinary one")), segment(t, format, []byte("and one more")))
	case 7:
		return slices.Concat(b[:at], segment(t, format, []byte("in between")), b[at:])
	case 8:
		return slices.Concat(b, segment(t, format, bytes.Repeat([]byte("z"), parallel.Max+1)), b)
	}
	return b
}

// TestSegmentsLikePlain holds that it makes no difference on how many cores
// an input is read: not to its content, nor to what is said of its faults.
func TestSegmentsLikePlain(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	text := []byte(strings.Repeat("the quick brown fox jumps over the lazy dog; ", 200))
	rounds := 70
	if n, err := strconv.Atoi(os.Getenv("STRETCHER_SEGMENTS")); err == nil {
		rounds = n
	}
	for _, format := range []string{"gzip", "zstd"} {
		faults, parallels := 0, 0
		for range rounds {
			var b []byte
			for range 1 + rnd.IntN(12) {
				n := rnd.IntN(len(text))
				b = append(b, segment(t, format, text[n/(1+rnd.IntN(20)):n])...)
			}
			if b = spoil(t, rnd, format, b); len(b) < 4 || sniff(b) != format {
				continue // it is taken for a tar file
			}
			got, fault, used := readStream(t, b)
			want, plainFault := readPlainly(t, format, b)
			if fault != "<nil>" { // how much comes before depends on how much is read at once
				n := min(len(got), len(want))
				got, want = got[:n], want[:n]
			}
			if fault != plainFault || !bytes.Equal(got, want) {
				t.Fatalf("%s: %d bytes and %s, on one core %d and %s: %x", format, len(got), fault, len(want), plainFault, b)
			}
			if used {
				parallels++
			}
			if fault != "<nil>" {
				faults++
			}
		}
		if faults < rounds/8 || faults > rounds*3/4 || parallels < rounds*3/4 {
			t.Errorf("%s: %d faults, %d on several cores", format, faults, parallels)
		}
	}
}

// TestSegmentsSourceFails holds that the reader's own error comes back after
// what came before it.
func TestSegmentsSourceFails(t *testing.T) {
	broken := errors.New("the disk is broken")
	for _, format := range []string{"gzip", "zstd"} {
		b := segmented(t, format, tarOf(ent{name: "a", data: strings.Repeat("x", 50_000)}), 4000)
		for _, n := range []int{100, len(b) / 2, len(b) - 1, len(b)} {
			r := io.MultiReader(bytes.NewReader(b[:n]), iotest.ErrReader(broken))
			_, err := extractInto(t.Context(), r, t.TempDir(), Options{})
			if !errors.Is(err, broken) || errors.Is(err, ErrMalformed) {
				t.Errorf("%s, after %d of %d bytes: %v", format, n, len(b), err)
			}
		}
	}
}

// TestSegmentsEnd holds that nobody goes on when the caller has stopped.
func TestSegmentsEnd(t *testing.T) {
	for _, format := range []string{"gzip", "zstd"} {
		ctx, cancel := ending(t)
		defer cancel()
		b := segmented(t, format, tarOf(ent{name: "a", data: strings.Repeat("x", 1<<20)}), 10_000)
		before := runtime.NumGoroutine()
		s, err := openStream(ctx, &repeated{b: b}, &tally{lim: Limits{}.withDefaults()})
		check(t, err)
		_, err = io.CopyN(io.Discard, s, 1000)
		check(t, err)
		cancel()
		if _, err := io.Copy(io.Discard, s); !errors.Is(err, errEnough) {
			t.Errorf("%s: %v", format, err)
		}
		if s.close(); runtime.NumGoroutine() > before {
			t.Errorf("%s: %d goroutines, before %d", format, runtime.NumGoroutine(), before)
		}
	}
}

// TestSegmentsMemory holds that what is read ahead is bounded, whatever is
// claimed: the reader is slow here, and the input long.
func TestSegmentsMemory(t *testing.T) {
	const most = (2*parallel.MaxCores+1)*2*parallel.Max + 4<<20
	for _, format := range []string{"gzip", "zstd"} {
		one := segment(t, format, make([]byte, parallel.Max))
		before := heap()
		r := &probing{r: io.LimitReader(&repeated{b: one}, 64*int64(len(one))), every: int64(len(one)) * 8}
		s, err := openStream(t.Context(), r, &tally{lim: Limits{}.withDefaults()})
		check(t, err)
		n, err := io.Copy(io.Discard, s)
		s.close()
		if check(t, err); n != 64*parallel.Max {
			t.Errorf("%s: %d bytes", format, n)
		}
		if r.most-before > most {
			t.Errorf("%s: %d bytes of memory, want at most %d", format, r.most-before, most)
		}
	}
}

// repeated is the same whole again and again.
type repeated struct {
	b  []byte
	at int
}

func (e *repeated) Read(p []byte) (int, error) {
	n := copy(p, e.b[e.at:])
	e.at = (e.at + n) % len(e.b)
	return n, nil
}
