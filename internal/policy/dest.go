package policy

import (
	"fmt"
	"os"
	"path/filepath"
)

// Dest tells whether dest may be deployed to: under the name it is given by
// and where its symlinks lead.
func (p *Policy) Dest(dest string) error {
	if len(p.Allow.Dests) == 0 || dest == "" {
		return nil
	}
	for _, name := range []string{filepath.Clean(dest), Real(dest)} {
		if !allowedPath(name, p.Allow.Dests) {
			return fmt.Errorf("%w: dest %q is not allowed", ErrRefused, name)
		}
	}
	return nil
}

func allowedPath(name string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if belowPath(name, filepath.Clean(prefix)) || belowPath(name, Real(prefix)) {
			return true
		}
	}
	return false
}

// maxLinks bounds the dangling symlinks that Real follows, as Linux does.
const maxLinks = 40

// Real resolves the symlinks of as much of an absolute path as exists, and
// those that lead to what does not exist yet.
func Real(name string) string {
	name = filepath.Clean(name)
	for range maxLinks {
		at, rest := name, ""
		for {
			if real, err := filepath.EvalSymlinks(at); err == nil {
				return filepath.Join(real, rest)
			}
			if target, err := os.Readlink(at); err == nil {
				if !filepath.IsAbs(target) {
					target = filepath.Join(filepath.Dir(at), target)
				}
				name = filepath.Join(target, rest)
				break
			}
			if at == "/" || at == "." {
				return filepath.Join(at, rest)
			}
			at, rest = filepath.Dir(at), filepath.Join(filepath.Base(at), rest)
		}
	}
	return name
}
