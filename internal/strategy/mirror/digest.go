package mirror

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/disk/confined"
	"stretcher/internal/disk/tree"
)

// digest reads one content after another, and makes its sums. Its buffers
// serve them all.
type digest struct {
	ctx      context.Context
	contents *tree.Contents
	content  *archive.Content // that is read; nil = it comes from a file
	sum      *tree.Digest     // of the whole content; nil = not known
	sums     []tree.Sum       // of the blocks read so far, or of the first of very many
	last     int64            // how many have been read
	late     bool             // the digest of the content is put off
	block    []byte           // the last one read
	other    []byte           // what it is compared with
	outline  outline
}

// of begins with a content, of which nothing has been read.
func (d *digest) of(content *archive.Content) { d.content, d.sum = content, digestOf(content) }

func (d *digest) reset() {
	d.sums, d.last, d.late = d.sums[:0], 0, false
	if d.block == nil {
		d.block = make([]byte, tree.BlockSize)
	}
}

// next reads a block and its sum; none at the end.
func (d *digest) next(r io.Reader) (n int, err error) {
	if err := context.Cause(d.ctx); err != nil {
		return 0, err
	}
	n, err = io.ReadFull(r, d.block)
	if d.last++; n > 0 && tree.IsKnowable(d.last*tree.BlockSize) {
		d.sums = append(d.sums, d.contents.Sum(len(d.sums), d.block[:n]))
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return n, err
}

// rest reads what is left, and gives each block to put.
func (d *digest) rest(r io.Reader, put func([]byte) error) error {
	for {
		n, err := d.next(r)
		if err != nil || n == 0 {
			return err
		}
		if err := put(d.block[:n]); err != nil {
			return err
		}
	}
}

// copy writes what is left of content. Of one with holes, which it keeps, it
// makes no sums.
func (d *digest) copy(f *os.File, content *archive.Content) error {
	if content.Sparse() {
		d.sums = d.sums[:0]
		return content.CopyTo(f)
	}
	return d.rest(content, func(b []byte) error {
		_, err := f.Write(b)
		return err
	})
}

// add makes the sums known of a file, which has the content.
func (d *digest) add(st *unix.Stat_t) {
	d.contents.Add(st, d.sums)
	d.tell(st)
}

// tell makes the digest known of a file that has the content, all of which has
// been read.
func (d *digest) tell(st *unix.Stat_t) {
	if d.sum == nil && d.content != nil {
		d.sum = digestOf(d.content)
	}
	if d.sum != nil {
		d.contents.AddDigest(st, *d.sum)
	}
}

// is tells whether it is known of the file at a spot of dest that it has the
// content, or another.
func (d *digest) is(at *spot) (same, known bool) {
	if d.sum == nil {
		return false, false
	}
	has, known := d.contents.Digest(&at.st)
	return has == *d.sum, known
}

// digestOf is the digest of a content, where it is known by now.
func digestOf(content *archive.Content) *tree.Digest {
	sum, ok := content.Sum()
	if !ok {
		return nil
	}
	return (*tree.Digest)(&sum)
}

// compare reads content beside the file at a spot of dest until they differ:
// after equal bytes, the next n, which are the block, are not the file's. n is
// -1 when all is equal. The content of a file that is not known is read. Where its
// digest is known, another one is made only if they differ: see restore.
func (d *digest) compare(content *archive.Content, at *spot) (equal int64, n int, err error) {
	d.reset()
	if _, d.late = d.contents.Digest(&at.st); d.late {
		content.PutOffSum()
	}
	is, err := d.reading(at)
	if err != nil {
		return 0, 0, err
	}
	defer is.close()
	for {
		if n, err = d.next(content); err != nil {
			return 0, 0, err
		}
		if n == 0 && !is.other {
			is.done()
			d.tell(&is.st)
			return equal, -1, nil
		}
		same, err := is.same(n)
		if err != nil || !same {
			return equal, n, err
		}
		equal += int64(n)
	}
}

// reading is a file of dest that is compared with what a digest reads.
type reading struct {
	d     *digest
	want  []tree.Sum // if they are known
	file  *os.File   // else
	st    unix.Stat_t
	other bool // it has another size than it had when it was looked at
}

// reading begins with the file at a spot.
func (d *digest) reading(at *spot) (*reading, error) {
	if want, ok := d.contents.Of(&at.st); ok {
		return &reading{d: d, want: want, st: at.st}, nil
	}
	size := at.st.Size
	f, st, err := openSettled(at)
	if err != nil {
		return nil, err
	}
	if d.other == nil {
		d.other = make([]byte, tree.BlockSize)
	}
	return &reading{d: d, file: f, st: st, other: st.Size != size}, nil
}

// openSettled opens the file at a spot of dest, and tells how it is: what the spot has
// from then on. If it was changed a moment ago, it waits until another change would be seen.
func openSettled(at *spot) (f *os.File, st unix.Stat_t, err error) {
	if f, err = confined.OpenFile(at.fd, at.name); err != nil {
		return nil, st, err
	}
	if err = unix.Fstat(int(f.Fd()), &st); err != nil {
		_ = f.Close()
		return nil, st, err
	}
	at.st = st
	tree.Settle(st.Ctim.Nano())
	return f, st, nil
}

func (r *reading) close() {
	if r.file != nil {
		_ = r.file.Close()
	}
}

// same tells whether the file's next block is the digest's last, of n bytes.
func (r *reading) same(n int) (bool, error) {
	i := len(r.d.sums) - 1
	switch {
	case r.other:
		return false, nil
	case r.file == nil:
		return i < len(r.want) && r.d.sums[i] == r.want[i], nil
	}
	m, err := io.ReadFull(r.file, r.d.other[:n])
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return false, err
	}
	return m == n && bytes.Equal(r.d.block[:n], r.d.other[:n]), nil
}

// done makes a file that was read and found equal known, as it was when the
// reading began: if it has been changed meanwhile, nothing is.
func (r *reading) done() {
	if r.file != nil {
		r.d.contents.Add(&r.st, r.d.sums)
	}
}

// matches tells whether the file at a spot of dest has the content that the
// sums are of.
func (d *digest) matches(at *spot) (bool, error) {
	sums := slices.Clone(d.sums)
	defer func() { d.sums = append(d.sums[:0], sums...) }()
	st, ok, err := d.readSums(at)
	if err != nil || !ok || !slices.Equal(sums, d.sums) {
		return false, err
	}
	d.tell(&st)
	return true, nil
}

// readSums makes the sums of the file at a spot of dest; not ok where the caller can't
// read it.
func (d *digest) readSums(at *spot) (st unix.Stat_t, ok bool, err error) {
	d.reset()
	r, err := d.reading(at)
	if errors.Is(err, unix.EACCES) { // another's
		return st, false, nil
	}
	if err != nil {
		return st, false, err
	}
	defer r.close()
	if r.file == nil {
		d.sums = append(d.sums, r.want...)
		return r.st, true, nil
	}
	if err := d.rest(r.file, func([]byte) error { return nil }); err != nil {
		return st, false, err
	}
	r.done()
	return r.st, true, nil
}

// weigh tells whether the file at a spot of dest has the content whose digest is
// known. All of the file is read, and it is known then.
func (d *digest) weigh(at *spot) (same bool, err error) {
	d.reset()
	f, st, err := openSettled(at)
	if errors.Is(err, unix.EACCES) { // another's, that the caller can't read
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	h := sha256.New()
	if err := d.rest(f, func(b []byte) error {
		_, err := h.Write(b)
		return err
	}); err != nil {
		return false, err
	}
	has := tree.Digest(h.Sum(nil))
	d.contents.Add(&st, d.sums)
	d.contents.AddDigest(&st, has)
	return has == *d.sum, nil
}

// identity tells a content from all others.
type identity struct {
	sum tree.Digest
	by  kind
}

// kind is what the digest of an identity is of.
type kind int

const (
	byContent kind = iota
	bySums         // of its blocks
	byOutline
)

// identity is that of a content of size bytes: by its digest if that is known, or else
// by the sums of its blocks, all of which have been read; nil = there is neither.
func (d *digest) identity(size int64) *identity {
	switch {
	case d.sum != nil:
		return &identity{*d.sum, byContent}
	case size > 0 && (len(d.sums) == 0 || !tree.IsKnowable(size)):
		return nil
	}
	return &identity{sumOf(d.sums), bySums}
}

// sumOf is a digest of sums.
func sumOf(sums []tree.Sum) tree.Digest {
	h := sha256.New()
	for i := range sums {
		_, _ = h.Write(sums[i][:])
	}
	return tree.Digest(h.Sum(nil))
}

// hasIdentity tells whether the file at a spot of dest has that content.
func (d *digest) hasIdentity(at *spot, is *identity) (bool, error) {
	d.content, d.sum = nil, nil
	switch is.by {
	case byOutline:
		return d.hasOutline(at, is)
	case bySums:
		_, ok, err := d.readSums(at)
		return ok && err == nil && sumOf(d.sums) == is.sum, err
	}
	d.sum = &is.sum
	if same, known := d.is(at); known {
		return same, nil
	}
	return d.weigh(at)
}

// restore writes the first bytes of dest's file to f: those that the sums but
// the last are of. They are hashed with the content.
func (d *digest) restore(f *os.File, at *spot, bytes int64) error {
	if bytes == 0 {
		return nil
	}
	old, err := confined.OpenFile(at.fd, at.name)
	if err != nil {
		return err
	}
	defer old.Close()
	buf := make([]byte, tree.BlockSize)
	for i := range int(bytes / tree.BlockSize) {
		err := context.Cause(d.ctx)
		if err == nil {
			_, err = io.ReadFull(old, buf)
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = ErrStale // it has become shorter
		}
		if err == nil && i < len(d.sums) && d.contents.Sum(i, buf) != d.sums[i] {
			err = ErrStale
		}
		if err == nil {
			d.again(buf)
			_, err = f.Write(buf)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// again takes a piece of the content for its digest, if that was put off.
func (d *digest) again(piece []byte) {
	if d.late {
		d.content.SumAgain(piece)
	}
}

// read makes the sums of a file that is the source of a hard link. One that is
// not trusted must be as it was when it was found equal to its entry, or empty
// as that is, which nobody has to read.
func (d *digest) read(f *os.File, size int64, trusted bool) error {
	d.reset()
	d.content, d.sum = nil, nil
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	sums, ok := d.contents.Of(&st)
	switch {
	case st.Size != size:
		return ErrStale
	case ok:
		d.sums = append(d.sums, sums...)
		if has, ok := d.contents.Digest(&st); ok {
			d.sum = &has
		}
		return nil
	case size == 0:
		return nil
	case !trusted && !d.contents.IsSame(&st):
		return ErrStale
	}
	if err := d.rest(f, func([]byte) error { return nil }); err != nil {
		return err
	}
	if err := d.sure(f, size, trusted); err != nil { // what has been read may be another's
		return err
	}
	_, err := f.Seek(0, io.SeekStart)
	return err
}

// copyAgain writes the content of src, which must be the one that the sums are
// of.
func (d *digest) copyAgain(f, src *os.File) error {
	want := slices.Clone(d.sums)
	d.reset()
	err := d.rest(src, func(b []byte) error {
		_, err := f.Write(b)
		return err
	})
	if err == nil && !slices.Equal(want, d.sums) {
		err = fmt.Errorf("hard link target %w", ErrStale)
	}
	return err
}
