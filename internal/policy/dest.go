package policy

import (
	"fmt"
	"os"
	"path/filepath"

	"stretcher/internal/disk"
)

// dest asks about both names of a dest; where one is not allowed, the ruling
// is about it.
func (l layer) dest(dest string) Ruling {
	why := ""
	for _, name := range []string{filepath.Clean(dest), Real(dest)} {
		prefix, ok := allowedPath(name, l.Allow.Dests)
		if !ok {
			return l.ruling(Dest, name, "allow.dests", false, none)
		}
		why = fmt.Sprintf("it is below %q", prefix)
	}
	return l.ruling(Dest, dest, "allow.dests", true, why)
}

func allowedPath(name string, prefixes []string) (prefix string, ok bool) {
	for _, prefix := range prefixes {
		if belowPath(name, filepath.Clean(prefix)) || belowPath(name, sureName(prefix)) {
			return prefix, true
		}
	}
	return "", false
}

// sureName is where a prefix leads, if nobody but root and the caller has a say
// in that; else it is what is written, and nothing that it leads to.
func sureName(prefix string) string {
	if way := disk.WayTo(prefix); way.Doubt == "" {
		return way.Real
	}
	return filepath.Clean(prefix)
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
