package pack

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"time"

	"stretcher/internal/archive/index"
	"stretcher/internal/disk/confined"
)

const (
	// gzipGroup and zstdGroup are how many bytes of the stream small files have in
	// common: a changed file costs so much when it is fetched, and what is
	// compressed by itself has nothing before it to refer to. zstd suffers more.
	// A small tree would lose too much: until early the groups are twice as large.
	gzipGroup = 128 << 10
	zstdGroup = 256 << 10
	early     = 16 << 20
	// tried is the length of files of which it is tried whether they are worth more
	// work: a trial costs less than half of what they cost then.
	tried = 2 << 20
	// gzipPiece and zstdPiece are the least that a piece of a large file has, save
	// for the last: for the same reasons.
	gzipPiece = 64 << 10
	zstdPiece = 192 << 10
	// maxPiece is the most. It bounds what unpacking takes of memory.
	maxPiece = 512 << 10
	readSize = 128 << 10
)

// writer writes entries.
type writer struct {
	opts *Options
	tar  *tar.Writer // to cut
	cut  *cutter
	made *index.Builder
	seen map[inode]string // files with several names, by what they are
	res  Result
}

// inode tells a file from all others.
type inode struct{ device, number uint64 }

// write is Write.
func write(ctx context.Context, root *os.Root, w io.Writer, opts Options) (res Result, err error) {
	walk, err := confined.NewWalk(root)
	if err != nil {
		return res, fmt.Errorf("pack: %w", err)
	}
	defer walk.Close()
	made, err := index.NewBuilder()
	if err != nil {
		return res, fmt.Errorf("pack: %w", err)
	}
	sum := sha256.New()
	line := newLine(opts, io.MultiWriter(w, sum))
	cut := &cutter{line: line, made: made, most: gzipGroup, least: gzipPiece, gears: newGears()}
	if opts.Compression == Zstd {
		cut.most, cut.least = zstdGroup, zstdPiece
	}
	to := &writer{opts: &opts, cut: cut, made: made, seen: map[inode]string{}}
	to.tar = tar.NewWriter(to.cut)
	t := &tree{ctx: ctx, walk: walk, opts: &opts, to: to, buf: make([]byte, readSize)}
	err = t.all()
	if err == nil {
		err = to.finish()
	}
	members, lerr := line.close()
	if err == nil {
		err = lerr
	}
	for _, m := range members {
		made.Member(m.Length, m.Unpacked, m.Sum)
	}
	if err == nil {
		to.res.Index, err = made.Finish(index.Sum(sum.Sum(nil)))
	}
	if err != nil {
		err = fmt.Errorf("pack: %w", err)
	}
	return to.res, err
}

// header makes what all headers have in common.
func (w *writer) header(s *spot, kind byte) *tar.Header {
	h := &tar.Header{Typeflag: kind, Name: s.path, Mode: int64(confined.Perm(confined.FileMode(&s.st))),
		ModTime: time.Unix(s.st.Mtim.Unix())}
	if w.opts.Owners {
		h.Uid, h.Gid = int(s.st.Uid), int(s.st.Gid)
	}
	if w.opts.Time != nil {
		h.ModTime = *w.opts.Time
	}
	h.ModTime = time.Unix(h.ModTime.Unix(), 0) // which all formats have room for
	return h
}

// put writes a header: in the format that all know, if it has room.
func (w *writer) put(h *tar.Header) error {
	w.res.Entries++
	h.Format = tar.FormatUSTAR
	err := w.tar.WriteHeader(h)
	if err != nil && w.cut.err == nil {
		h.Format = tar.FormatGNU
		err = w.tar.WriteHeader(h)
	}
	return err
}

func (w *writer) dir(s *spot) error {
	w.cut.group(s.path, 0)
	h := w.header(s, tar.TypeDir)
	h.Name += "/"
	if s.path == "" {
		h.Name = "./"
	}
	return w.put(h)
}

func (w *writer) symlink(s *spot, target string) error {
	w.cut.group(s.path, 0)
	h := w.header(s, tar.TypeSymlink)
	h.Linkname, h.Mode = target, 0o777 // which no system lets one set
	return w.put(h)
}

// linked is the path under which a file has been packed before.
func (w *writer) linked(s *spot) (old string, ok bool) {
	if s.st.Nlink < 2 {
		return "", false
	}
	at := inode{uint64(s.st.Dev), s.st.Ino}
	if old, ok = w.seen[at]; !ok {
		w.seen[at] = s.path
	}
	return old, ok
}

func (w *writer) hardlink(s *spot, old string) error {
	w.cut.group(s.path, 0)
	h := w.header(s, tar.TypeLink)
	h.Linkname = old
	return w.put(h)
}

// file packs the content of f, of which there must be as much as was seen.
func (w *writer) file(s *spot, f io.Reader, buf []byte) error {
	w.cut.group(s.path, s.st.Size)
	h := w.header(s, tar.TypeReg)
	h.Size = s.st.Size
	if err := w.put(h); err != nil || h.Size == 0 {
		return err
	}
	if err := w.made.Content(s.path, h.Size); err != nil {
		return err
	}
	if err := w.cut.begin(h.Size); err != nil {
		return err
	}
	sum, left := sha256.New(), h.Size
	for left > 0 {
		n, err := f.Read(buf[:min(int64(len(buf)), left)])
		if n == 0 && err == io.EOF {
			return changed(s.path)
		}
		if n == 0 && err != nil {
			return fmt.Errorf("%q: %w", s.path, err)
		}
		_, _ = sum.Write(buf[:n])
		if _, err := w.tar.Write(buf[:n]); err != nil {
			return err
		}
		left -= int64(n)
		w.read(int64(n))
	}
	w.cut.end()
	w.made.Digest(index.Sum(sum.Sum(nil)))
	return w.tar.Flush()
}

func (w *writer) read(n int64) {
	if w.res.Bytes += n; w.opts.Progress != nil {
		w.opts.Progress(n)
	}
}

// finish ends the archive.
func (w *writer) finish() error {
	if err := w.tar.Close(); err != nil {
		return err
	}
	return w.cut.cut()
}
