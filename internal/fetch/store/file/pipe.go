package file

import (
	"context"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"stretcher/internal/fetch/store"
)

// isPipe tells whether a path names a pipe that this process was started with,
// as /dev/stdin and the /dev/fd/63 of a shell's <(command) do.
func isPipe(path string) bool {
	if path != "/dev/stdin" && !isDescriptor(path) {
		return false
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().Type() == fs.ModeNamedPipe
}

// isDescriptor tells whether a path is the name of a descriptor of this process.
// A number follows, not a way that leads elsewhere.
func isDescriptor(path string) bool {
	number, ok := strings.CutPrefix(path, "/dev/fd/")
	if !ok {
		number, ok = strings.CutPrefix(path, "/proc/self/fd/")
	}
	return ok && number != "" && strings.Trim(number, "0123456789") == ""
}

// openPipe opens a pipe. It has no size and no version, and is read once.
func openPipe(ctx context.Context, u *url.URL, from store.Position) (*store.Object, error) {
	if from.Offset > 0 {
		return nil, fileError(u, store.ErrChanged)
	}
	f, err := os.OpenFile(u.Path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fileError(u, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Now()) })
	return &store.Object{Body: &pipeBody{ctx, f, stop}, Size: -1}, nil
}

// pipeBody ends when all writers of the pipe have.
type pipeBody struct {
	ctx  context.Context // of Open: it ends reads
	file *os.File
	stop func() bool
}

// Read waits for the writers of the pipe, as long as ctx lets it.
func (b *pipeBody) Read(p []byte) (int, error) {
	n, err := b.file.Read(p)
	if err != nil && b.ctx.Err() != nil {
		err = store.Mark(b.ctx.Err(), context.Cause(b.ctx))
	}
	return n, err
}

// Close closes the pipe.
func (b *pipeBody) Close() error {
	b.stop()
	return b.file.Close()
}
