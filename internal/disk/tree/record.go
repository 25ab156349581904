package tree

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk/confined"
)

// ErrRecord: a record can't be read.
var ErrRecord = errors.New("unreadable record")

// Recorded is what is recorded beside the entries of a tree.
type Recorded struct {
	Skip     Skip
	Checksum string    // of the archive
	Excludes []byte    // the text of the exclude list that was in the archive: what Skip is made of
	Archived *Archived // what was unpacked; nil = that is not known, or Contents tells better
	Contents *Contents // what is known of the files; nil = nothing

	// Paths are those that the tree is likely to have, in walking order, without those
	// that are skipped. They save time, and nothing else depends on them. May be nil.
	Paths iter.Seq[string]
}

// key is that of the sums.
func (r *Recorded) key() (key [keySize]byte, certain bool) {
	switch {
	case r.Contents != nil:
		return r.Contents.key, true
	case r.Archived != nil && r.Archived.code != nil:
		return r.Archived.code.key, false
	}
	return key, false
}

// of gives the sums of a file, and the digest of its content, nil where that is not
// known, and whether somebody has changed it since the caller has.
func (r *Recorded) of(e *Entry, st *unix.Stat_t) (sums []Sum, digest *Digest, known, changed bool) {
	if r.Contents != nil {
		return r.Contents.all(st)
	}
	sums, known = r.Archived.of(e.Path)
	return sums, nil, known && len(sums) == blocks(e.Size), false
}

// Save records the tree below an open directory in the file name, completely
// or not at all.
func Save(ctx context.Context, root *os.Root, r Recorded, name string) error {
	tmp := name + ".new"
	_ = os.Remove(tmp) // whatever it is: it was not finished
	f, err := confined.Create(unix.AT_FDCWD, tmp, 0o600)
	if err != nil {
		return fmt.Errorf("record tree: %w", &fs.PathError{Op: "create", Path: tmp, Err: err})
	}
	err = errors.Join(write(ctx, f, root, r), f.Close())
	if err == nil {
		err = os.Rename(tmp, name)
	}
	if err != nil {
		_ = os.Remove(tmp)
		return fmt.Errorf("record tree: %w", err)
	}
	return nil
}

// write writes the record. What is changed while that is done, or in the same
// moment, may be changed once more without a trace: of such files the time of
// change is not told. What is found is written on another goroutine.
func write(ctx context.Context, f io.Writer, root *os.Root, r Recorded) error {
	began := time.Now().UnixNano()
	Settle(began)
	device, err := deviceOf(root)
	if err != nil {
		return err
	}
	enc := &encoder{w: bufio.NewWriterSize(f, 64<<10)}
	enc.header(&r)
	b := newBatches(func(e *Entry, st *unix.Stat_t) { r.put(enc, e, st, device) })
	ahead := confined.LookAhead(root, r.Paths)
	defer ahead.Close()
	err = walk(ctx, root, r.Skip, ahead, func(e *Entry, at spot) error {
		if e.CTime > began && e.CTime <= time.Now().UnixNano() {
			e.CTime = 0
		}
		b.add(e, at.st)
		return nil
	})
	b.close()
	if err != nil {
		return err
	}
	return enc.end()
}

// put writes an entry, and what is known of its content: nothing where its time of
// change is not told.
func (r *Recorded) put(enc *encoder, e *Entry, st *unix.Stat_t, device uint64) {
	if !e.Mode.IsRegular() {
		enc.entry(e, nil, false, nil)
		return
	}
	sums, digest, known, changed := r.of(e, st)
	known = known && e.CTime != 0 && uint64(st.Dev) == device
	if changed {
		e.CTime, known = 0, false
	}
	enc.entry(e, sums, known, digest)
}

// maxShown is how many differences are named.
const maxShown = 3

// Drift is one difference between a recorded tree and what is there.
type Drift struct {
	Path string
	What string // "missing", "extra", "size", "time", "mode", "owner", "type", "link" or "changed"
}

// Drifts are the differences between a recorded tree and what is there.
type Drifts struct {
	First []Drift // in walking order, a few
	Total int

	// Hidden tells that there may be a file with the recorded size and time,
	// but another content.
	Hidden bool
}

func (d *Drifts) add(path, what string) {
	if d.Total++; d.Total <= maxShown {
		d.First = append(d.First, Drift{path, what})
	}
}

// String names the first differences and counts the rest.
func (d Drifts) String() string {
	var parts []string
	for _, one := range d.First {
		parts = append(parts, fmt.Sprintf("%q (%s)", one.Path, one.What))
	}
	text := strings.Join(parts, ", ")
	if more := d.Total - len(d.First); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// Check compares the tree below an open directory with what was recorded in
// the file name; skip makes its function of the recorded excludes. A file that
// only its time of change tells from the recorded one is the same if its
// content is known to be. The error is ErrRecord when the record is the
// trouble, not the tree.
func Check(ctx context.Context, name string, root *os.Root, skip func(list []byte) (Skip, error)) (Drifts, error) {
	r, err := openRecord(name)
	if err != nil {
		return Drifts{}, err
	}
	defer r.close()
	leaveOut, err := skip(r.excludes)
	if err != nil {
		return Drifts{}, err
	}
	c := comparison{decoder: r, ctx: ctx}
	if err := c.next(); err != nil {
		return Drifts{}, err
	}
	if err := walk(ctx, root, leaveOut, nil, c.found); err != nil {
		return Drifts{}, err
	}
	return c.drifts, c.upTo("")
}

// comparison goes through a record along with the tree that is there.
type comparison struct {
	*decoder // its entry is the next recorded one
	ctx      context.Context
	drifts   Drifts
	code     *Contents // nil before it is needed
	block    []byte
}

func broken(err error) error { return fmt.Errorf("%w: %w", ErrRecord, err) }

// found compares an entry with the record.
func (c *comparison) found(e *Entry, at spot) error {
	if err := c.upTo(e.Path); err != nil {
		return err
	}
	if c.entry.Path != e.Path {
		c.drifts.add(e.Path, "extra")
		return nil
	}
	what := difference(&c.entry, e)
	switch {
	case what != "" && what != "mode" && what != "owner":
	case c.isTouched(e):
		same, err := c.isSame(at)
		if err != nil {
			return err
		}
		if !same {
			c.drifts.Hidden = true
			what = cmp.Or(what, "changed")
		}
	}
	if what != "" {
		c.drifts.add(e.Path, what)
	}
	return c.next()
}

// isTouched tells whether a file has been changed, or replaced, since it was
// recorded, in whatever way.
func (c *comparison) isTouched(e *Entry) bool {
	return e.Mode.IsRegular() && (c.entry.CTime == 0 || e.CTime != c.entry.CTime || e.Inode != c.entry.Inode)
}

// isSame tells whether a file is known to have the recorded content. One that
// can't be read is not; the error is that of the context.
func (c *comparison) isSame(at spot) (bool, error) {
	if c.entry.Size == 0 { // and so has the file
		return true, nil
	}
	if c.sums == nil {
		return false, nil
	}
	f, err := confined.OpenFile(at.fd, at.name)
	if err != nil {
		return false, nil
	}
	defer f.Close()
	if c.code == nil {
		c.code, c.block = withKey(c.key), make([]byte, BlockSize)
	}
	sums, err := c.code.SumFile(c.ctx, f, c.block)
	return err == nil && slices.Equal(sums, c.sums), context.Cause(c.ctx)
}

// upTo notes as missing what is recorded before path; "" is behind all.
func (c *comparison) upTo(path string) error {
	for c.entry.Path != "" && (path == "" || before(c.entry.Path, path)) {
		c.drifts.add(c.entry.Path, "missing")
		if err := c.next(); err != nil {
			return err
		}
	}
	return nil
}

// before tells whether a comes before b when a tree is walked: by names, each
// directory with all that is in it.
func before(a, b string) bool {
	if a == "." || b == "." {
		return a == "." && b != "."
	}
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return b[i] != '/' && (a[i] == '/' || a[i] < b[i])
		}
	}
	return len(a) < len(b)
}

func difference(a, b *Entry) string {
	switch {
	case a.Mode.Type() != b.Mode.Type():
		return "type"
	case a.Size != b.Size:
		return "size"
	case a.Link != b.Link:
		return "link"
	case a.MTime != b.MTime:
		return "time"
	case a.Mode != b.Mode:
		return "mode"
	case a.UID != b.UID || a.GID != b.GID:
		return "owner"
	default:
		return ""
	}
}
