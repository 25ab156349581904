// Package serial remembers how far each deployment has come: the highest
// serial that a manifest of its name had, so that nobody goes back to an older
// manifest.
//
// Its words: a claim is what a manifest says, with the keys that vouch for it;
// a record is the file of one name, with the highest serial for each of the
// keys that ever vouched for it; the floor is the highest of those whose keys
// are trusted now. So a key that is taken away takes with it what it alone has
// vouched for, which may be a number that nobody can go beyond. Where no keys
// are asked for, nobody's serials count: they have a place of their own.
//
// A record is replaced as a whole, and on disk before Raise returns. One that
// can't be read is an error and not a floor of 0: the caller decides what that
// is worth. Those who raise wait for each other (flock on the directory); who
// only reads need not.
//
// A Judge is what says it to a run.
//
// The package may import internal/disk and internal/text/failure.
package serial

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
	"unicode/utf8"

	"stretcher/internal/disk"
)

const (
	dirName  = "serials"
	tempName = ".new"      // of a record that is being written
	nobody   = ""          // stands for the keys of a claim that has none
	maxFile  = 1 << 20     // bytes of a record: more than 10 000 keys
	patience = time.Minute // with others who raise, which takes them no second
)

// Store is the records of one state directory.
type Store struct{ state string }

// At is the store in the state directory at path, which need not be there to be
// read.
func At(path string) *Store {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return &Store{path}
}

// Claim is what a manifest says of itself.
type Claim struct {
	Name   string
	Serial int64
	Keys   []string // ids of those that vouch for it; none = no keys are asked for
}

// Trusted tells whether a key is trusted now. Nil: no keys are asked for.
type Trusted func(id string) bool

// Floor is the lowest serial that a manifest of that name may have; 0 when
// there was none yet. It writes nothing.
func (s *Store) Floor(name string, trusted Trusted) (int64, error) {
	dir, err := disk.OpenTrustedDir(filepath.Join(s.state, dirName))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("serials: %w", err)
	}
	defer dir.Close()
	r, err := read(dir, name)
	return r.floor(trusted), err
}

// Raise compares a claim with the floor and, unless it is lower, raises that to
// it. The floor that it returns is the one before: one higher than the claim's
// serial tells that nothing was raised. After an error it is not known what
// has been raised.
func (s *Store) Raise(ctx context.Context, c Claim, trusted Trusted) (floor int64, err error) {
	if c.Serial < 1 || (trusted == nil) != (len(c.Keys) == 0) {
		return 0, fmt.Errorf("serial of %q: nobody vouches for one", c.Name)
	}
	dir, err := s.open()
	if err != nil {
		return 0, fmt.Errorf("serials: %w", err)
	}
	defer dir.Close()
	if err := lock(ctx, dir); err != nil { // until dir is closed
		return 0, err
	}
	r, err := read(dir, c.Name)
	if err != nil {
		return 0, err
	}
	if floor = r.floor(trusted); floor > c.Serial {
		return floor, nil
	}
	if !r.there {
		if err := s.syncAbove(); err != nil {
			return floor, fmt.Errorf("serial of %q: %w", c.Name, err)
		}
	}
	if r.raise(c) {
		if err := r.write(dir); err != nil {
			return floor, fmt.Errorf("serial of %q: %w", c.Name, whole(err, dir))
		}
	}
	// Also where it is written already: who wrote it may have been killed here.
	if err := disk.SyncDir(dir.Root()); err != nil {
		return floor, fmt.Errorf("serial of %q: %w", c.Name, err)
	}
	return floor, nil
}

// Path is the file of a name.
func (s *Store) Path(name string) string { return filepath.Join(s.state, dirName, fileName(name)) }

// open opens the directory of the records, and makes it where it is missing.
func (s *Store) open() (*disk.Dir, error) {
	dir, err := disk.OpenTrustedDir(filepath.Join(s.state, dirName))
	if !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	parent, err := disk.OpenTrustedDir(s.state)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	// Another run may make it at the same time. Whoever does, it is judged as
	// one that was there before.
	if err := parent.Root().Mkdir(dirName, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, whole(err, parent)
	}
	return disk.OpenTrustedDir(filepath.Join(s.state, dirName))
}

// syncAbove brings the directory of the records itself onto the disk. It is done
// before the first record of a name is there: whoever has made the directory may
// have been killed over that.
func (s *Store) syncAbove() error {
	parent, err := disk.OpenTrustedDir(s.state)
	if err != nil {
		return err
	}
	return errors.Join(disk.SyncDir(parent.Root()), parent.Close())
}

// lock waits for who else raises.
func lock(ctx context.Context, dir *disk.Dir) error {
	waiting, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("another run holds it for %v", patience))
	defer cancel()
	err := disk.Lock(waiting, dir.File())
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	if err != nil {
		return fmt.Errorf("lock %q: %w", dir.Path(), err)
	}
	return nil
}

// record is the file of one name.
type record struct {
	Name    string           `json:"name"`
	Serials map[string]int64 `json:"serials"` // by key; nobody's among them
	there   bool             // it was read
}

// fileName is a record's name, whatever is in the name of the deployment.
func fileName(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

// read reads the record of a name, as long as it is one: an empty file, or half
// of one, is ErrDamaged.
func read(dir *disk.Dir, name string) (record, error) {
	r := record{Name: name, Serials: map[string]int64{}}
	if !utf8.ValidString(name) {
		return r, fmt.Errorf("serial of %q: the name is not UTF-8", name)
	}
	f, err := disk.OpenRegularIn(dir.Root(), fileName(name), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("serial of %q: %w", name, err)
	}
	defer f.Close()
	var text []byte
	if err = ours(f); err == nil {
		text, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	}
	if err == nil {
		err = r.parse(text, name)
	}
	r.there = err == nil
	if err != nil {
		return r, fmt.Errorf("serial of %q: %q: %w", name, filepath.Join(dir.Path(), fileName(name)), err)
	}
	return r, nil
}

// ours refuses a file that others own or may write. Nobody else can have put it
// there, but root may have brought it back from somewhere with their mode.
func ours(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Uid != 0 && int(st.Uid) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
		return errNotOurs
	}
	return nil
}

var errNotOurs = errors.New("it must be a file that only its owner can write, you or root")

// ErrDamaged: a record says what none says that was written here.
var ErrDamaged = errors.New("damaged")

func (r *record) parse(text []byte, name string) error {
	if len(text) > maxFile {
		return fmt.Errorf("%w: larger than %d bytes", ErrDamaged, maxFile)
	}
	*r = record{}
	if err := json.Unmarshal(text, r); err != nil {
		return fmt.Errorf("%w: it is not what a run writes there", ErrDamaged)
	}
	if r.Name != name {
		return fmt.Errorf("%w: it is that of %q", ErrDamaged, r.Name)
	}
	if len(r.Serials) == 0 {
		return fmt.Errorf("%w: no serials", ErrDamaged)
	}
	for _, n := range r.Serials {
		if n <= 0 {
			return fmt.Errorf("%w: serial %d", ErrDamaged, n)
		}
	}
	return nil
}

// floor is the highest serial that somebody vouched for who is trusted now.
func (r *record) floor(trusted Trusted) (highest int64) {
	for key, n := range r.Serials {
		if trusted == nil && key == nobody || trusted != nil && key != nobody && trusted(key) {
			highest = max(highest, n)
		}
	}
	return highest
}

// raise notes a claim, and tells whether that changes the record.
func (r *record) raise(c Claim) (changed bool) {
	keys := c.Keys
	if len(keys) == 0 {
		keys = []string{nobody}
	}
	for _, key := range keys {
		if c.Serial > r.Serials[key] {
			r.Serials[key], changed = c.Serial, true
		}
	}
	return changed
}

// whole makes an error of an open directory say the path that it speaks of.
func whole(err error, dir *disk.Dir) error {
	var link *os.LinkError // of a rename
	if errors.As(err, &link) {
		return &fs.PathError{Op: "write", Path: filepath.Join(dir.Path(), link.New), Err: link.Err}
	}
	var at *fs.PathError
	if errors.As(err, &at) {
		return &fs.PathError{Op: "write", Path: filepath.Join(dir.Path(), filepath.Base(at.Path)), Err: at.Err}
	}
	return err
}

// write replaces the file of a record. It is only complete there, and on disk.
func (r *record) write(dir *disk.Dir) (err error) {
	text, err := json.Marshal(r)
	if err == nil && len(text) >= maxFile {
		err = fmt.Errorf("a record of %d bytes: %d can be read", len(text), maxFile)
	}
	if err != nil {
		return err
	}
	in := dir.Root()
	if err := in.Remove(tempName); err != nil && !errors.Is(err, fs.ErrNotExist) { // left by a kill
		return err
	}
	f, err := in.OpenFile(tempName, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(append(text, '\n')); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = in.Rename(tempName, fileName(r.Name))
	}
	if err != nil {
		_ = in.Remove(tempName)
	}
	return err
}
