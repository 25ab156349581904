package publish

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"stretcher/internal/archive"
	"stretcher/internal/archive/index"
	"stretcher/internal/archive/pack"
	"stretcher/internal/disk"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
)

// Source is what is published: a directory, or an archive that exists.
type Source struct {
	Name string // as it was named
	Pack pack.Options

	dir     *disk.Dir // nil = there is an archive
	archive *os.File
	index   *os.File // beside the archive; nil = there is none
}

// name is what a source calls itself, in words that stand in a manifest as they are.
func (s *Source) name() string {
	name := filepath.Base(s.Name)
	if s.dir == nil {
		name = trimEnding(name)
	}
	if printable.Line(name) != name {
		return fileName(name)
	}
	return name
}

// make makes the archive, in a file that has no name.
func (s *Source) make(ctx context.Context, r *run) (*product, error) {
	f, dir, err := disk.UnnamedFor(disk.Wanted{What: "archive", Size: -1, Candidates: []string{os.TempDir()}})
	if err != nil {
		return nil, err
	}
	p := &product{file: f}
	if s.dir != nil {
		err = s.pack(ctx, r, p)
	} else {
		err = s.copy(ctx, r, p)
	}
	if err == nil {
		var info os.FileInfo
		if info, err = f.Stat(); err == nil {
			p.size = info.Size()
		}
	}
	if err != nil {
		p.close()
		return nil, explained(err, f, dir)
	}
	r.describe(p)
	return p, nil
}

// explained is an error of making an archive: where the file without a name is, and
// what helps against what others do.
func explained(err error, f *os.File, dir string) error {
	var at *fs.PathError
	switch {
	case errors.Is(err, pack.ErrChanged):
		return failure.Hinted("an archive is made of files that nobody writes meanwhile", err)
	case errors.As(err, &at) && at.Path == f.Name():
		return &fs.PathError{Op: at.Op, Path: dir, Err: at.Err}
	}
	return err
}

// pack packs the directory.
func (s *Source) pack(ctx context.Context, r *run, p *product) error {
	bar := r.Screen.Bar("pack")
	defer bar.Close()
	opts, done := s.Pack, int64(0)
	opts.Warn = func(text string) { r.Say("warning: " + text) }
	opts.Progress = func(n int64) {
		done += n
		bar.Set(done, -1)
	}
	out := bufio.NewWriterSize(p.file, 1<<20)
	res, err := pack.Write(ctx, s.dir.Root(), out, opts)
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return err
	}
	if res.Entries < 2 { // the root is one
		return failure.Usage("%q is empty, or all in it is left out: hosts would empty dest", s.Name)
	}
	p.sum, p.index = res.Index.Archive, res.Index.Encode()
	p.ending = ".tar.gz"
	if opts.Compression == pack.Zstd {
		p.ending = ".tar.zst"
	}
	return s.judge(ctx, r, p, nil) // a tree may have what no archive must
}

// copy copies the archive, so that what was judged is what is sent, and finds out
// whether it can be unpacked.
func (s *Source) copy(ctx context.Context, r *run, p *product) error {
	bar := r.Screen.Bar("copy")
	defer bar.Close()
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(p.file, sum, bar), &reader{ctx, s.archive}); err != nil {
		return err
	}
	copy(p.sum[:], sum.Sum(nil))
	head := make([]byte, 512)
	n, err := p.file.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return err
	}
	p.ending = endingOf(head[:n])
	warn := func(text string) { r.Say("warning: " + text) }
	if err := s.judge(ctx, r, p, warn); err != nil {
		return err
	}
	return s.takeIndex(ctx, r, p)
}

// judge finds out whether a host could unpack the archive, by the rules that hosts
// have, and the manifest's strip_components.
func (s *Source) judge(ctx context.Context, r *run, p *product, warn func(string)) error {
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	defer r.Screen.Bar("check").Close()
	opts := archive.Options{Warn: warn, Progress: r.Screen.Unpacked()}
	opts.Strip, _ = strconv.Atoi(r.Draft.Value("strip_components")) // a template's value is the host's
	list, res, err := archive.Scan(ctx, p.file, opts, &counter{})
	if err != nil {
		return fmt.Errorf("%q: %w", s.Name, err)
	}
	if len(list) < 2 { // the root is one
		return failure.Usage("%q is empty: hosts would empty dest", s.Name)
	}
	p.entries, p.bytes = res.Entries, res.Bytes
	return nil
}

// takeIndex takes the index that lies beside the archive, if it is of this one.
func (s *Source) takeIndex(ctx context.Context, r *run, p *product) error {
	if s.index == nil {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(&reader{ctx, s.index}, index.MaxSize+1))
	if err != nil {
		return err
	}
	x, err := index.Decode(data)
	if err == nil && x.Archive != index.Sum(p.sum) {
		err = errors.New("it is of another archive")
	}
	if err == nil {
		err = checkMembers(ctx, p.file, x)
	}
	if errors.Is(err, context.Canceled) || context.Cause(ctx) != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		r.Say(failure.Sayf("warning: %q is not published: %v", s.index.Name(), err))
		return nil
	}
	p.index = data
	return nil
}

// checkMembers finds out whether an index tells the truth of an archive's members.
func checkMembers(ctx context.Context, f io.ReaderAt, x *index.Index) error {
	in := bufio.NewReaderSize(&reader{ctx, io.NewSectionReader(f, 0, x.Size)}, 1<<20)
	for i, m := range x.Members {
		sum := sha256.New()
		if _, err := io.CopyN(sum, in, int64(m.Length)); err != nil {
			return err
		}
		if !bytes.Equal(sum.Sum(nil), m.Sum[:]) {
			return fmt.Errorf("member %d is another one", i)
		}
	}
	return nil
}

// reader is a reader that ends with ctx.
type reader struct {
	ctx context.Context
	r   io.Reader
}

// Read reads unless the context has ended.
func (r *reader) Read(p []byte) (int, error) {
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// counter takes the files of a scan, and keeps none.
type counter struct{}

// File takes a file.
func (*counter) File(archive.Entry, *archive.Content) error { return nil }

// Link takes a hard link.
func (*counter) Link(archive.Entry, string) error { return nil }

// Drop takes back a file.
func (*counter) Drop(string) error { return nil }
