// Package cache keeps what good runs have deployed, so that it can be deployed
// again when what came after it turns out bad.
//
// Its words: an entry is what one run deployed, by the run's id: a manifest,
// its bytes as they were fetched, with the signature that came with it if one
// was asked for, and, for those who need it, the archive, a file that was
// verified. A dest's entries are ordered by a count, not by the clock, which may
// be set.
//
// An entry is a directory that appears and goes by a rename, so that there is
// never half of one, whoever is killed. Manifests may hold secrets: directories
// have mode 0700, files 0600, and what belongs to anybody but the caller or
// root counts as not there. What the disk lost in a crash of the machine is
// told by the archive's size here and by its checksum, which the caller
// verifies before it deploys an archive again.
//
// Several processes may use one cache at once. Calls that write for a dest
// belong under the dest's lock, which is the caller's.
//
// Beside the entries there is the pool: archives and their indexes by checksum,
// also of what was never deployed. One that is in an entry as well is the same
// file on disk.
//
// An archive is whole, or lies in pieces of two files: see Archive. Who wants a file
// of it has it put together.
//
// The package may import internal/disk, and nothing else of this module. It
// knows nothing of what a manifest says.
package cache

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk"
)

// ErrNotFound: the run has no entry here, or none that the caller may trust.
var ErrNotFound = errors.New("nothing is kept of this run")

// The names in an entry's directory.
const (
	metaName     = "meta.json"
	manifestName = "manifest"
	archiveName  = "archive"
)

// Limits of what is read into memory, in bytes.
const (
	maxMeta     = 1 << 20
	maxManifest = 64 << 20
)

// Entry says what one run deployed.
type Entry struct {
	Run         string    `json:"run"` // its id, the name of the entry
	Seq         int64     `json:"seq"` // from 1; set by Put, higher than that of all entries then
	Dest        string    `json:"dest"`
	Strategy    string    `json:"strategy"`
	Origin      int64     `json:"origin"`         // Seq of the entry whose deployment a rollback deployed again; 0 = none
	ManifestURL string    `json:"manifest_url"`   // as the caller gives it: without secrets, if it is wise
	Base        string    `json:"base,omitempty"` // of the URLs that the manifest has as paths; without secrets
	Name        string    `json:"name"`
	Version     string    `json:"version"`
	Checksum    string    `json:"checksum"` // of the archive, in the caller's form; "" for none
	Fingerprint string    `json:"fingerprint"`
	Finished    time.Time `json:"finished"`
	HasArchive  bool      `json:"-"` // it is in this entry now, in its full size
	// Size is that of the archive, in bytes, also when it is not here any more;
	// 0 when there never was one.
	Size int64 `json:"size"`
	// Signature is that of the manifest, as it was fetched; nil = none was asked for.
	Signature []byte `json:"signature,omitempty"`
}

// Store is an open cache. It is safe for concurrent use.
type Store struct {
	dir   string // for messages
	place *disk.Dir
	root  *os.Root
	pool  *Pool
	reads bool // nothing is changed

	// Warn is told of entries that can't be read and are left out. It must be
	// set before the first call; nil means nobody is told.
	Warn func(error)
}

// Open opens the cache in dir, which it makes (mode 0700) when it is missing.
// A dir that another user but root can write to is refused.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open cache: %w", err)
	}
	return openStore(dir)
}

// OpenReading is Open of a cache that is there, to be looked at alone.
func OpenReading(dir string) (*Store, error) {
	s, err := openStore(dir)
	if err == nil {
		s.reads = true
	}
	return s, err
}

func openStore(dir string) (*Store, error) {
	place, err := openOwn(dir)
	if err != nil {
		return nil, fmt.Errorf("open cache: %w", err)
	}
	return &Store{dir: dir, place: place, root: place.Root()}, nil
}

func openOwn(dir string) (*disk.Dir, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	place, err := disk.Open(abs)
	if err != nil {
		return nil, err
	}
	info, err := place.File().Stat()
	if err == nil && (!own(info) || info.Mode().Perm()&0o022 != 0) {
		err = fmt.Errorf("%q must be a directory that only its owner can write, you or root", dir)
	}
	if err != nil {
		return nil, errors.Join(err, place.Close())
	}
	return place, nil
}

// Reads tells whether nothing is changed here.
func (s *Store) Reads() bool { return s == nil || s.reads }

// Use gives the cache the pool that is beside it.
func (s *Store) Use(pool *Pool) { s.pool = pool }

// Pool is the pool beside the cache, nil for none.
func (s *Store) Pool() *Pool {
	if s == nil {
		return nil
	}
	return s.pool
}

// Close closes the cache, and its pool.
func (s *Store) Close() error { return errors.Join(s.place.Close(), s.pool.Close()) }

// List returns dest's entries, the newest first; those of all dests when dest
// is "". Entries that can't be read are left out and told to Warn. A nil store has none.
func (s *Store) List(dest string) ([]Entry, error) {
	if s == nil {
		return nil, nil
	}
	names, err := s.names()
	if err != nil {
		return nil, fmt.Errorf("read cache: %w", err)
	}
	var all []Entry
	for _, name := range names {
		if !isRun(name) {
			continue
		}
		e, err := s.read(name)
		switch {
		case errors.Is(err, ErrNotFound): // gone since, or somebody else's
		case err != nil:
			s.warn(fmt.Errorf("kept entry left out: %w", err))
		case dest == "" || e.Dest == dest:
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b Entry) int { return cmp.Or(cmp.Compare(b.Seq, a.Seq), cmp.Compare(b.Run, a.Run)) })
	return all, nil
}

// Get returns the run's entry. The error wraps ErrNotFound, or says why it
// can't be read.
func (s *Store) Get(run string) (Entry, error) {
	if !isRun(run) {
		return Entry{}, fmt.Errorf("%w: %q", ErrNotFound, run)
	}
	return s.read(run)
}

func (s *Store) names() ([]string, error) {
	dir, err := s.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Readdirnames(-1)
}

// Manifest returns the manifest of the run's entry. Errors are those of Get.
func (s *Store) Manifest(run string) ([]byte, error) {
	if _, err := s.Get(run); err != nil {
		return nil, err
	}
	dir, err := s.entry(run)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return readFile(dir, manifestName, maxManifest)
}

// Archive opens the archive in the run's entry, if it has one. An older entry
// may have given it up to a newer one, see Prune; then Find knows it. Its files
// stay whatever happens to the entry. The caller closes it.
func (s *Store) Archive(run string) (*Archive, bool) {
	e, err := s.Get(run)
	if err != nil {
		return nil, false
	}
	return s.archive(e)
}

// Find opens an archive with this checksum, that of the newest entry of any
// dest. The caller closes it.
func (s *Store) Find(checksum string) (*Archive, bool) {
	all, err := s.List("")
	if err != nil || checksum == "" {
		return nil, false
	}
	for _, e := range all {
		if e.Checksum != checksum {
			continue
		}
		if f, ok := s.archive(e); ok {
			return f, true
		}
	}
	return nil, false
}

// Drop removes from all entries the archives that lie in a file which is not what it
// should be.
func (s *Store) Drop(bad *os.File) error {
	if s == nil || s.reads {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lockWait)
	defer cancel()
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	all, err := s.List("")
	for _, e := range all {
		for _, name := range files(filepath.Join(e.Run, archiveName)) {
			if isAt(s.root, name, bad) {
				err = cmp.Or(err, s.removeArchive(e.Run))
			}
		}
	}
	return err
}

// Size is how many bytes the archives of all entries take together.
func (s *Store) Size() int64 {
	all, _ := s.List("")
	var nodes []node
	for _, e := range all {
		nodes = append(nodes, s.nodes(e)...)
	}
	return roomOf(nodes)
}

// nodes are the files that the archive of an entry lies in, or half of one.
func (s *Store) nodes(e Entry) (all []node) {
	for _, name := range files(filepath.Join(e.Run, archiveName)) {
		if info, err := s.root.Lstat(name); err == nil && info.Mode().IsRegular() {
			all = append(all, nodeOf(info))
		}
	}
	return all
}

// removeHalf removes a base or parts without the other.
func (s *Store) removeHalf(run string) error {
	name := filepath.Join(run, archiveName)
	return cmp.Or(s.removeFile(name+partsSuffix), s.removeFile(name+baseSuffix))
}

// removeArchive removes the archive of an entry, or half of one.
func (s *Store) removeArchive(run string) (err error) {
	for _, name := range files(filepath.Join(run, archiveName)) {
		err = cmp.Or(err, s.removeFile(name))
	}
	return err
}

// archive opens the archive of an entry. What was opened is judged, not what
// was seen before.
func (s *Store) archive(e Entry) (*Archive, bool) {
	dir, err := s.entry(e.Run)
	if err != nil {
		return nil, false
	}
	defer dir.Close()
	a, err := openArchive(dir.Root(), archiveName, e.Checksum)
	if err != nil {
		return nil, false
	}
	if size, err := a.Size(); err != nil || size != e.Size {
		_ = a.Close()
		return nil, false
	}
	return a, true
}

// temporary are the names of entries that are prepared or removed.
var temporary = regexp.MustCompile(`^\.[0-9A-Za-z_-]+\.[0-9]+$`)

// Sweep removes what killed runs have left, and nothing that a live one is
// about to make an entry of. It can't fail: what stays is swept the next time.
func (s *Store) Sweep() { disk.Sweep(s.place, temporary.MatchString) }

// maxRun bounds a run's id, in bytes.
const maxRun = 100

// isRun tells whether name may be a run's id: it is a file name here, and may
// come from a command line.
func isRun(name string) bool {
	return name != "" && len(name) <= maxRun && strings.IndexFunc(name, isForeign) < 0
}

func isForeign(c rune) bool {
	switch {
	case '0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', c == '_', c == '-':
		return false
	}
	return true
}

func (s *Store) path(run, name string) string { return filepath.Join(s.dir, run, name) }

func (s *Store) warn(err error) {
	if s.Warn != nil {
		s.Warn(err)
	}
}

// entry opens the entry of a run whose name is checked.
func (s *Store) entry(run string) (*disk.Dir, error) {
	dir, err := s.place.Sub(run)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%w: %q", ErrNotFound, run)
	}
	if err != nil {
		return nil, err
	}
	if info, err := dir.File().Stat(); err != nil || !own(info) {
		return nil, errors.Join(fmt.Errorf("%w: %q", ErrNotFound, run), err, dir.Close())
	}
	return dir, nil
}

// read reads the entry of a run whose name is checked.
func (s *Store) read(run string) (e Entry, err error) {
	dir, err := s.entry(run)
	if err != nil {
		return Entry{}, err
	}
	defer dir.Close()
	text, err := readFile(dir, metaName, maxMeta)
	if errors.Is(err, fs.ErrNotExist) && !s.has(run) {
		return Entry{}, fmt.Errorf("%w: %q", ErrNotFound, run)
	}
	if err != nil {
		return Entry{}, err
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return Entry{}, fmt.Errorf("read %q: %w", s.path(run, metaName), err)
	}
	if e.Run != run || e.Seq < 1 {
		return Entry{}, fmt.Errorf("read %q: it is of run %q, number %d", s.path(run, metaName), e.Run, e.Seq)
	}
	e.HasArchive = isHere(dir.Root(), archiveName, e.Size)
	return e, nil
}

// has tells whether there is an entry by that name now: the one that is open
// may be going.
func (s *Store) has(run string) bool {
	_, err := s.root.Lstat(run)
	return err == nil
}

// readFile reads a file of an open entry.
func readFile(dir *disk.Dir, name string, limit int64) ([]byte, error) {
	path := filepath.Join(dir.Path(), name)
	f, err := disk.OpenRegularIn(dir.Root(), name, os.O_RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !own(info) || info.Size() > limit {
		return nil, fmt.Errorf("read %q: not a file of yours or root's of at most %d bytes", path, limit)
	}
	return io.ReadAll(io.LimitReader(f, limit))
}

// own tells whether a file belongs to somebody the caller trusts.
func own(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && (st.Uid == 0 || int(st.Uid) == os.Geteuid())
}
