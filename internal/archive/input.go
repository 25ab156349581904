package archive

import (
	"errors"
	"io"
	"os"

	"stretcher/internal/archive/index"
)

// Input is an archive that can be read any number of times, by one reader at a
// time. It has been verified, or is while it is read.
type Input interface {
	// Open gives a reader for Extract or Scan that begins at the archive's
	// beginning. Closing it leaves the archive as it is.
	Open() (io.ReadCloser, error)
}

// Rebuilding is a reader of a stream that is put together from parts. It is a
// plain tar archive, whatever it begins with.
type Rebuilding interface {
	io.Reader
	Index() *index.Index
	// Skip goes on by n bytes of the stream, and reads no more of them than it
	// must. It goes less far only with an error, which is io.EOF at the end.
	Skip(n int64) (int64, error)
}

// FileInput is an open file as an Input. Sums: the sink of a scan wants to know the
// digests of contents. What an index says of them counts for nothing here: they
// are made of what is read.
func FileInput(f *os.File, sums bool) Input { return fileInput{f, sums} }

type fileInput struct {
	file *os.File
	sums bool
}

// Open goes to the beginning of the file.
func (i fileInput) Open() (io.ReadCloser, error) {
	if i.file == nil {
		return nil, errors.New("there is no archive")
	}
	if _, err := i.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return fileReader{i.file, i.sums}, nil
}

type fileReader struct {
	io.Reader
	sums bool
}

// withoutSums is a reader that nobody asks for digests of contents.
func withoutSums(r io.Reader) io.Reader {
	if f, ok := r.(fileReader); ok {
		f.sums = false
		return f
	}
	return r
}

// Close leaves the file open.
func (fileReader) Close() error { return nil }

// known finds contents by where they are in the stream, one after the other.
type known struct {
	files []index.File
}

func knownOf(built Rebuilding) known {
	if built == nil {
		return known{}
	}
	return known{built.Index().Files}
}

// at gives the digest of a content of size bytes at pos in the stream.
func (k *known) at(pos, size int64) (sum index.Sum, ok bool) {
	for len(k.files) > 0 && k.files[0].Start < pos {
		k.files = k.files[1:]
	}
	if len(k.files) == 0 || k.files[0].Start != pos || k.files[0].Size != size {
		return sum, false
	}
	return k.files[0].Sum, true
}
