package tree

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk/confined"
)

// magic is how a record begins. The number goes up when the format changes:
// who meets another one than its own has no record.
const magic = "stretcher tree 3\n"

// maxText bounds the paths, targets and exclude lists that are read.
const maxText = 64 << 20

// encoder writes a record: the header, the entries, each with the part of its
// path that the one before it does not have, and the end. Its first error
// stays in w.
type encoder struct {
	w    *bufio.Writer
	last string // path of the entry before
	buf  [binary.MaxVarintLen64]byte
}

func (x *encoder) number(n uint64) { _, _ = x.w.Write(binary.AppendUvarint(x.buf[:0], n)) }

func (x *encoder) time(ns int64) {
	_, _ = x.w.Write(binary.LittleEndian.AppendUint64(x.buf[:0], uint64(ns)))
}

func (x *encoder) text(s string) {
	x.number(uint64(len(s)))
	_, _ = x.w.WriteString(s)
}

func (x *encoder) header(r *Recorded) {
	key, certain := r.key()
	_, _ = x.w.WriteString(magic)
	_, _ = x.w.Write(key[:])
	if certain {
		x.number(1)
	} else {
		x.number(0)
	}
	x.text(r.Checksum)
	x.text(string(r.Excludes))
}

// entry writes an entry; known says that there are sums.
func (x *encoder) entry(e *Entry, sums []Sum, known bool, digest *Digest) {
	same := shared(x.last, e.Path)
	x.number(uint64(same))
	x.text(e.Path[same:])
	x.last = e.Path
	x.number(uint64(e.Mode))
	x.number(uint64(e.UID))
	x.number(uint64(e.GID))
	if e.Mode.IsDir() {
		return
	}
	x.time(e.MTime)
	switch e.Mode.Type() {
	case fs.ModeSymlink:
		x.text(e.Link)
	case 0:
		x.number(uint64(e.Size))
		x.number(e.Inode)
		x.time(e.CTime)
		if !known {
			x.number(0)
			return
		}
		x.number(uint64(len(sums)) + 1)
		for i := range sums {
			_, _ = x.w.Write(sums[i][:])
		}
		x.digest(digest)
	}
}

// digest writes the digest of a content, or that there is none.
func (x *encoder) digest(d *Digest) {
	if d == nil {
		x.number(0)
		return
	}
	x.number(1)
	_, _ = x.w.Write(d[:])
}

// end writes an entry without a path.
func (x *encoder) end() error {
	x.number(0)
	x.text("")
	return x.w.Flush()
}

func shared(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// decoder reads a record.
type decoder struct {
	f        *os.File
	r        *bufio.Reader
	key      [keySize]byte
	certain  bool   // the sums are those of dest's files, not only of what they were to become
	checksum string // of the archive
	excludes []byte
	entry    Entry // the last one read; its path is "" at the end
	sums     []Sum // its content's; nil = not known. Good until the next
	buf      []Sum
	digest   *Digest // its content's, where the sums are known; nil = not known
	text     []byte
}

// errVersion: another stretcher has written the record.
var errVersion = errors.New("it was written by another version")

// openRecord opens a record and reads its header. The error is ErrRecord.
func openRecord(name string) (*decoder, error) {
	f, err := openOwn(name)
	if err != nil {
		return nil, broken(&fs.PathError{Op: "open", Path: name, Err: err})
	}
	d := &decoder{f: f, r: bufio.NewReaderSize(f, 64<<10)}
	if err := d.header(); err != nil {
		d.close()
		return nil, broken(err)
	}
	return d, nil
}

// openOwn opens a file that the caller or root has made. What others have made,
// a symlink and what is no file are errors, and a FIFO is not waited for.
func openOwn(name string) (*os.File, error) {
	f, err := confined.OpenFile(unix.AT_FDCWD, name)
	switch {
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ELOOP):
		return nil, errors.New("not a regular file")
	case err != nil:
		return nil, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(int(f.Fd()), &st); err == nil && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		err = fmt.Errorf("it belongs to uid %d", st.Uid)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func (d *decoder) close() { _ = d.f.Close() }

func (d *decoder) header() error {
	var begin [len(magic)]byte
	n, err := io.ReadFull(d.r, begin[:])
	if string(begin[:n]) != magic[:n] {
		return errVersion
	}
	if err == nil {
		_, err = io.ReadFull(d.r, d.key[:])
	}
	var certain uint64
	if err == nil {
		certain, err = binary.ReadUvarint(d.r)
		d.certain = certain == 1
	}
	if err == nil {
		d.text, err = d.read(nil)
		d.checksum = string(d.text)
	}
	if err == nil {
		d.excludes, err = d.read(nil)
	}
	return err
}

// next reads an entry.
func (d *decoder) next() error {
	if err := d.decode(); err != nil {
		return broken(whole(err))
	}
	return nil
}

// whole makes the end of a file an error: what ends a record is in it.
func whole(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (d *decoder) decode() (err error) {
	e := &d.entry
	d.sums, d.digest = nil, nil
	if e.Path, err = d.path(e.Path); err != nil {
		return err
	}
	*e = Entry{Path: e.Path}
	if e.Path == "" {
		return nil
	}
	var mode, uid, gid uint64
	for _, n := range []*uint64{&mode, &uid, &gid} {
		if *n, err = binary.ReadUvarint(d.r); err != nil {
			return err
		}
	}
	e.Mode, e.UID, e.GID = fs.FileMode(mode), uint32(uid), uint32(gid)
	if e.Mode.IsDir() {
		return nil
	}
	if e.MTime, err = d.time(); err != nil {
		return err
	}
	switch e.Mode.Type() {
	case fs.ModeSymlink:
		d.text, err = d.read(d.text[:0])
		e.Link = string(d.text)
	case 0:
		err = d.regular(e)
	}
	return err
}

// path reads a path after that of the entry before.
func (d *decoder) path(last string) (string, error) {
	same, err := binary.ReadUvarint(d.r)
	if err != nil {
		return "", err
	}
	if same > uint64(len(last)) {
		return "", fmt.Errorf("a path with %d bytes of one with %d", same, len(last))
	}
	d.text, err = d.read(append(d.text[:0], last[:same]...))
	return string(d.text), err
}

func (d *decoder) time() (int64, error) {
	var b [8]byte
	_, err := io.ReadFull(d.r, b[:])
	return int64(binary.LittleEndian.Uint64(b[:])), err
}

// read reads a text and appends it to b.
func (d *decoder) read(b []byte) ([]byte, error) {
	n, err := binary.ReadUvarint(d.r)
	if err != nil {
		return nil, err
	}
	if n > maxText {
		return nil, fmt.Errorf("a text of %d bytes", n)
	}
	for n > 0 { // no more is allocated than there is
		m := int(min(n, 4096))
		b = slices.Grow(b, m)
		part := b[len(b) : len(b)+m]
		if _, err := io.ReadFull(d.r, part); err != nil {
			return nil, whole(err)
		}
		b = b[:len(b)+m]
		n -= uint64(m)
	}
	return b, nil
}

// regular reads what there is of a regular file alone.
func (d *decoder) regular(e *Entry) error {
	size, err := binary.ReadUvarint(d.r)
	if err != nil {
		return err
	}
	e.Size = int64(size)
	if e.Inode, err = binary.ReadUvarint(d.r); err != nil {
		return err
	}
	if e.CTime, err = d.time(); err != nil {
		return err
	}
	n, err := binary.ReadUvarint(d.r)
	if err != nil || n == 0 {
		return err
	}
	if e.Size < 0 || n-1 != uint64(blocks(e.Size)) {
		return fmt.Errorf("%d sums of %d bytes", n-1, size)
	}
	d.buf = d.buf[:0]
	for range n - 1 {
		var sum Sum
		if _, err := io.ReadFull(d.r, sum[:]); err != nil {
			return whole(err)
		}
		d.buf = append(d.buf, sum)
	}
	d.sums = d.buf[:len(d.buf):len(d.buf)]
	if d.sums == nil {
		d.sums = []Sum{}
	}
	return d.readDigest()
}

func (d *decoder) readDigest() error {
	n, err := binary.ReadUvarint(d.r)
	if err != nil || n == 0 {
		return whole(err)
	}
	d.digest = new(Digest)
	_, err = io.ReadFull(d.r, d.digest[:])
	return whole(err)
}
