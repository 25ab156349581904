package wire

import (
	"testing"
)

func TestStrongETag(t *testing.T) {
	for in, want := range map[string]string{`"a"`: `"a"`, `""`: `""`, `W/"a"`: "", `a`: "", "": "", `"`: ""} {
		if got := StrongETag(in); got != want {
			t.Errorf("StrongETag(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-9/10", "bytes 5-9/*", "bytes */10", "bytes 9-5/10", "bytes +1-2/3",
		"items 0-1/2", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, h string) {
		first, last, size, err := ContentRange(h)
		if err != nil {
			if first != 0 || last != 0 || size != 0 {
				t.Errorf("%q: results %d, %d, %d beside an error", h, first, last, size)
			}
			return
		}
		if first < 0 || last < first || size >= 0 && last >= size {
			t.Errorf("%q: from %d to %d of %d", h, first, last, size)
		}
	})
}
