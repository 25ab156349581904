package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
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

// extractor unpacks one archive. dirs holds the metadata of the directories,
// which is set at the end: a directory may be read-only and hold files.
type extractor struct {
	opts  Options
	lim   Limits
	in    *stream
	tree  *tree
	rules *rules
	dirs  map[string]meta
	res   Result
	buf   []byte
	warns int
	abs   bool // the leading slash was warned of
}

func newExtractor(t *tree, in *stream, opts Options) (*extractor, error) {
	r, err := newRules(opts.Mode, t)
	if err != nil {
		return nil, err
	}
	return &extractor{
		opts: opts, lim: opts.Limits.withDefaults(), in: in, tree: t, rules: r,
		dirs: make(map[string]meta), buf: make([]byte, copySize),
	}, nil
}

func (x *extractor) run() error {
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
		x.res.Entries++
		x.in.entries++
		if err := x.lim.checkEntries(x.res.Entries); err != nil {
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
	return x.finishDirs()
}

// skip reads what is left of an entry's content.
func (x *extractor) skip(content io.Reader) error {
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
func (x *extractor) checkEnd(last string, end int64) error {
	if x.in.n == 0 {
		return malformed("archive is empty")
	}
	padded := (end + blockSize - 1) / blockSize * blockSize
	if x.in.eof && x.in.n > padded+blockSize {
		return malformed("archive is truncated after entry %q", last)
	}
	return nil
}

func (x *extractor) headerError(err error, last string) error {
	switch {
	case x.in.err != nil:
		return x.in.err
	case x.res.Entries == 0:
		return malformed("not a tar archive: %w", err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return malformed("archive is truncated after entry %q: %w", last, err)
	}
	return malformed("archive is damaged after entry %q: %w", last, err)
}

// entryError names the entry, except where the fault is the stream's.
func (x *extractor) entryError(err error, name string) error {
	if x.in.err != nil {
		return x.in.err
	}
	if errors.Is(err, syscall.ENAMETOOLONG) {
		return exceeded("archive entry %q: %w", name, err)
	}
	return fmt.Errorf("archive entry %q: %w", name, err)
}

// drain reads on to the end of the input, for the checksums there.
func (x *extractor) drain() error {
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
func (x *extractor) oddity(msg string) error {
	if x.opts.Mode == Strict {
		return malformed("%s", msg)
	}
	x.warn(msg)
	return nil
}

func (x *extractor) warn(msg string) {
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

func (x *extractor) entry(h *tar.Header, content io.Reader) error {
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
		return x.dir(path, m)
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
		return x.fifo(path, m)
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
	default:
		x.warn(fmt.Sprintf("entry %q has unknown type %q and is taken as a regular file", h.Name, h.Typeflag))
	}
	return x.file(path, h, content, m)
}

// name judges the name of an entry or of a hard link's target.
func (x *extractor) name(name string) (string, error) {
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

// parent opens the directory an entry goes into.
func (x *extractor) parent(path string) (*level, string, error) {
	dir, base := splitPath(path)
	l, err := x.tree.at(dir, true)
	return l, base, err
}

// place runs create, and once more after removing what is in its way: a later
// entry replaces an earlier one, save for a directory with something in it.
func (x *extractor) place(path string, create func(l *level, base string) error) error {
	l, base, err := x.parent(path)
	if err != nil {
		return err
	}
	if err = create(l, base); !errors.Is(err, fs.ErrExist) {
		return err
	}
	err = l.root.Remove(base)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTEMPTY) {
		return malformed("it would replace a directory that is not empty")
	}
	if err != nil {
		return err
	}
	delete(x.dirs, path) // the tree holds only the parent and above open
	return create(l, base)
}

func (x *extractor) dir(path string, m meta) error {
	if path == "" {
		x.dirs[path] = m
		x.res.HasRoot = true
		return nil
	}
	l, base, err := x.parent(path)
	if err != nil {
		return err
	}
	if fi, lerr := l.root.Lstat(base); lerr != nil || !fi.IsDir() {
		err = x.place(path, func(l *level, base string) error { return l.root.Mkdir(base, 0o700) })
	}
	x.dirs[path] = m
	return err
}

func (x *extractor) file(path string, h *tar.Header, content io.Reader, m meta) error {
	return x.place(path, func(l *level, base string) error {
		f, err := l.root.OpenFile(base, os.O_CREATE|os.O_EXCL|os.O_WRONLY, x.rules.openMode(m))
		if err != nil {
			return err
		}
		err = x.fill(f, h, content)
		if err == nil {
			err = x.rules.applyFile(f, m)
		}
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
		return x.touch(l, base, m)
	})
}

func (x *extractor) touch(l *level, base string, m meta) error {
	d, err := l.dir()
	if err != nil {
		return err
	}
	return setTime(d, base, m.mtime)
}

func (x *extractor) symlink(path, target string, m meta) error {
	if err := x.lim.checkName(target); err != nil {
		return err
	}
	if target == "" {
		return malformed("symlink without a target")
	}
	if x.opts.Mode == Strict {
		if err := strictTarget(target, depthOf(path)); err != nil {
			return err
		}
	}
	return x.place(path, func(l *level, base string) error {
		if err := l.root.Symlink(target, base); err != nil {
			return err
		}
		if x.rules.owners {
			if err := l.root.Lchown(base, m.uid, m.gid); err != nil {
				return err
			}
		}
		return x.touch(l, base, m)
	})
}

// hardlink leaves owner, mode and time alone: they are the earlier entry's.
func (x *extractor) hardlink(path, target string) error {
	old, err := x.name(target)
	if err != nil {
		return fmt.Errorf("hard link target: %w", err)
	}
	if old == "" {
		return refused("hard link to the root")
	}
	if err := x.tree.regular(old); err != nil || old == path {
		return err
	}
	return x.place(path, func(*level, string) error {
		return x.tree.open[0].root.Link(old, path)
	})
}

func (x *extractor) fifo(path string, m meta) error {
	if x.opts.Mode == Strict {
		return refused("FIFO")
	}
	return x.place(path, func(l *level, base string) error {
		d, err := l.dir()
		if err != nil {
			return err
		}
		if err := mkfifo(d, base, x.rules.openMode(m)); err != nil {
			return err
		}
		if err := x.applyFIFO(l, base, m); err != nil {
			return err
		}
		return setTime(d, base, m.mtime)
	})
}

func (x *extractor) applyFIFO(l *level, base string, m meta) error {
	if !x.rules.exact {
		return nil
	}
	f, err := l.root.OpenFile(base, os.O_RDONLY|syscall.O_NONBLOCK, 0) // there is no writer to wait for
	if err != nil {
		return err
	}
	defer f.Close()
	return x.rules.applyFile(f, m)
}
