package members

import (
	"archive/tar"
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestContents: what lies wholly in a part of an archive is found, from the first
// header on, and nothing else.
func TestContents(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	var starts []int
	put := func(h tar.Header, content string) {
		t.Helper()
		h.Size, h.Mode = int64(len(content)), 0o644
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		starts = append(starts, b.Len())
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	put(tar.Header{Name: "a"}, strings.Repeat("x", 700))
	put(tar.Header{Name: "empty"}, "")
	put(tar.Header{Name: "dir/", Typeflag: tar.TypeDir}, "")
	put(tar.Header{Name: "link", Typeflag: tar.TypeSymlink, Linkname: "a"}, "")
	put(tar.Header{Name: strings.Repeat("long", 80), Format: tar.FormatPAX}, "bb")
	put(tar.Header{Name: "c", Format: tar.FormatGNU}, strings.Repeat("c", 512))
	a, bb, c := fmt.Sprint(starts[0], 700), fmt.Sprint(starts[4], 2), fmt.Sprint(starts[5], 512)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		from, to int
		want     []string
	}{
		{0, b.Len(), []string{a, bb, c}},
		{0, starts[0] + 700, []string{a}},
		{0, starts[0] + 699, nil},
		{0, starts[5] + 100, []string{a, bb}},
		{1, b.Len(), []string{bb, c}},
		{starts[0] + 13, b.Len(), []string{bb, c}},
		{starts[0], starts[0] + 700, nil},
		{starts[5] + 100, b.Len(), nil},
		{5, 300, nil},
		{0, 0, nil},
	} {
		var got []string
		Contents(b.Bytes()[tc.from:tc.to], int64(tc.from), func(start, size int) {
			got = append(got, fmt.Sprint(start+tc.from, size))
		})
		if !slices.Equal(got, tc.want) {
			t.Errorf("from %d to %d: %v, want %v", tc.from, tc.to, got, tc.want)
		}
	}
}

// TestContentsOfAnything: junk is none, however much it looks like headers.
func TestContentsOfAnything(t *testing.T) {
	Contents(bytes.Repeat([]byte("ustar"), 10_000), 0, func(start, size int) { t.Errorf("%d, %d", start, size) })
	Contents([]byte(strings.Repeat("x", 257)+"ustar"), 0, func(start, size int) { t.Errorf("%d, %d", start, size) })
	Contents(make([]byte, 10_000), 0, func(start, size int) { t.Errorf("%d, %d", start, size) })
}
