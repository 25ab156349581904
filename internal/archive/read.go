package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"
)

const (
	copySize    = 128 << 10
	maxWarnings = 30
)

// Types that archive/tar has no names for: GNU tar's dump directory, volume
// label and multi-volume continuation, and Solaris' extended header.
const (
	typeDumpDir   = 'D'
	typeLabel     = 'V'
	typeMultiVol  = 'M'
	typeSolarisXH = 'X'
)

// target is what the entries of an archive are put into: a directory, or the
// memory. Paths are those of localName, and the root's for dir alone. All
// targets answer alike: parents that are missing are made, symlinks and files
// are none; an entry replaces what is at its path, save for a directory with
// something in it; a directory on a directory only brings new metadata.
type target interface {
	dir(path string, m meta) error
	file(path string, m meta, content *Content) error
	symlink(path, to string, m meta) error
	// hardlink leaves owner, mode and time alone: they are the earlier entry's.
	hardlink(path, old string) error
	fifo(path string, m meta) error
	// finish comes after the last entry.
	finish(ctx context.Context) error
}

// reader reads one archive into a target.
type reader struct {
	opts  Options
	lim   Limits
	in    *stream
	to    target
	rules *rules
	tally *tally
	buf   []byte
	warns int
	abs   bool // the leading slash was warned of

	hasRoot bool
}

// readInto reads the archive r to its end into t.
func readInto(ctx context.Context, r io.Reader, opts Options, rules *rules, count *tally, t target) (Result, error) {
	in, err := openStream(ctx, r, count)
	if err != nil {
		return Result{}, err
	}
	defer in.close()
	x := &reader{
		opts: opts, lim: count.lim, in: in, to: t, rules: rules, tally: count,
		buf: make([]byte, copySize),
	}
	err = x.run()
	return Result{Entries: count.entries, Bytes: count.content, HasRoot: x.hasRoot}, err
}

func (x *reader) run() error {
	tr := tar.NewReader(x.in)
	last, end := "", int64(0) // name and end of the last entry
	for {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) { // ours to judge
			return x.headerError(err, last)
		}
		if err := x.tally.entry(); err != nil {
			return err
		}
		if err := x.entry(h, tr); err != nil {
			return x.entryError(err, h.Name)
		}
		if err := x.skip(tr); err != nil {
			return x.entryError(err, h.Name)
		}
		last, end = h.Name, x.in.n
	}
	if err := x.checkEnd(last, end); err != nil {
		return err
	}
	if err := x.drain(); err != nil {
		return err
	}
	return x.to.finish(x.in.ctx)
}

// skip reads what is left of an entry's content.
func (x *reader) skip(content io.Reader) error {
	for {
		switch _, err := content.Read(x.buf); err {
		case nil:
		case io.EOF:
			return nil
		default:
			return contentError(err)
		}
	}
}

// checkEnd finds what archive/tar takes for a clean end: no archive at all,
// and a long name or PAX header that lost the entry it speaks of. After the
// last entry, which was read to its end, only its padding and a lone block of
// zeros may come before the end of the input.
func (x *reader) checkEnd(last string, end int64) error {
	if x.in.n == 0 {
		return malformed("archive is empty")
	}
	padded := (end + blockSize - 1) / blockSize * blockSize
	if x.in.eof && x.in.n > padded+blockSize {
		return malformed("archive is truncated after entry %q", last)
	}
	return nil
}

func (x *reader) headerError(err error, last string) error {
	switch {
	case x.in.err != nil:
		return x.in.err
	case x.tally.entries == 0:
		return malformed("not a tar archive: %w", err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return malformed("archive is truncated after entry %q: %w", last, err)
	}
	return malformed("archive is damaged after entry %q: %w", last, err)
}

// entryError names the entry, except where the fault is the stream's.
func (x *reader) entryError(err error, name string) error {
	if x.in.err != nil {
		return x.in.err
	}
	if errors.Is(err, syscall.ENAMETOOLONG) {
		return exceeded("archive entry %q: %w", name, err)
	}
	return fmt.Errorf("archive entry %q: %w", name, err)
}

// drain reads on to the end of the input, for the checksums there.
func (x *reader) drain() error {
	if x.in.eof {
		return x.oddity("archive ends without its end marker")
	}
	odd := false
	for {
		n, err := x.in.Read(x.buf)
		odd = odd || len(bytes.Trim(x.buf[:n], "\x00")) > 0
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if odd {
		return x.oddity("data follows the end of the archive")
	}
	return nil
}

// oddity is a warning in compat and an error in strict mode.
func (x *reader) oddity(msg string) error {
	if x.opts.Mode == Strict {
		return malformed("%s", msg)
	}
	x.warn(msg)
	return nil
}

func (x *reader) warn(msg string) {
	if x.warns++; x.warns == maxWarnings {
		msg = "further warnings are left out"
	}
	if x.opts.Warn != nil && x.warns <= maxWarnings {
		x.opts.Warn(msg)
	}
}

// isDirType tells a directory; old archives mark one by a trailing slash.
func isDirType(h *tar.Header) bool {
	switch h.Typeflag {
	case tar.TypeDir, typeDumpDir:
		return true
	case tar.TypeReg, tar.TypeCont:
		return strings.HasSuffix(h.Name, "/")
	}
	return false
}

func (x *reader) entry(h *tar.Header, content io.Reader) error {
	switch h.Typeflag {
	case tar.TypeXGlobalHeader, typeLabel:
		return nil
	case typeMultiVol:
		return malformed("file is continued from another volume")
	case typeSolarisXH:
		return malformed("unsupported Solaris extended header")
	case tar.TypeChar, tar.TypeBlock:
		return refused("device node")
	}
	path, err := x.name(h.Name)
	if err != nil {
		return err
	}
	m, err := x.rules.of(h)
	if err != nil {
		return err
	}
	if isDirType(h) {
		x.hasRoot = x.hasRoot || path == ""
		return x.to.dir(path, m)
	}
	if path == "" {
		return malformed("the root is not a directory")
	}
	switch h.Typeflag {
	case tar.TypeSymlink:
		return x.symlink(path, h.Linkname, m)
	case tar.TypeLink:
		return x.hardlink(path, h.Linkname)
	case tar.TypeFifo:
		if x.opts.Mode == Strict {
			return refused("FIFO")
		}
		return x.to.fifo(path, m)
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
	default:
		x.warn(fmt.Sprintf("entry %q has unknown type %q and is taken as a regular file", h.Name, h.Typeflag))
	}
	return x.file(path, h, content, m)
}

// name judges the name of an entry or of a hard link's target.
func (x *reader) name(name string) (string, error) {
	path, absolute, err := localName(name, x.lim)
	if err != nil || !absolute {
		return path, err
	}
	if x.opts.Mode == Strict {
		return "", refused("name %q is absolute", name)
	}
	if !x.abs {
		x.abs = true
		x.warn("leading slashes of names are removed")
	}
	return path, nil
}

// file reads what the target leaves of the content, which counts as well. A
// fault of the archive goes before what the target made of it.
func (x *reader) file(path string, h *tar.Header, content io.Reader, m meta) error {
	c := &Content{x: x, r: content, size: h.Size, sparse: isSparse(h)}
	err := x.to.file(path, m, c)
	if err == nil {
		c.skip()
	}
	if c.err != nil && c.err != io.EOF {
		return c.err
	}
	c.err = fs.ErrClosed
	return err
}

func (x *reader) symlink(path, to string, m meta) error {
	if err := x.lim.checkTarget(to); err != nil {
		return err
	}
	if to == "" {
		return malformed("symlink without a target")
	}
	if x.opts.Mode == Strict {
		if err := strictTarget(to, depthOf(path)); err != nil {
			return err
		}
	}
	return x.to.symlink(path, to, m)
}

func (x *reader) hardlink(path, target string) error {
	old, err := x.name(target)
	if err != nil {
		return fmt.Errorf("hard link target: %w", err)
	}
	if old == "" {
		return refused("hard link to the root")
	}
	return x.to.hardlink(path, old)
}
