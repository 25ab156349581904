package index

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"

	"github.com/klauspost/compress/zstd"
)

const (
	// chunk is how much of the frame comes at once, at most; without a content
	// behind it only the last may be shorter.
	chunk = 64 << 10
	// frameWindow is how far back the compression of a frame looks: what it
	// takes of memory to read one.
	frameWindow = 4 << 20
)

// piece is some of the frame and the content behind it. Without a content, more
// of the frame follows.
type piece struct {
	frame int64 // its bytes
	size  int64 // of the content; 0 = there is none
	path  string
}

// frameReader reads the pieces of a frame.
type frameReader struct {
	z    *zstd.Decoder
	in   *bufio.Reader
	left int64 // of what may be read
	last bool  // a piece was short: no other may follow
}

func (x *Index) openFrame() (*frameReader, error) {
	z, err := zstd.NewReader(bytes.NewReader(x.frame), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(frameWindow))
	if err != nil {
		return nil, invalid("its frame: %v", err)
	}
	f := &frameReader{z: z, left: maxFrame}
	f.in = bufio.NewReaderSize(f, chunk)
	return f, nil
}

func (f *frameReader) close() { f.z.Close() }

var errFrame = errors.New("too long")

// Read bounds what is decompressed.
func (f *frameReader) Read(p []byte) (int, error) {
	if f.left <= 0 {
		return 0, errFrame
	}
	n, err := f.z.Read(p[:min(int64(len(p)), f.left)])
	f.left -= int64(n)
	return n, err
}

// next writes the frame of the next piece to w; io.EOF when there is none. An
// error of w comes back as it is.
func (f *frameReader) next(w io.Writer) (piece, error) {
	if _, err := f.in.Peek(1); err == io.EOF {
		return piece{}, io.EOF
	}
	n, err := f.number(chunk)
	if err == nil && f.last {
		err = invalid("its frame goes on after its end")
	}
	if err != nil {
		return piece{}, err
	}
	b, err := f.in.Peek(int(n))
	if err != nil {
		return piece{}, frameError(err)
	}
	if _, err := w.Write(b); err != nil {
		return piece{}, err
	}
	_, _ = f.in.Discard(len(b)) // which are there
	p := piece{frame: n}
	if p.size, err = f.number(math.MaxInt64); err != nil {
		return p, err
	}
	if p.size == 0 {
		f.last = n < chunk
		return p, nil
	}
	p.path, err = f.path()
	return p, err
}

func (f *frameReader) path() (string, error) {
	length, err := f.number(MaxPath)
	if err != nil {
		return "", err
	}
	b, err := f.in.Peek(int(length))
	if err != nil {
		return "", frameError(err)
	}
	path := string(b)
	_, _ = f.in.Discard(len(b)) // which are there
	return path, checkPath(path)
}

func (f *frameReader) number(most uint64) (int64, error) {
	v, err := binary.ReadUvarint(f.in)
	if err != nil {
		return 0, frameError(err)
	}
	if v > most {
		return 0, invalid("its frame: %d where %d is the most", v, most)
	}
	return int64(v), nil
}

func frameError(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return invalid("its frame: %v", err)
}

// Builder makes an index while an archive is written.
type Builder struct {
	x    Index
	z    *zstd.Encoder
	out  bytes.Buffer
	part []byte // of the frame
}

// NewBuilder begins an index.
func NewBuilder() (*Builder, error) {
	b := &Builder{}
	z, err := zstd.NewWriter(&b.out, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(frameWindow),
		zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
	b.z = z
	return b, err
}

// Frame adds what comes next in the stream and is no content.
func (b *Builder) Frame(p []byte) error {
	b.x.Stream += int64(len(p))
	for len(p) > 0 {
		n := min(len(p), chunk-len(b.part))
		b.part, p = append(b.part, p[:n]...), p[n:]
		if len(b.part) < chunk || len(p) == 0 {
			break
		}
		if err := b.flush(0, ""); err != nil {
			return err
		}
	}
	return nil
}

// Content adds the content of a file. Its digest may come later.
func (b *Builder) Content(path string, size int64) error {
	if err := checkPath(path); err != nil {
		return err
	}
	b.x.Files = append(b.x.Files, File{Path: path, Start: b.x.Stream, Size: size})
	b.x.Stream += size
	return b.flush(size, path)
}

// Digest is that of the last content.
func (b *Builder) Digest(sum Sum) { b.x.Files[len(b.x.Files)-1].Sum = sum }

// flush writes a piece.
func (b *Builder) flush(size int64, path string) error {
	head := binary.AppendUvarint(nil, uint64(len(b.part)))
	tail := binary.AppendUvarint(nil, uint64(size))
	if size > 0 {
		tail = append(binary.AppendUvarint(tail, uint64(len(path))), path...)
	}
	for _, p := range [][]byte{head, b.part, tail} {
		if _, err := b.z.Write(p); err != nil {
			return err
		}
	}
	b.part = b.part[:0]
	return nil
}

// Member adds the next one of the archive, by its lengths and digest.
func (b *Builder) Member(length, unpacked int, sum Sum) {
	m := Member{Offset: b.x.Size, Length: length, Unpacked: unpacked, Sum: sum}
	if n := len(b.x.Members); n > 0 {
		last := &b.x.Members[n-1]
		m.Start = last.Start + int64(last.Unpacked)
	}
	b.x.Members = append(b.x.Members, m)
	b.x.Size += int64(length)
}

// Finish makes the index of an archive with this digest. The error is
// ErrInvalid if it is too long to be read.
func (b *Builder) Finish(archive Sum) (*Index, error) {
	if len(b.part) > 0 {
		if err := b.flush(0, ""); err != nil {
			return nil, err
		}
	}
	if err := b.z.Close(); err != nil {
		return nil, err
	}
	b.x.Archive, b.x.frame = archive, b.out.Bytes()
	if n := b.x.encodedSize(); n > MaxSize {
		return nil, invalid("%d bytes, of at most %d", n, MaxSize)
	}
	return &b.x, nil
}
