package cache

import (
	"io/fs"
	"slices"
	"syscall"
)

// node is a file on disk, which may have several names and takes room once.
type node struct {
	id    fileID
	size  int64
	names uint64
}

type fileID struct{ dev, ino uint64 }

func nodeOf(info fs.FileInfo) node {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return node{size: info.Size(), names: 1}
	}
	return node{fileID{uint64(st.Dev), st.Ino}, info.Size(), uint64(st.Nlink)}
}

// roomOf is how much room files take together.
func roomOf(files ...[]node) (total int64) {
	seen := map[fileID]bool{}
	for _, f := range slices.Concat(files...) {
		if !seen[f.id] {
			seen[f.id] = true
			total += f.size
		}
	}
	return total
}

// surplus are those of several, the best first, that go so that the others have at most
// most bytes. What takes no room but that of better ones stays.
func surplus[T any](all []T, files func(T) []node, most int64) (out []T) {
	counted := map[fileID]bool{}
	full := false
	for _, t := range all {
		more := int64(0)
		for _, f := range files(t) {
			if !counted[f.id] {
				more += f.size
			}
		}
		if full = full || more > most; full && more > 0 {
			out = append(out, t)
			continue
		}
		most -= more
		for _, f := range files(t) {
			counted[f.id] = true
		}
	}
	return out
}
