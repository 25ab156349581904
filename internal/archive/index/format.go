package index

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"
)

// magic is the first line. A reader knows one version.
const magic = "stretcher index 1\n"

// leastMember is how much a member takes of an index at least, in bytes.
const leastMember = 2 + len(Sum{})

// Encode gives the bytes of an index. They are those that Decode was given.
func (x *Index) Encode() []byte {
	b := append(make([]byte, 0, x.encodedSize()), magic...)
	b = append(b, x.Archive[:]...)
	for _, n := range []int64{x.Size, x.Stream, int64(len(x.Members)), int64(len(x.Files)), int64(len(x.frame))} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	for i := range x.Members {
		b = binary.AppendUvarint(b, uint64(x.Members[i].Length))
		b = binary.AppendUvarint(b, uint64(x.Members[i].Unpacked))
	}
	for i := range x.Members {
		b = append(b, x.Members[i].Sum[:]...)
	}
	for i := range x.Files {
		b = append(b, x.Files[i].Sum[:]...)
	}
	return append(b, x.frame...)
}

func (x *Index) encodedSize() int {
	return len(magic) + 6*binary.MaxVarintLen64 + len(x.Members)*(6+len(Sum{})) + len(x.Files)*len(Sum{}) + len(x.frame)
}

// Decode reads an index, and finds whether it fits together. It takes memory
// for what the data have, not for what they claim. The error is ErrInvalid.
func Decode(data []byte) (*Index, error) {
	if len(data) > MaxSize {
		return nil, invalid("more than %d bytes", MaxSize)
	}
	x := &Index{}
	d := &decoder{rest: data}
	members, files := d.head(x)
	d.members(x, members)
	d.digests(x, files)
	if d.err != nil {
		return nil, d.err
	}
	if x.frame = bytes.Clone(d.rest); d.frame != len(d.rest) {
		return nil, invalid("%d bytes for a frame of %d", len(d.rest), d.frame)
	}
	if err := x.readFrame(); err != nil {
		return nil, err
	}
	return x, nil
}

// decoder reads from rest; after its first error it only gives zeros.
type decoder struct {
	rest  []byte
	frame int // length of the frame
	err   error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err, d.rest = invalid(format, args...), nil
	}
}

func (d *decoder) take(n int) []byte {
	if n > len(d.rest) {
		d.fail("it is cut short")
		return make([]byte, n)
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

// number reads one that is at least least and at most most.
func (d *decoder) number(least, most int64) int64 {
	v, n := binary.Uvarint(d.rest)
	switch {
	case d.err != nil:
		return 0
	case n <= 0:
		d.fail("it is cut short")
		return 0
	case n > 1 && d.rest[n-1] == 0:
		d.fail("a number is longer than it must be")
		return 0
	case v > uint64(most) || v < uint64(least):
		d.fail("%d where at least %d and at most %d is right", v, least, most)
		return 0
	}
	d.rest = d.rest[n:]
	return int64(v)
}

// ArchiveOf tells which archive an index is of, of which nothing else is read. The
// error is ErrInvalid.
func ArchiveOf(data []byte) (Sum, error) {
	d := &decoder{rest: data}
	sum := d.archive()
	return sum, d.err
}

// archive reads that, and what is before it.
func (d *decoder) archive() Sum {
	if !bytes.HasPrefix(d.rest, []byte(magic)) {
		line, _, _ := strings.Cut(string(d.rest[:min(len(d.rest), 40)]), "\n")
		d.fail("it begins with %q, not with %q", line, strings.TrimSpace(magic))
		return Sum{}
	}
	d.take(len(magic))
	return Sum(d.take(len(Sum{})))
}

// head reads what comes before the members, and how many members and files
// there are.
func (d *decoder) head(x *Index) (members, files int) {
	if x.Archive = d.archive(); d.err != nil {
		return 0, 0
	}
	x.Size = d.number(1, math.MaxInt64)
	x.Stream = d.number(1, math.MaxInt64)
	members = int(d.number(1, int64(len(d.rest)/leastMember)))
	files = int(d.number(0, int64(len(d.rest)/len(Sum{}))))
	d.frame = int(d.number(1, int64(len(d.rest))))
	return members, files
}

func (d *decoder) members(x *Index, n int) {
	if d.err != nil {
		return
	}
	x.Members = make([]Member, n)
	at, start := int64(0), int64(0)
	for i := range x.Members {
		m := &x.Members[i]
		m.Offset, m.Length = at, int(d.number(1, MaxMember))
		m.Start, m.Unpacked = start, int(d.number(1, MaxMember))
		at, start = at+int64(m.Length), start+int64(m.Unpacked)
	}
	for i := range x.Members {
		copy(x.Members[i].Sum[:], d.take(len(Sum{})))
	}
	if at != x.Size || start != x.Stream {
		d.fail("members of %d and %d bytes for an archive of %d and %d", at, start, x.Size, x.Stream)
	}
}

func (d *decoder) digests(x *Index, n int) {
	if d.err != nil || n*len(Sum{}) > len(d.rest) {
		d.fail("it is cut short")
		return
	}
	x.Files = make([]File, n)
	for i := range x.Files {
		copy(x.Files[i].Sum[:], d.take(len(Sum{})))
	}
}

// readFrame finds paths, places and sizes of the files.
func (x *Index) readFrame() error {
	f, err := x.openFrame()
	if err != nil {
		return err
	}
	defer f.close()
	pos, found := int64(0), 0
	sums := newFrameSums(x)
	for {
		p, err := f.next(sums)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		pos += p.frame
		if pos > x.Stream || p.size > x.Stream-pos {
			return invalid("%q lies outside of the archive", p.path)
		}
		if p.size == 0 {
			continue
		}
		if found == len(x.Files) {
			return invalid("more than %d files", found)
		}
		x.Files[found].Path, x.Files[found].Start, x.Files[found].Size = p.path, pos, p.size
		pos += p.size
		found++
		sums.content(p.size)
	}
	if found != len(x.Files) || pos != x.Stream {
		return invalid("%d of %d files, %d of %d bytes", found, len(x.Files), pos, x.Stream)
	}
	return nil
}

// checkPath refuses what is no path below a root.
func checkPath(path string) error {
	if path == "" || len(path) > MaxPath || strings.IndexByte(path, 0) >= 0 {
		return invalid("a path of %d bytes", len(path))
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." {
			return fmt.Errorf("%w: the path %q", ErrInvalid, path)
		}
	}
	return nil
}
