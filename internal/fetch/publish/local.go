package publish

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"stretcher/internal/disk"
	"stretcher/internal/fetch/store"
)

// Info is what a store tells of an object.
type Info struct {
	Size   int64
	SHA256 *[32]byte // nil = it does not say
}

// PutOptions says what is put.
type PutOptions struct {
	SHA256      [32]byte
	ContentType string
}

// Local is the files of this machine, and reads elsewhere by Set.
type Local struct{ *store.Set }

// Stat tells what is there.
func (l Local) Stat(ctx context.Context, raw string) (Info, error) {
	obj, err := l.Open(ctx, raw, store.Position{})
	if err != nil {
		return Info{}, err
	}
	defer obj.Body.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, obj.Body)
	var digest [32]byte
	copy(digest[:], sum.Sum(nil))
	return Info{n, &digest}, err
}

// Put writes a file.
func (l Local) Put(_ context.Context, raw string, body Body, _ int64, _ PutOptions) error {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "file" {
		return fmt.Errorf("%w: nothing can be put there yet", store.ErrScheme)
	}
	if err := os.MkdirAll(filepath.Dir(u.Path), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return disk.ReplaceRegular(u.Path, ".stretcher-put-", 0o644, func(w io.Writer) error {
		_, err := io.Copy(w, body)
		return err
	})
}
