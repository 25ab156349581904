package lock

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
)

const maxBase = 48 // bytes of the readable part of a lock file's name

// destError marks an error that is dest's own: see ErrDest.
type destError struct{ error }

// Unwrap gives errors.Is the sentinel and the cause.
func (e destError) Unwrap() []error { return []error{ErrDest, e.error} }

// realName resolves the symlinks of everything but the last element.
func realName(path string) (string, error) {
	path = filepath.Clean(path)
	dir, err := realPath(filepath.Dir(path))
	return filepath.Join(dir, filepath.Base(path)), err
}

// realPath resolves the symlinks of the longest prefix of path that exists,
// so that the name of a dest is the same before and after its first deploy.
func realPath(path string) (string, error) {
	path = filepath.Clean(path)
	rest := ""
	for {
		real, err := filepath.EvalSymlinks(path)
		if err == nil {
			return filepath.Join(real, rest), nil
		}
		if !errors.Is(err, fs.ErrNotExist) || path == filepath.Dir(path) {
			return "", destError{err}
		}
		rest = filepath.Join(filepath.Base(path), rest)
		path = filepath.Dir(path)
	}
}

// fileName is the name of the lock file of a real path: its last element,
// for people, and a hash of the whole.
func fileName(real string) string {
	sum := sha256.Sum256([]byte(real))
	base := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune("._-", r):
			return r
		}
		return '_'
	}, filepath.Base(real))
	return base[:min(len(base), maxBase)] + "-" + hex.EncodeToString(sum[:8]) + ".lock"
}
