package gunzip

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"io"
	"testing"
)

// most is how much so many bytes can decompress to: a length and a distance
// take two bits. Zeros behind the end may have been taken for some more.
func most(n int) int { return maxLength * 4 * (n + 2*padding) }

// FuzzInflate compares the inflater with Go's.
func FuzzInflate(f *testing.F) {
	for _, c := range allBlockCases() {
		f.Add(c.w.b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := inflate(bytes.NewReader(b))
		if len(got) > most(len(b)) {
			t.Fatalf("%d bytes of %d", len(got), len(b))
		}
		want, wantErr := io.ReadAll(flate.NewReader(bytes.NewReader(b)))
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("error is %v, Go's is %v", err, wantErr)
		}
		if n := min(len(got), len(want)); err != nil { // what comes before it is the same
			got, want = got[:n], want[:n]
		}
		same(t, got, want)
	})
}

// goRead decompresses as Go does, but takes zeros as padding. A name of 512
// bytes, which Go does not read, and flags that are reserved give
// gzip.ErrHeader.
func goRead(b []byte) (content []byte, err error) {
	src := bytes.NewReader(b)
	reserved := func() bool { return src.Len() > 3 && b[len(b)-src.Len()+3]&flagReserved != 0 }
	if reserved() {
		return nil, gzip.ErrHeader
	}
	z, err := gzip.NewReader(src)
	for err == nil {
		var more []byte
		z.Multistream(false)
		more, err = io.ReadAll(z)
		content = append(content, more...)
		if rest := b[len(b)-src.Len():]; err != nil || len(bytes.Trim(rest, "\x00")) == 0 {
			return content, err
		}
		if reserved() {
			return nil, gzip.ErrHeader
		}
		err = z.Reset(src)
	}
	return content, err
}

// FuzzReader compares the whole with Go's.
func FuzzReader(f *testing.F) {
	for _, b := range files(f) {
		f.Add(b)
	}
	for _, c := range allBlockCases() {
		f.Add(member(c.w.b, []byte(c.want)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readAll(bytes.NewReader(b))
		if len(got) > most(len(b)) {
			t.Fatalf("%d bytes of %d", len(got), len(b))
		}
		want, wantErr := goRead(b)
		if wantErr == gzip.ErrHeader {
			return
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("error is %v, Go's is %v", err, wantErr)
		}
		if err == nil {
			same(t, got, want)
		}
	})
}
