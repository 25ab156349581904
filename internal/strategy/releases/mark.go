package releases

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"stretcher/internal/text/runid"
)

// State says how a release fared.
type State string

// The states of a release.
const (
	Pending State = "pending" // being deployed, or its run died
	Good    State = "good"    // deployed to the end
	Bad     State = "bad"     // its deployment failed, or its mark is gone
)

// maxMark bounds the reading of a mark, in bytes.
const maxMark = 64 << 10

// Release is one release and what its mark says.
type Release struct {
	ID       string    `json:"id"`  // the run id
	Seq      int64     `json:"seq"` // larger than that of every earlier release; 0 = unknown
	State    State     `json:"state"`
	Name     string    `json:"name,omitempty"`
	Version  string    `json:"version,omitempty"`
	Checksum string    `json:"checksum,omitempty"`
	Created  time.Time `json:"created"`
	Reason   string    `json:"reason,omitempty"` // why it is bad or was left
	// RolledBack: it was good, but somebody went back from it to another one.
	RolledBack bool `json:"rolled_back,omitempty"`
}

// Sound tells whether the release is one to go back to unasked: good, and not
// rolled back from.
func (r Release) Sound() bool { return r.State == Good && !r.RolledBack }

// List returns the releases, newest first. Directories whose name is no run
// id are not releases.
func (d *Dir) List() ([]Release, error) {
	entries, err := d.entries()
	if err != nil {
		return nil, err
	}
	var list []Release
	for _, e := range entries {
		if !e.IsDir() || !runid.Is(e.Name()) {
			continue
		}
		r, err := d.readMark(e.Name())
		if err != nil {
			r = Release{ID: e.Name(), State: Bad, Reason: reason(err)}
		}
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b Release) int {
		return cmp.Or(cmp.Compare(b.Seq, a.Seq), strings.Compare(b.ID, a.ID))
	})
	return list, nil
}

// reason is why there is no mark, without its path: the release has been named.
func reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = fmt.Errorf("its mark can't be read: %w", path.Err)
	}
	return err.Error()
}

// entries reads the directory of releases; none when it isn't there.
func (d *Dir) entries() ([]fs.DirEntry, error) {
	in, err := d.openReleases()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list releases: %w", at(d.releasesPath(), err))
	}
	entries, err := fs.ReadDir(in.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("list releases: %w", at(d.releasesPath(), err))
	}
	return entries, nil
}

// Previous returns the newest sound release that is older than id; with id ""
// the newest sound one. Nothing is known of the age of a release that has lost
// its mark or its directory: any sound one is taken for older.
func (d *Dir) Previous(id string) (Release, bool, error) {
	list, err := d.List()
	if err != nil {
		return Release{}, false, err
	}
	before := int64(math.MaxInt64)
	if id != "" {
		if i := find(list, id); i >= 0 && list[i].Seq > 0 {
			before = list[i].Seq
		}
	}
	i := slices.IndexFunc(list, func(r Release) bool { return r.Sound() && r.Seq < before })
	if i < 0 {
		return Release{}, false, nil
	}
	return list[i], true, nil
}

// find is the index of the release id in a list; -1 = it isn't there.
func find(list []Release, id string) int {
	return slices.IndexFunc(list, func(r Release) bool { return r.ID == id })
}

// Mark sets the state of the release id, which must exist; reason says why it
// is bad. It is not rolled back from any more. Killed in the middle, Mark leaves
// the old mark or the new one.
func (d *Dir) Mark(id string, s State, reason string) error {
	if err := d.exists(id); err != nil {
		return fmt.Errorf("mark: %w", err)
	}
	r, err := d.readMark(id)
	if err != nil { // lost: begun anew
		r = Release{ID: id}
		if r.Seq, err = d.nextSeq(); err != nil {
			return err
		}
	}
	r.State, r.Reason, r.RolledBack = s, reason, false
	return d.writeMark(r)
}

// Leave notes that the run by has gone back from the good release id to
// another one. A release that is not there or not good is left as it is.
func (d *Dir) Leave(id, by string) error {
	list, err := d.List()
	if err != nil {
		return fmt.Errorf("leave release %q: %w", id, err)
	}
	i := find(list, id)
	if i < 0 || list[i].State != Good {
		return nil
	}
	r := list[i]
	r.RolledBack, r.Reason = true, "rolled back by run "+by
	return d.writeMark(r)
}

// readMark reads a mark and refuses one that makes no sense.
func (d *Dir) readMark(id string) (Release, error) {
	var r Release
	in, err := d.openReleases()
	if err != nil {
		return r, err
	}
	f, _, err := openFile(in, id+markSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return r, errors.New("it has no mark")
	}
	if err != nil {
		return r, fmt.Errorf("its mark can't be read: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxMark))
	if err != nil {
		return r, fmt.Errorf("its mark can't be read: %w", err)
	}
	return parseMark(id, b)
}

func parseMark(id string, b []byte) (Release, error) {
	var r Release
	if err := json.Unmarshal(b, &r); err != nil {
		return Release{}, fmt.Errorf("its mark can't be read: %w", err)
	}
	known := r.State == Pending || r.State == Good || r.State == Bad
	// The largest number leaves no room for a next one.
	if r.ID != id || !known || r.Seq <= 0 || r.Seq == math.MaxInt64 {
		return Release{}, errors.New("its mark makes no sense")
	}
	return r, nil
}

// writeMark replaces a release's mark.
func (d *Dir) writeMark(r Release) error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("mark release %q: %w", r.ID, at(d.releasesPath(), err))
	}
	in, err := d.openReleases()
	if err != nil {
		return fmt.Errorf("mark release %q: %w", r.ID, at(d.releasesPath(), err))
	}
	temp := newMark + r.ID
	if err := in.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) { // left by a kill
		return fmt.Errorf("mark release %q: %w", r.ID, at(d.releasesPath(), err))
	}
	err = writeFile(in, temp, append(b, '\n'), d.opts.Sync)
	if err == nil {
		err = in.Rename(temp, r.ID+markSuffix)
	}
	if err != nil {
		_ = in.Remove(temp)
		return fmt.Errorf("mark release %q: %w", r.ID, at(d.releasesPath(), err))
	}
	return d.syncDir(in, d.releasesPath())
}

// writeFile writes a new file that everybody may read, whatever the umask. With
// sync, it is on the disk then.
func writeFile(in *os.Root, name string, content []byte, sync bool) error {
	f, err := in.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644) // follows no symlink
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil && sync {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// nextSeq is one more than the highest number of all marks.
func (d *Dir) nextSeq() (int64, error) {
	entries, err := d.entries()
	if err != nil {
		return 0, err
	}
	var highest int64
	for _, e := range entries {
		id, ok := markID(e.Name())
		if !ok {
			continue
		}
		if r, err := d.readMark(id); err == nil {
			highest = max(highest, r.Seq)
		}
	}
	return highest + 1, nil
}

// markID is the id of the release that a file name is the mark of.
func markID(name string) (string, bool) {
	id, ok := strings.CutSuffix(name, markSuffix)
	return id, ok && runid.Is(id)
}
