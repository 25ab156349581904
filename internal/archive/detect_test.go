package archive

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

var hello = tarOf(ent{name: "f", data: strings.Repeat("hello ", 500)})

// cut compresses the two halves of hello apart.
func halves(t *testing.T, format string, between ...byte) []byte {
	a, b := compress(t, format, hello[:1000]), compress(t, format, hello[1000:])
	return slices.Concat(a, between, b)
}

func TestAccepted(t *testing.T) {
	skippable := []byte("\x5a\x2a\x4d\x18\x03\x00\x00\x00abc")
	big, err := zstd.NewWriter(nil, zstd.WithWindowSize(zstdWindow))
	check(t, err)
	cases := map[string][]byte{
		"gzip members":         halves(t, "gzip"),
		"gzip zero padding":    append(halves(t, "gzip"), make([]byte, 5000)...),
		"bzip2 streams":        halves(t, "bzip2"),
		"xz streams":           halves(t, "xz"),
		"xz stream padding":    append(halves(t, "xz", 0, 0, 0, 0), 0, 0, 0, 0),
		"zstd frames":          halves(t, "zstd"),
		"zstd skippable first": slices.Concat(skippable, halves(t, "zstd", skippable...), skippable),
		"zstd largest window":  big.EncodeAll(hello, nil),
		"zeros after the end":  append(slices.Clone(hello), make([]byte, 10240)...),
	}
	for _, check := range []string{"none", "crc32", "crc64", "sha256"} {
		cases["xz check "+check] = pipe(t, hello, "xz", "-c", "--check="+check)
	}
	cases["xz blocks"] = pipe(t, hello, "xz", "-c", "-9", "-T2", "--block-size=700")
	cases["xz incompressible"] = pipe(t, []byte(hello), "xz", "-c", "-0")
	for name, b := range cases {
		t.Run(name, func(t *testing.T) {
			var warned []string
			dir, res, err := unpack(t, b, Options{Mode: Strict, Warn: func(m string) { warned = append(warned, m) }})
			check(t, err)
			got, err := os.ReadFile(filepath.Join(dir, "f"))
			check(t, err)
			if string(got) != strings.Repeat("hello ", 500) || res != (Result{Entries: 1, Bytes: 3000}) || warned != nil {
				t.Errorf("%d bytes, %+v, warnings %q", len(got), res, warned)
			}
		})
	}
}

func TestMalformed(t *testing.T) {
	cases := map[string][]byte{
		"empty": {}, "text": []byte("<html>404 not found</html>"), "noise": bytes.Repeat([]byte("noise"), 1000),
		"gzip of nothing": compress(t, "gzip", nil), "gzip of text": compress(t, "gzip", []byte("text")),
	}
	cases["gzip padding and garbage"] = append(append(halves(t, "gzip"), 0, 0), "garbage"...)
	for _, format := range compressions[1:] {
		b := compress(t, format, hello)
		cases[format+" magic only"] = b[:4]
		if format == "bzip2" {
			cases["bzip2 and a stream that breaks off"] = append(slices.Clone(b), b[:20]...)
			continue
		}
		cases[format+" trailing garbage"] = append(slices.Clone(b), "garbage!"...)
		cases[format+" trailing byte"] = append(slices.Clone(b), 'x')
		cases[format+" trailing tar"] = append(slices.Clone(b), hello...)
	}
	for name, b := range cases {
		if _, _, err := unpack(t, b, Options{}); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, _, err := unpack(t, cases["text"], Options{})
	if err == nil || !strings.Contains(err.Error(), "not a tar archive") {
		t.Errorf("text: %v", err)
	}
}

// TestDamaged flips a bit of every byte, the fixed parts of gzip's, bzip2's and
// zstd's headers aside: what was unpacked without an error is intact.
func TestDamaged(t *testing.T) {
	for format, skip := range map[string]int{"gzip": 10, "bzip2": 4, "xz": 0, "zstd": 6} {
		b := compress(t, format, hello)
		for i := skip; i < len(b); i++ {
			bad := slices.Clone(b)
			bad[i] ^= 0x10
			if dir, _, err := unpack(t, bad, Options{}); err == nil && changed(t, dir) {
				t.Errorf("%s with byte %d of %d changed: no error", format, i, len(b))
			} else if err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrLimit) {
				t.Errorf("%s with byte %d changed: %v", format, i, err)
			}
		}
	}
}

// TestXZCheck changes data that LZMA2 stores as it is, so that only the check
// of the block can tell.
func TestXZCheck(t *testing.T) {
	noise := make([]byte, 400_000)
	for i, r := 0, rand.New(rand.NewPCG(3, 4)); i < len(noise); i++ {
		noise[i] = byte(r.Uint32())
	}
	whole := tarOf(ent{name: "f", data: string(noise)})
	for _, kind := range []string{"crc32", "crc64", "sha256"} {
		b := pipe(t, whole, "xz", "-c", "--check="+kind)
		i := bytes.Index(b, noise[200_000:200_100])
		if i < 0 {
			t.Fatal("data is not stored")
		}
		b[i] ^= 1
		_, _, err := unpack(t, b, Options{})
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "checksum or structure mismatch") {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func changed(t *testing.T, dir string) bool {
	got, err := os.ReadFile(filepath.Join(dir, "f"))
	return err != nil || string(got) != strings.Repeat("hello ", 500)
}

func TestOddities(t *testing.T) {
	for name, b := range map[string][]byte{
		"data follows":           append(slices.Clone(hello), "garbage"...),
		"without its end marker": hello[:len(hello)-1024],
	} {
		for _, format := range compressions {
			var warned []string
			b := compress(t, format, b)
			_, _, err := unpack(t, b, Options{Warn: func(m string) { warned = append(warned, m) }})
			if err != nil || len(warned) != 1 || !strings.Contains(warned[0], name) {
				t.Errorf("%s: %s: %v, warnings %q", format, name, err, warned)
			}
			if _, _, err := unpack(t, b, Options{Mode: Strict}); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %s: strict: %v", format, name, err)
			}
		}
	}
	n := 0
	_, _, err := unpack(t, tarOf(slices.Repeat([]ent{{name: "/f", typ: 'Q'}}, 100)...),
		Options{Warn: func(string) { n++ }})
	if err != nil || n != maxWarnings {
		t.Errorf("%v, %d warnings", err, n)
	}
}

// TestMemoryBombs ask for more memory than any honest archive needs.
func TestMemoryBombs(t *testing.T) {
	z := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8} // window of 2 GiB
	z = append(z, compress(t, "zstd", hello)[6:]...)
	for name, b := range map[string][]byte{"xz": withDictionary(t, compress(t, "xz", hello), 40), "zstd": z} {
		if _, _, err := unpack(t, b, Options{}); !errors.Is(err, ErrLimit) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBzip2Followed: what follows bzip2 data and is none is ignored as
// bzip2(1) does, and said.
func TestBzip2Followed(t *testing.T) {
	packed := compress(t, "bzip2", hello)
	for name, more := range map[string]string{
		"zeros": strings.Repeat("\x00", 512), "text": "junk\n", "a byte": "x", "a zero": "\x00", "a B": "BA",
		"another magic": "BZx9", "no level": "BZh0 and more", "tar": string(hello),
	} {
		t.Run(name, func(t *testing.T) {
			b := append(slices.Clone(packed), more...)
			if got := pipe(t, b, "bzip2", "-dcq"); !bytes.Equal(got, hello) {
				t.Fatal("bzip2(1) gives something else")
			}
			var warned []string
			dir, _, err := unpack(t, b, Options{Warn: func(m string) { warned = append(warned, m) }})
			check(t, err)
			if changed(t, dir) || !slices.Equal(warned, []string{"data follows the end of the bzip2 data"}) {
				t.Errorf("warnings %q", warned)
			}
			if _, _, err := unpack(t, b, Options{Mode: Strict}); !errors.Is(err, ErrMalformed) {
				t.Errorf("strict: %v", err)
			}
		})
	}
}

// TestBzip2Randomised: blocks of the oldest versions are no damage.
func TestBzip2Randomised(t *testing.T) {
	b := compress(t, "bzip2", hello)
	b[14] |= 0x80 // after the magic and the sum of the first block
	_, _, err := unpack(t, b, Options{})
	if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "bzip2 data is not supported") {
		t.Error(err)
	}
}

// TestBzip2Cut cuts one stream, and two, at each byte.
func TestBzip2Cut(t *testing.T) {
	one, two := compress(t, "bzip2", hello), halves(t, "bzip2")
	for _, whole := range [][]byte{one, two} {
		for n := 4; n < len(whole); n++ {
			got, err := io.ReadAll(newBzip2(bufio.NewReader(bytes.NewReader(whole[:n]))))
			clean := err == nil && len(got) > 0
			bzip2 := exec.Command("bzip2", "-dcq")
			bzip2.Stdin = bytes.NewReader(whole[:n])
			want, werr := bzip2.Output()
			if clean != (werr == nil) || clean && !bytes.Equal(got, want) {
				t.Errorf("%d of %d bytes: %d bytes and %v; bzip2(1): %d bytes and %v",
					n, len(whole), len(got), err, len(want), werr)
			}
		}
	}
}
