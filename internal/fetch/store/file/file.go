// Package file serves files of this machine, by file:///path.
//
// Its words are those of package store, and: a pipe is one that this process was
// started with. It imports store.
package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"stretcher/internal/fetch/store"
	"stretcher/internal/text/redact"
)

// file serves file:///path and file://localhost/path (RFC 8089).
type file struct{}

// Definition is that of file.
func Definition() store.Definition {
	return store.Definition{Schemes: []string{"file"}, Check: check, New: open}
}

func open(store.Options) store.Store { return file{} }

func check(u *url.URL) error {
	switch {
	case u.Host != "" && u.Host != "localhost":
		return fmt.Errorf("host %q of a local file; a path begins after three slashes", u.Host)
	case u.Opaque != "" || u.Path == "" || u.Path == "/":
		return errors.New("no absolute path")
	}
	return nil
}

// Open opens a regular file. Its version is the inode, size and time.
func (file) Open(ctx context.Context, u *url.URL, from store.Position) (*store.Object, error) {
	if ctx.Err() != nil {
		return nil, store.Failure(ctx, "open", u, nil)
	}
	if isPipe(u.Path) {
		return openPipe(ctx, u, from)
	}
	f, info, err := openRegular(u.Path)
	if err != nil {
		return nil, fileError(u, err)
	}
	if err := askReal(ctx, u, f); err != nil {
		f.Close()
		return nil, err
	}
	obj := &store.Object{Size: info.Size(), Version: fileVersion(info), Part: from.Length > 0, Local: true}
	body := &fileBody{ctx: ctx, file: f, version: obj.Version, left: math.MaxInt64}
	if err := body.begin(obj, from); err != nil {
		f.Close()
		return nil, fileError(u, err)
	}
	obj.Body = body
	return obj, nil
}

// begin goes to the position, if there is such a one.
func (b *fileBody) begin(obj *store.Object, from store.Position) error {
	if from.IsWhole() {
		return nil
	}
	if from.Version != "" && from.Version != obj.Version {
		return store.ErrChanged
	}
	if obj.Part {
		b.left = from.Length
		if err := from.Holds(from.Offset, min(from.End(), obj.Size)-1); err != nil {
			return err
		}
	}
	obj.Offset = from.Offset
	_, err := b.file.Seek(from.Offset, io.SeekStart)
	return err
}

// askReal asks about the file that is open, where symlinks have led elsewhere
// than its name says: they are what redirects are to a server.
func askReal(ctx context.Context, u *url.URL, f *os.File) error {
	real, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if errors.Is(err, fs.ErrNotExist) { // no procfs
		real, err = filepath.EvalSymlinks(u.Path)
	}
	if err != nil {
		return fileError(u, err)
	}
	if real == filepath.Clean(u.Path) {
		return nil
	}
	return store.Ask(ctx, (&url.URL{Scheme: "file", Path: real}).String())
}

// openRegular asks for the type twice: opening a device may act on it, and the
// name may mean something else by the time it is open. O_NONBLOCK keeps a FIFO
// from waiting for its writer.
func openRegular(path string) (*os.File, fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, irregular(info)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err = f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = irregular(info)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

func irregular(info fs.FileInfo) error {
	if info.IsDir() {
		return errors.New("is a directory")
	}
	kind := "a socket or the like"
	switch info.Mode().Type() {
	case fs.ModeDevice, fs.ModeDevice | fs.ModeCharDevice:
		kind = "a device"
	case fs.ModeNamedPipe:
		kind = "a named pipe"
	}
	return fmt.Errorf("not a regular file, but %s", kind)
}

func fileVersion(info fs.FileInfo) string {
	var dev, ino uint64
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		dev, ino = uint64(st.Dev), uint64(st.Ino)
	}
	return fmt.Sprintf("%x-%x-%x-%x", dev, ino, info.Size(), info.ModTime().UnixNano())
}

func fileError(u *url.URL, err error) error {
	var kind error
	switch {
	case errors.Is(err, fs.ErrNotExist):
		kind = store.ErrNotFound
	case errors.Is(err, fs.ErrPermission):
		kind = store.ErrDenied
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err // the URL says the path
	}
	return &store.Error{Op: "open", URL: redact.URL(u.String()), Err: store.Mark(kind, err)}
}

// fileBody ends with ErrChanged instead of io.EOF when the file was written to
// while it was read.
type fileBody struct {
	ctx     context.Context // of Open: it ends reads, as with the other stores
	file    *os.File
	version string
	left    int64 // of the range
}

// Read ends in ErrChanged when the file is no longer what was opened.
func (b *fileBody) Read(p []byte) (int, error) {
	if b.ctx.Err() != nil {
		return 0, store.Mark(b.ctx.Err(), context.Cause(b.ctx))
	}
	n, err := 0, io.EOF
	if b.left > 0 || len(p) == 0 {
		n, err = b.file.Read(p[:min(int64(len(p)), b.left)])
		b.left -= int64(n)
	}
	if err != io.EOF {
		return n, err
	}
	info, serr := b.file.Stat()
	if serr != nil {
		return n, serr
	}
	if fileVersion(info) != b.version {
		return n, store.ErrChanged
	}
	return n, io.EOF
}

// Close closes the file.
func (b *fileBody) Close() error { return b.file.Close() }
