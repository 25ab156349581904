package mirror

import (
	"fmt"
	"os"
	"testing"
)

// TestHolesCompared compares files of a tebibyte by what they have: to read them
// would take longer than a test may.
func TestHolesCompared(t *testing.T) {
	const size = 1 << 40
	file := func(data map[int64]string) *os.File {
		f, err := os.Create(fmt.Sprintf("%s/f", t.TempDir()))
		check(t, err)
		t.Cleanup(func() { f.Close() })
		check(t, f.Truncate(size))
		for at, text := range data {
			_, err := f.WriteAt([]byte(text), at)
			check(t, err)
		}
		return f
	}
	a := file(map[int64]string{5: "x", size - 9: "tail"})
	for name, c := range map[string]struct {
		b    map[int64]string
		want bool
	}{
		"same":            {map[int64]string{5: "x", size - 9: "tail"}, true},
		"zeros in a hole": {map[int64]string{5: "x", size - 9: "tail", 1 << 30: "\x00\x00"}, true},
		"other data":      {map[int64]string{5: "y", size - 9: "tail"}, false},
		"less data":       {map[int64]string{5: "x"}, false},
		"more data":       {map[int64]string{5: "x", size - 9: "tail", 1 << 30: "z"}, false},
	} {
		b := file(c.b)
		same, err := sameData(t.Context(), a, b, size)
		check(t, err)
		back, err := sameData(t.Context(), b, a, size)
		check(t, err)
		if (same && back) != c.want {
			t.Errorf("%s: %v and %v", name, same, back)
		}
	}
}
