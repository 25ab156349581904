package disk

import (
	"fmt"
	"io"
	"io/fs"
	"os"
)

// ReadRegular reads a file that somebody named, as OpenRegular opens it, if it has no
// more bytes than limit. Whatever is there, it takes no longer than so many bytes do.
func ReadRegular(path string, limit int64) ([]byte, fs.FileMode, error) {
	f, err := OpenRegular(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%q is larger than %d bytes", path, limit)
	}
	return data, info.Mode(), err
}
