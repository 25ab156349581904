package tree

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk/confined"
)

// BlockSize is how much of a content is digested at once, in bytes.
const BlockSize = 128 << 10

// Sum is the digest of one block of a content: its authentication code by
// AES-GCM, with a key that is made at random for each dest and never leaves
// its records. Without the key nobody can find two contents with one sum, and
// with the instructions that processors have for it, it takes a quarter of the
// time of SHA-256 or BLAKE3.
type Sum [16]byte

const (
	keySize = 16
	// maxSums bounds what is kept in memory: 32 MiB, for 256 GiB of content.
	// The content of further files is not known.
	maxSums = 2 << 20
)

// Contents are the sums of files whose content is known. A file is known by
// its inode and by the time of its last change, which nobody can set.
//
// It is not for several goroutines at a time.
type Contents struct {
	key   [keySize]byte
	code  cipher.AEAD
	nonce [12]byte
	out   [16]byte
	files map[inode]known
	sums  []Sum
	// digests are those of whole contents, where somebody has told them.
	digests []Digest
}

// Digest is the SHA-256 of a content.
type Digest [sha256.Size]byte

// inode tells a file from all others: there may be several file systems in a
// tree, mounted or as the layers of one. There are many of these, so that
// numbers are in halves, which need not be aligned.
type inode struct{ device, number [2]uint32 }

func inodeOf(st *unix.Stat_t) inode { return inode{halves(uint64(st.Dev)), halves(st.Ino)} }

func halves(n uint64) [2]uint32 { return [2]uint32{uint32(n >> 32), uint32(n)} }

// known is what is known of a file.
type known struct {
	ctime  [2]uint32
	first  int32 // of its sums; -1 = they are not known, only when it was changed last
	digest int32 // the number of its content's; -1 = that is not known
}

// when is the time of a file's last change, as it is kept.
func when(st *unix.Stat_t) [2]uint32 { return halves(uint64(st.Ctim.Nano())) }

// NewContents knows nothing yet.
func NewContents() *Contents {
	var key [keySize]byte
	_, _ = rand.Read(key[:]) // which never fails
	return withKey(key)
}

func withKey(key [keySize]byte) *Contents {
	c := &Contents{key: key, files: map[inode]known{}}
	block, err := aes.NewCipher(key[:])
	if err == nil {
		c.code, err = cipher.NewGCM(block)
	}
	if err != nil {
		panic(err) // the key has the right size
	}
	return c
}

// Sum digests the block with number i of a content. All blocks but the last
// have BlockSize bytes.
func (c *Contents) Sum(i int, block []byte) Sum {
	binary.LittleEndian.PutUint64(c.nonce[:], uint64(i))
	return Sum(c.code.Seal(c.out[:0], c.nonce[:], nil, block))
}

// Of gives the sums of a file's blocks, as long as the file is the one that is
// known, and as it was then.
func (c *Contents) Of(st *unix.Stat_t) (sums []Sum, ok bool) {
	k, ok := c.same(st)
	if !ok || k.first < 0 {
		return nil, false
	}
	return c.sumsOf(k, st), true
}

// same is what is known of a file that is as it was when it was added.
func (c *Contents) same(st *unix.Stat_t) (k known, ok bool) {
	k, ok = c.files[inodeOf(st)]
	return k, ok && k.ctime == when(st)
}

func (c *Contents) sumsOf(k known, st *unix.Stat_t) []Sum {
	return c.sums[k.first : int(k.first)+blocks(st.Size)]
}

// IsSame tells whether a file is as it was when it was added, whether or not
// its sums are known.
func (c *Contents) IsSame(st *unix.Stat_t) bool {
	_, ok := c.same(st)
	return ok
}

// Add takes in a file, and its sums if they are all there: its content is the
// one that they are of as long as st is right.
func (c *Contents) Add(st *unix.Stat_t, sums []Sum) {
	if len(sums) != blocks(st.Size) || len(c.sums)+len(sums) > maxSums {
		c.files[inodeOf(st)] = known{when(st), -1, -1}
		return
	}
	c.files[inodeOf(st)] = known{when(st), int32(len(c.sums)), -1}
	c.sums = append(c.sums, sums...)
}

// AddDigest takes in the digest of a file whose sums are known. Of others it
// stays unknown.
func (c *Contents) AddDigest(st *unix.Stat_t, d Digest) {
	k, ok := c.same(st)
	switch {
	case !ok || k.first < 0:
	case k.digest >= 0:
		c.digests[k.digest] = d
	default:
		k.digest = int32(len(c.digests))
		c.digests = append(c.digests, d)
		c.files[inodeOf(st)] = k
	}
}

// Digest is the one that was added, as long as the file is as it was then.
func (c *Contents) Digest(st *unix.Stat_t) (d Digest, ok bool) {
	k, ok := c.same(st)
	if !ok || k.first < 0 || k.digest < 0 {
		return d, false
	}
	return c.digests[k.digest], true
}

// Changed notes that the caller has renamed a file that is known, or changed
// its metadata. Of one that others may write, the content is not known any
// more: they may have done so before anybody could look.
func (c *Contents) Changed(fd int, name string) error {
	var st unix.Stat_t
	if err := confined.Lstat(fd, name, &st); err != nil {
		return err
	}
	k, ok := c.files[inodeOf(&st)]
	if !ok {
		return nil
	}
	k.ctime = when(&st)
	if !isOurs(&st) {
		k.first = -1
	}
	c.files[inodeOf(&st)] = k
	return nil
}

// isOurs tells whether nobody but root and the caller may write a file.
func isOurs(st *unix.Stat_t) bool {
	return (st.Uid == 0 || int(st.Uid) == os.Geteuid()) && st.Mode&0o022 == 0
}

// all is what is known of a file: Of and Digest, nil where that is not known, and whether
// somebody has changed it since the caller has.
func (c *Contents) all(st *unix.Stat_t) (sums []Sum, digest *Digest, known, changed bool) {
	k, ok := c.files[inodeOf(st)]
	switch {
	case !ok || k.ctime != when(st):
		return nil, nil, false, ok
	case k.first < 0:
		return nil, nil, false, false
	case k.digest >= 0:
		digest = &c.digests[k.digest]
	}
	return c.sumsOf(k, st), digest, true, false
}

// blocks is how many blocks a content has.
func blocks(size int64) int { return int((size + BlockSize - 1) / BlockSize) }

// IsKnowable tells whether a content of that size is not too long to be known.
func IsKnowable(size int64) bool { return blocks(size) <= maxSums }

// SumFile digests what is left to read of a file. It reads into buf, which
// has BlockSize bytes.
func (c *Contents) SumFile(ctx context.Context, f io.Reader, buf []byte) (sums []Sum, err error) {
	for i := 0; ; i++ {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		n, err := io.ReadFull(f, buf)
		if n > 0 {
			sums = append(sums, c.Sum(i, buf[:n]))
		}
		switch {
		case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
			return sums, nil
		case err != nil:
			return nil, err
		}
	}
}

func deviceOf(root *os.Root) (uint64, error) {
	fd, err := confined.Open(root)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	return uint64(st.Dev), err
}

// LoadContents reads what a record knows of the files below root, on its own
// file system: the number of another may change. The error is ErrRecord.
func LoadContents(name string, root *os.Root) (*Contents, error) {
	device, err := deviceOf(root)
	if err != nil {
		return nil, fmt.Errorf("read tree: %w", err)
	}
	return loadContents(name, device)
}

func loadContents(name string, device uint64) (*Contents, error) {
	r, err := openRecord(name)
	if err != nil {
		return nil, err
	}
	defer r.close()
	c := withKey(r.key)
	if !r.certain {
		return NewContents(), nil
	}
	for {
		if err := r.next(); err != nil {
			return nil, err
		}
		e := &r.entry
		if e.Path == "" {
			return c, nil
		}
		if r.sums != nil && len(c.sums)+len(r.sums) <= maxSums {
			at := inode{halves(device), halves(e.Inode)}
			k := known{halves(uint64(e.CTime)), int32(len(c.sums)), -1}
			c.sums = append(c.sums, r.sums...)
			if r.digest != nil {
				k.digest = int32(len(c.digests))
				c.digests = append(c.digests, *r.digest)
			}
			c.files[at] = k
		}
	}
}
