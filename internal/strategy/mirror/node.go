package mirror

import (
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/disk/confined"
)

// permMask is what chmod(2) sets.
const permMask = 0o7777

// sameSecond compares times as rsync does.
func sameSecond(a, b int64) bool {
	return floorSecond(a) == floorSecond(b)
}

func floorSecond(ns int64) int64 { return time.Unix(0, ns).Unix() }

// entryOf is what stands at a path, but for the target of a symlink.
func entryOf(path string, st *unix.Stat_t) archive.Entry {
	e := archive.Entry{Path: path, Mode: confined.FileMode(st), UID: st.Uid, GID: st.Gid, MTime: st.Mtim.Nano()}
	if e.Mode.IsRegular() {
		e.Size = st.Size
	}
	return e
}

// metaOf is what is to be set of an entry.
func metaOf(e *archive.Entry) confined.Meta {
	return confined.Meta{Mode: e.Mode, UID: e.UID, GID: e.GID, MTime: e.MTime}
}

// parts are those that differ.
func (w what) parts() (p confined.What) {
	if w&isOwner != 0 {
		p |= confined.Owner | confined.Mode // chown may clear the setuid bit
	}
	if w&isMode != 0 {
		p |= confined.Mode
	}
	if w&isTime != 0 {
		p |= confined.Time
	}
	return p
}

// parts are those that are set of what is new.
func (o *Options) parts() confined.What {
	if o.Owners || o.Groups {
		return confined.Owner | confined.Mode | confined.Time
	}
	return confined.Mode | confined.Time
}

// owned tells whether a path has the owner of its entry, as far as that counts.
func (o *Options) owned(e *archive.Entry, st *unix.Stat_t) bool {
	return (!o.Owners || e.UID == archive.NoID || e.UID == st.Uid) &&
		(!o.Owners && !o.Groups || e.GID == archive.NoID || e.GID == st.Gid)
}
