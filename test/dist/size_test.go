package dist

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// TestSizesAreDocumented: the documents say how large the program is, and what is to be
// downloaded, within 5 %.
func TestSizesAreDocumented(t *testing.T) {
	program := sizeOf(t, filepath.Join(unpackedArchive(t), "stretcher"))
	archive := sizeOf(t, glob(t, released(t), "*.tar.gz")[0])
	for _, tt := range []struct {
		page, pattern string
		size          float64
	}{
		{"performance.md", `(?m)^([\d.]+) MB on amd64, stripped`, program},
		{"performance.md", `Archives and packages are ([\d.]+) MB`, archive},
		{"install.md", `takes ([\d.]+) MB on a host`, program},
		{"install.md", `([\d.]+) MB to download`, archive},
	} {
		found := regexp.MustCompile(tt.pattern).FindStringSubmatch(string(read(t, filepath.Join(root, "docs", tt.page))))
		if found == nil {
			t.Errorf("docs/%s has no %s", tt.page, tt.pattern)
			continue
		}
		if said, err := strconv.ParseFloat(found[1], 64); err != nil || math.Abs(said-tt.size) > tt.size/20 {
			t.Errorf("docs/%s says %q, it is %.1f MB, %v", tt.page, found[0], tt.size, err)
		}
	}
}

// sizeOf is the size of a file in MB.
func sizeOf(t *testing.T, name string) float64 {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return float64(info.Size()) / 1e6
}
