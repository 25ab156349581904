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

// agreeKept compares what an index says of its files and frame with what that of
// the archive before says, where both have the members that these lie in. An index
// that exchanges what files hold, or gives them other modes, is found out so, also
// where the live tree has all of that and nothing would be read.
func agreeKept(x, kept *index.Index) error {
	if err := agreeFrames(x, kept); err != nil {
		return err
	}
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

func agreeFrames(x, kept *index.Index) error {
	was := make(map[index.Sum][]index.FrameSum, len(kept.Members)) // equal bytes may be frame here, and content there
	for i := range kept.Members {
		sum, frame := kept.Members[i].Sum, kept.FrameOf(i)
		if !slices.Contains(was[sum], frame) {
			was[sum] = append(was[sum], frame)
		}
	}
	for i := range x.Members {
		frames, is := was[x.Members[i].Sum], x.FrameOf(i)
		if len(frames) == 0 || is == 0 || slices.Contains(frames, is) || frames[0] == 0 {
			continue
		}
		return fmt.Errorf("%w: of part %d it says something else than the archive holds", ErrIndex, i)
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
