package publish

import (
	"bytes"
	"strings"
)

// endings are those of archives, and how what they hold begins. The last is that
// of what begins otherwise.
func endings() []struct{ ending, magic string } {
	return []struct{ ending, magic string }{
		{".tar.gz", "\x1f\x8b"}, {".tar.zst", "\x28\xb5\x2f\xfd"}, {".tar.xz", "\xfd7zXZ\x00"}, {".tar.bz2", "BZh"},
		{".tgz", ""}, {".tzst", ""}, {".txz", ""}, {".tbz2", ""}, {".tbz", ""}, {".tar", ""},
	}
}

// endingOf is that of an archive which begins so.
func endingOf(head []byte) string {
	for _, e := range endings() {
		isTar := len(head) > 262 && bytes.Equal(head[257:262], []byte("ustar"))
		if e.magic != "" && !isTar && bytes.HasPrefix(head, []byte(e.magic)) {
			return e.ending
		}
	}
	return ".tar"
}

// trimEnding is a file's name without it.
func trimEnding(name string) string {
	for _, e := range endings() {
		if stem, ok := strings.CutSuffix(name, e.ending); ok && stem != "" {
			return stem
		}
	}
	return name
}
