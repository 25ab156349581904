package disk

import (
	"os"
	"path/filepath"
)

// TempDir is what TMPDIR names, or "". It is absolute: the next run may be
// elsewhere when it cleans up.
func TempDir() string {
	dir := os.Getenv("TMPDIR")
	if dir == "" {
		return ""
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	return abs
}
