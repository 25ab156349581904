package strategytest

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stretcher/internal/archive"
	"stretcher/internal/disk"
	"stretcher/internal/process"
	"stretcher/internal/strategy"
)

// files are the files of a tree: their paths and what they hold. A path that
// ends in / is an empty directory; a text that begins with "-> " makes a
// symlink.
type files map[string]string

const arrow = "-> "

// World is a place to deploy in: a directory that holds dest, and a target
// that names it.
type World struct {
	t    *testing.T
	Case Case
	Base string // holds dest and nothing else
	Dest string
	Log  Log
	runs int
}

// NewWorld makes a world in a temporary directory.
func NewWorld(t *testing.T, c Case) *World {
	t.Helper()
	top := t.TempDir()
	for dir := top; dir != filepath.Dir(os.TempDir()) && filepath.Dir(dir) != dir; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o022 == 0 {
			must(t, os.Chmod(dir, 0o755))
		}
	}
	w := &World{t: t, Case: c, Base: filepath.Join(top, "base")}
	must(t, os.Mkdir(w.Base, 0o755))
	w.Dest = filepath.Join(w.Base, "dest")
	return w
}

// Target is that of a new run, with dest opened as it is now. What change
// makes of it is what the strategy gets.
func (w *World) Target(file *os.File, change func(*strategy.Target)) strategy.Target {
	w.t.Helper()
	w.runs++
	t := strategy.Target{
		Strategy: w.Case.Definition.Name, Run: fmt.Sprintf("01900000-0000-7000-8000-%012d", w.runs),
		Name:    "app",
		Others:  func() []strategy.Deployments { return nil },
		Source:  strategy.Source{Origin: func() string { return "test" }},
		Tools:   strategy.Tools{Log: &w.Log, Place: &places{dir: w.t.TempDir(), run: w.runs, t: w.t}, Child: child},
		Options: strategy.Options{Releases: strategy.ReleasesOptions{Keep: 2}},
	}
	if file != nil {
		t.Checksum = fmt.Sprintf("sha256:%x", sha256.Sum256(content(w.t, file)))
	}
	dest, err := disk.OpenDest(w.Dest)
	if err != nil {
		dest, t.NoDest = &disk.Dest{Given: w.Dest}, err
	} else {
		w.t.Cleanup(func() { _ = dest.Close() })
	}
	t.Dest = dest
	if change != nil {
		change(&t)
	}
	return t
}

// New is the strategy of a new run.
func (w *World) New(file *os.File, change func(*strategy.Target)) strategy.Strategy {
	w.t.Helper()
	s, err := w.Case.Definition.New(w.Target(file, change))
	must(w.t, err)
	w.t.Cleanup(func() { _ = s.Close() })
	return s
}

// Deploy deploys a tree by a new run.
func (w *World) Deploy(tree files, change func(*strategy.Target)) (strategy.Strategy, error) {
	w.t.Helper()
	f := pack(w.t, tree)
	s := w.New(f, change)
	return s, w.run(w.t.Context(), s, f)
}

func (w *World) run(ctx context.Context, s strategy.Strategy, f *os.File) error {
	w.t.Helper()
	if err := s.CheckLayout(); err != nil {
		return err
	}
	if err := s.Check(); err != nil {
		return err
	}
	staged, err := s.Stage(ctx, archive.FileInput(f, false))
	if err != nil {
		return err
	}
	defer staged.Close()
	if err := s.Sync(ctx, &staged); err != nil {
		return err
	}
	if r, ok := s.(strategy.Reverter); ok {
		return r.Accept(ctx)
	}
	return nil
}

// wants checks that a directory holds just the files, beside what the
// strategy keeps there for itself.
func (w *World) wants(dir string, want files) {
	w.t.Helper()
	if got := read(w.t, dir); !equal(got, want) {
		w.t.Errorf("%q holds\n%v\nwant\n%v", dir, got, want)
	}
}

func equal(a, b files) bool {
	return slices.Equal(list(a), list(b))
}

func list(f files) (lines []string) {
	for path, text := range f {
		lines = append(lines, path+": "+text)
	}
	slices.Sort(lines)
	return lines
}

// read reads a tree: its files, symlinks and empty directories.
func read(t *testing.T, dir string) files {
	t.Helper()
	dir, err := filepath.EvalSymlinks(dir)
	must(t, err)
	got := files{}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name := strings.TrimPrefix(path, dir+"/")
		delete(got, filepath.Dir(name)+"/")
		switch {
		case d.IsDir():
			got[name+"/"] = ""
		case d.Type()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			got[name] = arrow + to
			return err
		case d.Type().IsRegular():
			b, err := os.ReadFile(path)
			got[name] = string(b)
			return err
		}
		return nil
	}))
	return got
}

// snapshot is all that can be seen of a tree, times of change excluded.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		fmt.Fprintln(&b, path, info.Mode(), info.Size(), info.ModTime().UnixNano())
		return nil
	}))
	return b.String()
}

// fill makes files below a directory.
func fill(t *testing.T, dir string, tree files) {
	t.Helper()
	for path, text := range tree {
		name := filepath.Join(dir, path)
		must(t, os.MkdirAll(filepath.Dir(name), 0o755))
		switch {
		case strings.HasSuffix(path, "/"):
			must(t, os.MkdirAll(name, 0o755))
		case strings.HasPrefix(text, arrow):
			must(t, os.Symlink(strings.TrimPrefix(text, arrow), name))
		default:
			must(t, os.WriteFile(name, []byte(text), 0o644))
		}
	}
}

// pack makes an archive. Its file is at its end, as after it was hashed.
func pack(t *testing.T, tree files) *os.File {
	t.Helper()
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	for _, path := range slices.Sorted(keys(tree)) {
		text := tree[path]
		h := &tar.Header{Name: path, Mode: 0o644, Typeflag: tar.TypeReg, Size: int64(len(text)),
			ModTime: time.Unix(1_600_000_000, 0)}
		switch {
		case strings.HasSuffix(path, "/"):
			h.Typeflag, h.Mode, h.Size = tar.TypeDir, 0o755, 0
			if path == "./" {
				h.Mode = 0o700
			}
		case strings.HasPrefix(text, arrow):
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, strings.TrimPrefix(text, arrow), 0
		}
		must(t, tw.WriteHeader(h))
		if h.Typeflag == tar.TypeReg {
			_, err := io.WriteString(tw, text)
			must(t, err)
		}
	}
	must(t, tw.Close())
	f, err := os.Create(filepath.Join(t.TempDir(), "archive"))
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	_, err = f.Write(b.Bytes())
	must(t, err)
	return f
}

func keys(tree files) func(func(string) bool) {
	return func(yield func(string) bool) {
		for path := range tree {
			if !yield(path) {
				return
			}
		}
	}
}

func content(t *testing.T, f *os.File) []byte {
	t.Helper()
	info, err := f.Stat()
	must(t, err)
	b := make([]byte, info.Size())
	_, err = f.ReadAt(b, 0)
	must(t, err)
	return b
}

// places makes private directories in a directory of its own.
type places struct {
	t    *testing.T
	dir  string
	run  int
	made int
}

// Private makes a directory.
func (p *places) Private(string, strategy.Where) (*disk.Dir, error) {
	parent, err := disk.Open(p.dir)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	p.made++
	return parent.Make(fmt.Sprintf("private-%d", p.made), 0o700)
}

// Above opens the place for one.
func (p *places) Above(strategy.Where) (*disk.Dir, error) { return disk.Open(p.dir) }

// Drop removes one.
func (p *places) Drop(dir *disk.Dir) error { return os.RemoveAll(dir.Path()) }

// child runs a child process.
func child(ctx context.Context, c process.Command) error {
	c.Stderr = os.Stderr
	_, err := process.Run(ctx, c)
	return err
}

// Log keeps what is said.
type Log struct{ Lines []string }

// Info keeps a line.
func (l *Log) Info(msg string, _ ...any) { l.Lines = append(l.Lines, msg) }

// Warn keeps a line.
func (l *Log) Warn(msg string, _ ...any) { l.Lines = append(l.Lines, msg) }

// said tells whether a line that has been said holds text.
func (w *World) said(text string) bool {
	return slices.ContainsFunc(w.Log.Lines, func(line string) bool { return strings.Contains(line, text) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
