package delta

import (
	"fmt"
	"slices"

	"stretcher/internal/archive/index"
)

// origin is where a content lies in a member. Of two archives that both have the
// member, it is the same content.
type origin struct {
	member   index.Sum
	at, size int64
}

// agreeKept compares what an index says of its files with what that of the kept
// archive says, where both have the members that the files lie in. An index that
// exchanges what files hold is found out so, also where the live tree has all of
// that and nothing would be read.
func agreeKept(x, kept *index.Index) error {
	was := make(map[origin]int, len(kept.Files))
	for i := range kept.Files {
		at, _ := originOf(kept, &kept.Files[i])
		was[at] = i
	}
	for i := range x.Files {
		f := &x.Files[i]
		at, members := originOf(x, f)
		k, ok := was[at]
		if !ok || f.Sum == kept.Files[k].Sum {
			continue
		}
		if _, same := originOf(kept, &kept.Files[k]); slices.EqualFunc(members, same, isSame) {
			return fmt.Errorf("%w: of %q it says something else than the archive holds", ErrIndex, f.Path)
		}
	}
	return nil
}

// originOf is where a file's content begins, and the members that it lies in.
func originOf(x *index.Index, f *index.File) (origin, []index.Member) {
	first, last := x.Within(f.Start, f.Size)
	m := &x.Members[first]
	return origin{m.Sum, f.Start - m.Start, f.Size}, x.Members[first:last]
}

// isSame tells whether two members are, wherever they lie.
func isSame(a, b index.Member) bool {
	return a.Sum == b.Sum && a.Length == b.Length && a.Unpacked == b.Unpacked
}
