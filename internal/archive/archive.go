// Package archive unpacks a tar archive (plain, gzip, bzip2, xz or zstd, told
// by content) into an empty private directory, and never outside it; or tells,
// under the same rules, what unpacking would make.
//
// Its words: an entry is one member of the archive; the root is the open
// directory unpacked into; a target is where entries go, that directory or the
// memory; compat does what GNU tar does for its caller (root keeps owners, modes
// and setuid bits; others get their umask), minus what leaves the root; strict
// follows the rules of Python's PEP 706 "data" filter; a limit bounds bytes,
// entries, name length or depth, counted as they are read and not as headers
// claim; a segment is a part of compressed data that any core can decompress.
//
// Of this module it may import gunzip, index, members and parallel below it,
// disk/confined and text/*. It knows nothing of manifests, checksums or destinations.
package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Mode selects the rules for what an archive may do.
type Mode int

const (
	// Compat does what GNU tar does, and refuses with ErrUnsafe: names holding
	// "..", writes through a symlink, hard links to anything but an earlier
	// regular file or symlink, device nodes, and names of temporary directories
	// of deployments.
	Compat Mode = iota
	// Strict is PEP 706's data filter: refuses absolute names, link targets
	// that leave the root and every special file, clears setuid, setgid, sticky
	// and group and other write, and leaves owners alone. It differs in that
	// directories keep their (cleared) mode, and in that ".." is accepted only at
	// the head of a symlink's target, where no other link can change its meaning.
	Strict
)

// Options says how to extract. The zero value is compat mode without limits
// on bytes and entries.
type Options struct {
	Mode   Mode
	Limits Limits
	// Strip is how many leading components names lose, as by Strip. An entry with
	// no more than these is read and judged, and not unpacked; an archive of such
	// alone is ErrMalformed.
	Strip int
	// Warn, when set, gets one line for each benign oddity. It is called from
	// the goroutine that called Extract, at most a few dozen times.
	Warn func(msg string)
	// Seen, when set, is told by Extract of each regular file without holes,
	// before it is written. What it returns gets the content, in blocks of
	// BlockSize bytes of which only the last may be shorter.
	Seen func(path string) (block func([]byte))
	// Progress, when set, is told how many bytes of content have been read.
	Progress func(bytes int64)
}

// BlockSize is the size of the blocks that Options.Seen is given.
const BlockSize = copySize

// Result says what was unpacked. It is filled as far as Extract came.
type Result struct {
	Entries int64 // entries read, skipped ones included
	Bytes   int64 // bytes of file content, holes included
	HasRoot bool  // an entry named the root itself; its mode is applied
}

// Errors that Extract's errors match with errors.Is. Those of the system (no
// space, no permission), of the reader and of the context match none of them
// and keep their cause.
var (
	ErrMalformed = errors.New("malformed archive")
	ErrUnsafe    = errors.New("unsafe archive")
	ErrLimit     = errors.New("archive exceeds a limit")
	ErrBytes     = fmt.Errorf("%w: Limits.Bytes", ErrLimit)   // one of its kinds
	ErrEntries   = fmt.Errorf("%w: Limits.Entries", ErrLimit) // another
)

// Extract unpacks r into root, an open directory that must be empty, and reads
// r to its end, so that every checksum of the compression has been verified
// when it returns nil. The root stays the caller's to close.
//
// It looks at ctx before every read; a read that blocks is the caller's to end.
// After an error root holds whatever was unpacked until then, perhaps in
// directories without write permission.
func Extract(ctx context.Context, r io.Reader, root *os.Root, opts Options) (Result, error) {
	rules := newRules(opts.Mode)
	count := &tally{lim: opts.Limits.withDefaults(), progress: opts.Progress}
	tree, err := newTree(root, rules.implied, count.imply)
	if err != nil {
		return Result{}, err
	}
	defer tree.close()
	if err := checkEmpty(root); err != nil {
		return Result{}, err
	}
	if !rules.exact {
		if rules.umask, err = probeUmask(root); err != nil {
			return Result{}, err
		}
	}
	return readInto(ctx, r, opts, rules, count,
		&disk{tree: tree, rules: rules, tally: count, dirs: make(map[string]meta)})
}

// checkEmpty guards the rule for hard links: what is in the root came from
// this archive.
func checkEmpty(root *os.Root) error {
	d, err := root.Open(".")
	if err != nil {
		return fmt.Errorf("open extraction root: %w", err)
	}
	defer d.Close()
	names, err := d.Readdirnames(1)
	if len(names) > 0 {
		return errors.New("the extraction root is not empty")
	}
	if err != io.EOF {
		return fmt.Errorf("read extraction root: %w", err)
	}
	return nil
}

// fault is an error of the archive itself: kind is one of the sentinels, and
// stays out of the text.
type fault struct{ kind, err error }

// Error is the text with its cause.
func (f *fault) Error() string { return f.err.Error() }

// Unwrap gives errors.Is the kind and the cause.
func (f *fault) Unwrap() []error { return []error{f.kind, f.err} }

func malformed(format string, args ...any) error {
	return &fault{ErrMalformed, fmt.Errorf(format, args...)}
}

func refused(format string, args ...any) error {
	return &fault{ErrUnsafe, fmt.Errorf(format, args...)}
}

func exceeded(format string, args ...any) error {
	return &fault{ErrLimit, fmt.Errorf(format, args...)}
}

func tooMany(format string, args ...any) error {
	return &fault{ErrEntries, fmt.Errorf(format, args...)}
}

func tooMuch(format string, args ...any) error {
	return &fault{ErrBytes, fmt.Errorf(format, args...)}
}

// What follows every target says alike.

// checkParent judges what is found where a directory must be.
func checkParent(path string, mode fs.FileMode) error {
	switch {
	case mode&fs.ModeSymlink != 0:
		return refused("its parent %q is a symlink", path)
	case !mode.IsDir():
		return malformed("its parent %q is not a directory", path)
	}
	return nil
}

func notEmpty() error {
	return malformed("it would replace a directory that is not empty")
}

func notEarlier(path string) error {
	return refused("hard link target %q is not an earlier file or symlink", path)
}
