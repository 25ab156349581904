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

// foretelling is a reader that has an index of what it reads.
type foretelling interface {
	Index() *index.Index
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

// FileInput is an open file as an Input. The index may be nil; it must be that
// of the file.
func FileInput(f *os.File, x *index.Index) Input { return fileInput{f, x} }

type fileInput struct {
	file  *os.File
	index *index.Index
}

// Open goes to the beginning of the file.
func (i fileInput) Open() (io.ReadCloser, error) {
	if i.file == nil {
		return nil, errors.New("there is no archive")
	}
	if _, err := i.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return fileReader{i.file, i.index}, nil
}

type fileReader struct {
	io.Reader
	index *index.Index
}

// Index is what is known of the archive; nil = nothing.
func (r fileReader) Index() *index.Index { return r.index }

// Close leaves the file open.
func (fileReader) Close() error { return nil }

// known finds contents by where they are in the stream, one after the other.
type known struct {
	files []index.File
}

func knownOf(r io.Reader) known {
	if f, ok := r.(foretelling); ok && f.Index() != nil {
		return known{f.Index().Files}
	}
	return known{}
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
