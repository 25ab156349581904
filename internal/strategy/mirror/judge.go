package mirror

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/disk/confined"
)

// verdict is what becomes of a regular file of dest, as far as that can be
// told without its content.
type verdict int

const (
	isCompared verdict = iota // by its content
	isKnown                   // it is the same
	isWritten                 // it is written anew
)

// judge looks at the regular file that dest has in the place of e. Stage and
// Compare ask it alike: what the one does not stage, the other must not want.
func (o *Options) judge(e *archive.Entry, st *unix.Stat_t) verdict {
	switch {
	case e.Size != st.Size, !o.Checksum && !sameSecond(e.MTime, st.Mtim.Nano()):
		return isWritten
	case !o.Quick && (o.isUnsafe(e, st) || isUnreadable(st)):
		return isWritten
	case o.Quick && !o.Checksum, e.Size == 0 && !o.Checksum:
		return isKnown
	}
	return isCompared
}

// isUnsafe tells whether root must not make of a file what e is: who has the
// file open, or another name for it, could write to it afterwards.
func (o *Options) isUnsafe(e *archive.Entry, st *unix.Stat_t) bool {
	const special = fs.ModeSetuid | fs.ModeSetgid
	gets := e.Mode&special != 0 && confined.Perm(e.Mode) != uint32(st.Mode)&permMask
	return o.Owners && !o.Aside && (gets || !o.owned(e, st) || st.Nlink > 1)
}

// isUnreadable tells whether the caller's own file can't be compared.
func isUnreadable(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IRUSR == 0 && os.Geteuid() != 0
}

// whyWritten adds to w why a file is written that judge has found to be. The
// time and what can be mended in place are in w.
func (o *Options) whyWritten(e *archive.Entry, st *unix.Stat_t, w what) what {
	if e.Size != st.Size {
		w |= isSize
	}
	if o.Owners && !o.Quick && !o.Aside && st.Nlink > 1 {
		w |= isLinks
	}
	if w == 0 { // it can't be read
		w |= isContent
	}
	return w
}
