package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"

	"stretcher/internal/archive/members"
	"stretcher/internal/disk/confined"
	"stretcher/internal/text/runid"
)

const (
	copySize    = 128 << 10
	maxWarnings = 30
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
	// hardlink takes a regular file or a symlink for old, and leaves owner, mode
	// and time alone: they are the earlier entry's.
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
	tar   *members.Reader // of in
	to    target
	rules *rules
	tally *tally
	buf   []byte
	warns int
	abs   bool // the leading slash was warned of

	hasRoot bool
	placed  bool // an entry came to the target
}

// readInto reads the archive r to its end into t.
func readInto(ctx context.Context, r io.Reader, opts Options, rules *rules, count *tally, t target) (Result, error) {
	if _, asks := t.(*memory); !asks { // only a sink has a content to ask for its digest
		r = withoutSums(r)
	}
	in, err := openStream(ctx, r, count)
	if err != nil {
		return Result{}, err
	}
	defer in.close()
	x := &reader{
		opts: opts, lim: count.lim, in: in, tar: members.NewReader(in), to: t, rules: rules, tally: count,
		buf: make([]byte, copySize),
	}
	rules.ids.warn = x.warn
	x.tar.Global = count.entry
	err = ownerHint(x.run())
	return Result{Entries: count.entries, Bytes: count.content, HasRoot: x.hasRoot}, err
}

// ownerHint tells what to do where an owner can't be set.
func ownerHint(err error) error {
	if owner := (*confined.OwnerError)(nil); errors.As(err, &owner) {
		return hinted("to leave all owners to the caller, write extract: strict in the manifest", err)
	}
	return err
}

// sink is who takes the files of a scan; nil = it is none.
func (x *reader) sink() Sink {
	if m, ok := x.to.(*memory); ok {
		return m.sink
	}
	return nil
}

func (x *reader) run() error {
	last := "" // name of the last entry
	for {
		m, err := x.tar.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return x.headerError(err, last)
		}
		if err := x.tally.entry(); err != nil {
			return err
		}
		err = x.entry(m)
		if err == nil {
			err = x.skip()
		}
		if err != nil {
			return x.entryError(err, m.Name)
		}
		last = m.Name
	}
	if x.in.n == 0 {
		return malformed("archive is empty")
	}
	if sink, ok := x.sink().(Resting); ok {
		if err := sink.Rest(); err != nil {
			return err
		}
	}
	if err := x.drain(); err != nil {
		return err
	}
	if !x.placed && x.tally.entries > 0 && x.opts.Strip > 0 {
		return malformed("strip_components %d leaves nothing of the archive: no name in it is so long", x.opts.Strip)
	}
	if err := x.to.finish(x.in.ctx); err != nil {
		if errors.As(err, new(*Late)) {
			err = x.entryError(err, "")
		}
		return err
	}
	return nil
}

// skip reads what is left of an entry's content.
func (x *reader) skip() error {
	for {
		switch _, err := x.tar.Read(x.buf); err {
		case nil:
		case io.EOF:
			return nil
		default:
			return contentError(err)
		}
	}
}

func (x *reader) headerError(err error, last string) error {
	if f := (*fault)(nil); errors.As(err, &f) { // a limit
		return err
	}
	switch {
	case x.in.err != nil:
		return x.in.err
	case errors.Is(err, members.ErrGlobal):
		return refused("%w", err)
	case errors.Is(err, members.ErrPieces):
		return exceeded("%w", err)
	case x.tally.entries > 0 && errors.Is(err, io.ErrUnexpectedEOF):
		return malformed("archive is truncated after entry %q: %w", last, err)
	case x.tally.entries > 0:
		return malformed("archive is damaged after entry %q: %w", last, err)
	case x.in.n >= blockSize && errors.Is(err, io.ErrUnexpectedEOF):
		return malformed("archive is truncated before its first entry: %w", err)
	}
	return notTar(x.in.head, x.in.ahead != nil, err)
}

// entryError names the entry, except where the fault is the stream's.
func (x *reader) entryError(err error, name string) error {
	if x.in.err != nil {
		return x.in.err
	}
	if late := (*Late)(nil); errors.As(err, &late) {
		name, err = late.Path, late.Err
	}
	if errors.Is(err, syscall.ENAMETOOLONG) {
		return exceeded("archive entry %q: %w", name, err)
	}
	return fmt.Errorf("archive entry %q: %w", name, err)
}

// drain reads on to the end of the input, for the checksums there, and judges
// how the archive ends.
func (x *reader) drain() error {
	data, behind := false, int64(0)
	for {
		n, err := x.in.Read(x.buf)
		if behind += int64(n); behind > x.lim.behind && behind/behindRate > x.in.src.n.Load() {
			return exceeded("more than %d bytes follow the end of the archive", x.lim.behind)
		}
		data = data || len(bytes.Trim(x.buf[:n], "\x00")) > 0
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if err := x.judgeEnd(data); err != nil {
		return err
	}
	if x.in.dec.followed() {
		return x.oddity("data follows the end of the " + x.in.dec.format + " data")
	}
	return nil
}

// judgeEnd tells whether the archive has an end, and data after it.
func (x *reader) judgeEnd(data bool) error {
	end := x.tar.End()
	if x.tally.entries == 0 && end != members.Marked { // an image of a disk may begin so
		return malformed("not a tar archive: neither an entry nor an end marker")
	}
	switch {
	case end == members.Unmarked:
		return x.oddity("archive ends without its end marker")
	case end == members.Lone:
		return x.oddity("a lone block of zeros ends the archive, and what follows is not unpacked")
	case end == members.Dangling:
		return x.oddity("the last header of the archive has no entry")
	case data:
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
func isDirType(m *members.Member) bool {
	switch m.Type {
	case members.Dir, members.DumpDir:
		return true
	case members.Regular, members.Contiguous:
		return strings.HasSuffix(m.Name, "/")
	}
	return false
}

func (x *reader) entry(h *members.Member) error {
	switch h.Type {
	case members.Label:
		return x.label()
	case members.MultiVol:
		return malformed("file is continued from another volume")
	case members.Solaris:
		return malformed("unsupported Solaris extended header")
	case members.Char, members.Block:
		return refused("device node")
	}
	path, left, err := x.pathOf(h.Name)
	if err != nil {
		return err
	}
	if !left {
		return x.pass(h)
	}
	x.placed = true
	if err := x.tally.keep(len(path)); err != nil {
		return err
	}
	m, err := x.rules.of(x.in.ctx, h)
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
	switch h.Type {
	case members.Symlink:
		return x.symlink(path, h.Link, m)
	case members.Link:
		return x.hardlink(path, h.Link)
	case members.FIFO:
		if x.opts.Mode == Strict {
			return refused("FIFO")
		}
		return x.to.fifo(path, m)
	case members.Regular, members.Contiguous, members.Sparse:
	default:
		if x.opts.Mode == Strict {
			return refused("unknown type %q", h.Type)
		}
		x.warn(fmt.Sprintf("entry %q has unknown type %q and is taken as a regular file", h.Name, h.Type))
	}
	return x.file(path, h, m)
}

// label is no file, but the name of a volume.
func (x *reader) label() error {
	if x.opts.Mode == Strict {
		return refused("volume label")
	}
	return nil
}

// pathOf is where an entry of that name goes, or what a hard link's target of that
// name is; left tells whether that is anything. The whole name is judged.
func (x *reader) pathOf(name string) (path string, left bool, err error) {
	path, err = x.name(name)
	if err != nil || x.opts.Strip == 0 {
		return path, true, err
	}
	rest := Strip(name, x.opts.Strip)
	if rest == "" {
		return "", false, nil
	}
	path, _, err = localName(rest, x.lim)
	return path, true, err
}

// pass reads an entry that is not unpacked. It counts as if it were.
func (x *reader) pass(h *members.Member) error {
	if isDirType(h) {
		return nil
	}
	switch h.Type {
	case members.Symlink, members.Link, members.FIFO:
		return nil
	}
	c, err := newContent(x, h)
	if err != nil {
		return err
	}
	if c.skip(); c.err != io.EOF {
		return c.err
	}
	return nil
}

// name judges the name of an entry or of a hard link's target.
func (x *reader) name(name string) (string, error) {
	path, absolute, err := localName(name, x.lim)
	if err != nil {
		return path, err
	}
	for part := range strings.SplitSeq(path, "/") {
		if runid.IsTemp(part) {
			return "", refused("%q is a name of temporary directories of deployments", part)
		}
	}
	if !absolute {
		return path, nil
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
func (x *reader) file(path string, h *members.Member, m meta) error {
	c, err := newContent(x, h)
	if err != nil {
		return err
	}
	if x.opts.Seen != nil && !c.sparse {
		c.seen = x.opts.Seen(path)
	}
	err = x.to.file(path, m, c)
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
	if err := x.rules.symlinkTo(to, path); err != nil {
		return err
	}
	if err := x.tally.keep(len(to)); err != nil {
		return err
	}
	return x.to.symlink(path, to, m)
}

func (x *reader) hardlink(path, target string) error {
	old, left, err := x.pathOf(target)
	if err != nil {
		return fmt.Errorf("hard link target: %w", err)
	}
	if !left {
		return malformed("hard link to %q, of which strip_components leaves nothing", target)
	}
	if old == "" {
		return refused("hard link to the root")
	}
	return x.to.hardlink(path, old)
}
