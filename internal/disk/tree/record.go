package tree

import (
	"bufio"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
)

// ErrRecord: a record can't be read.
var ErrRecord = errors.New("unreadable record")

// header is the beginning of a record. The entries follow, and an empty one
// at the end.
type header struct{ Excludes []byte }

// Save records the tree below an open directory in the file name, completely
// or not at all. excludes is the text of the exclude list that was in the
// archive.
func Save(ctx context.Context, root *os.Root, skip Skip, excludes []byte, name string) error {
	tmp := name + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("record tree: %w", err)
	}
	err = errors.Join(write(ctx, f, root, skip, excludes), f.Close())
	if err == nil {
		err = os.Rename(tmp, name)
	}
	if err != nil {
		_ = os.Remove(tmp)
		return fmt.Errorf("record tree: %w", err)
	}
	return nil
}

func write(ctx context.Context, f io.Writer, root *os.Root, skip Skip, excludes []byte) error {
	w := bufio.NewWriterSize(f, 64<<10)
	enc := gob.NewEncoder(w)
	if err := enc.Encode(header{excludes}); err != nil {
		return err
	}
	if err := walk(ctx, root, skip, func(e Entry) error { return enc.Encode(&e) }); err != nil {
		return err
	}
	return errors.Join(enc.Encode(&Entry{}), w.Flush())
}

// maxShown is how many differences are named.
const maxShown = 3

// Drift is one difference between a recorded tree and what is there.
type Drift struct {
	Path string
	What string // "missing", "extra", "size", "time", "mode", "owner", "type" or "link"
}

// Drifts are the differences between a recorded tree and what is there.
type Drifts struct {
	First []Drift // in walking order, a few
	Total int
}

func (d *Drifts) add(path, what string) {
	if d.Total++; d.Total <= maxShown {
		d.First = append(d.First, Drift{path, what})
	}
}

// Check compares the tree below an open directory with what was recorded in
// the file name; skip makes its function of the recorded excludes. The error
// is ErrRecord when the record is the trouble, not the tree.
func Check(ctx context.Context, name string, root *os.Root, skip func(list []byte) (Skip, error)) (Drifts, error) {
	f, err := os.Open(name)
	if err != nil {
		return Drifts{}, broken(err)
	}
	defer f.Close()
	c := comparison{dec: gob.NewDecoder(bufio.NewReaderSize(f, 64<<10))}
	var h header
	if err := c.dec.Decode(&h); err != nil {
		return Drifts{}, broken(err)
	}
	leaveOut, err := skip(h.Excludes)
	if err != nil {
		return Drifts{}, err
	}
	if err := c.next(); err != nil {
		return Drifts{}, err
	}
	if err := walk(ctx, root, leaveOut, c.found); err != nil {
		return Drifts{}, err
	}
	return c.drifts, c.upTo("")
}

// comparison goes through a record along with the tree that is there.
type comparison struct {
	dec    *gob.Decoder
	was    Entry // the next recorded one; its path is "" at the end
	drifts Drifts
}

func broken(err error) error { return fmt.Errorf("%w: %w", ErrRecord, err) }

func (c *comparison) next() error {
	c.was = Entry{}
	err := c.dec.Decode(&c.was)
	if err == io.EOF { // the empty entry ends a record
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return broken(err)
	}
	return nil
}

// found compares an entry with the record.
func (c *comparison) found(e Entry) error {
	if err := c.upTo(e.Path); err != nil {
		return err
	}
	if c.was.Path != e.Path {
		c.drifts.add(e.Path, "extra")
		return nil
	}
	if what := difference(c.was, e); what != "" {
		c.drifts.add(e.Path, what)
	}
	return c.next()
}

// upTo notes as missing what is recorded before path; "" is behind all.
func (c *comparison) upTo(path string) error {
	for c.was.Path != "" && (path == "" || before(c.was.Path, path)) {
		c.drifts.add(c.was.Path, "missing")
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

func difference(a, b Entry) string {
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
