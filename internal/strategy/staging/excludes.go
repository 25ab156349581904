package staging

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"stretcher/internal/strategy"
	"stretcher/internal/strategy/filter"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/runid"
)

// MaxExcludeFrom bounds an exclude list, in bytes.
const MaxExcludeFrom = 2 << 20

// Excludes are the target's patterns as rsync takes them. list is the text of
// the archive's exclude list.
func Excludes(t *strategy.Target, list []byte) (*filter.List, error) {
	rules, err := filter.ParseFile(bytes.NewReader(list))
	if err != nil {
		return nil, failure.Malformed("exclude_from: %w", err)
	}
	for _, pattern := range t.Excludes {
		rule, ok, err := filter.Parse(pattern)
		if err != nil {
			return nil, failure.Malformed("exclude %q: %w", pattern, err)
		}
		if ok {
			rules = append(rules, rule)
		}
	}
	return filter.New(rules...), nil
}

// Skip is strategy.Strategy's Skip of a strategy that leaves alone what is
// excluded. What runs keep in dest for a while is no part of it either.
func Skip(t *strategy.Target, list []byte) (func(path string, dir bool) bool, error) {
	excludes, err := Excludes(t, list)
	if err != nil {
		return nil, err
	}
	return func(path string, dir bool) bool {
		return excludes.Excluded(path, dir) || runid.IsTemp(path)
	}, nil
}

// ReadExcludeFrom returns the text of exclude_from, a file inside the tree at
// root, however the tree's symlinks lie. It is empty when name is.
func ReadExcludeFrom(root *os.Root, name string) ([]byte, error) {
	if name == "" {
		return nil, nil
	}
	f, err := openExcludeFrom(root, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxExcludeFrom+1))
	if err == nil && len(text) > MaxExcludeFrom {
		err = failure.Refused("exclude_from %q is larger than %d bytes", name, MaxExcludeFrom)
	}
	if err != nil {
		return nil, err
	}
	return text, CheckExcludeFrom(name, text)
}

// CheckExcludeFrom refuses a list that would take too long to match.
func CheckExcludeFrom(name string, text []byte) error {
	if n := filter.Wild(string(text)); n > filter.MaxWild {
		return failure.Refused("exclude_from %q has %d bytes of patterns with wildcards, %d are allowed",
			name, n, filter.MaxWild)
	}
	return nil
}

func openExcludeFrom(root *os.Root, name string) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // no FIFO holds it
	if errors.Is(err, fs.ErrNotExist) {
		return nil, failure.Malformed("exclude_from %q is not in the archive", name)
	}
	if err != nil {
		return nil, failure.Refused("exclude_from %q leads out of the archive: %w", name, cause(err))
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = failure.Malformed("exclude_from %q is not a regular file", name)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// cause is an error without the path that it names.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
