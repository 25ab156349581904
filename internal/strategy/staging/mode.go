package staging

import (
	"fmt"
	"io/fs"

	"stretcher/internal/strategy"
)

// forOthers is what others need of a directory to use what is in it.
const forOthers fs.FileMode = 0o005

// RootMode is the mode of the deployed tree's root, whose mode is has by now:
// the target's, if it names one, else that of the archive's own root, if it has
// one. set tells that it is another than the archive's.
func RootMode(t *strategy.Target, has fs.FileMode, hasRoot bool) (mode fs.FileMode, set bool) {
	if t.DestMode == nil && hasRoot {
		return has, false
	}
	return t.Mode(), true
}

// WarnMode warns when the mode of the archive's root shuts others out of a dest
// that they could use before, or could by default.
func WarnMode(t *strategy.Target, mode fs.FileMode) {
	if t.NoDest != nil {
		return // it is not deployed
	}
	was := t.Mode()
	if t.Dest.Dir != nil {
		if info, err := t.Dest.Dir.Root().Stat("."); err == nil {
			was = info.Mode()
		}
	}
	if taken := was &^ mode & forOthers; taken != 0 {
		t.Log.Warn(fmt.Sprintf("the \".\" of the archive has mode %04o, which takes access from others: "+
			"to give %q another mode, set dest_mode, for example dest_mode: 0755", mode.Perm(), t.Dest.Given))
	}
}
