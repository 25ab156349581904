package delta

import (
	"context"
	"crypto/sha256"
	"io"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive/index"
	"stretcher/internal/disk/confined"
)

// live is the tree that was deployed last, by its files.
type live struct {
	root *os.Root
	walk *confined.Walk
}

func newLive(root *os.Root) (*live, error) {
	if root == nil {
		return nil, nil
	}
	walk, err := confined.NewWalk(root)
	if err != nil {
		return nil, err
	}
	return &live{root, walk}, nil
}

func (l *live) close() {
	if l != nil {
		l.walk.Close()
	}
}

// find finds a regular file of that size, and tells of it.
func (l *live) find(path string, size int64, st *unix.Stat_t) (fd int, name string, ok bool) {
	dir, name := confined.Split(path)
	fd, err := l.walk.At(dir, false)
	if err != nil {
		return -1, "", false
	}
	ok = confined.Lstat(fd, name, st) == nil && confined.FileType(st) == 0 && st.Size == size
	return fd, name, ok
}

// open opens a regular file of that size. Nothing is followed, and nothing
// waited for.
func (l *live) open(path string, size int64) (*os.File, bool) {
	var st unix.Stat_t
	fd, name, ok := l.find(path, size, &st)
	if !ok {
		return nil, false
	}
	f, err := confined.OpenFile(fd, name)
	if err != nil {
		return nil, false
	}
	return f, true
}

// place is where a content may be.
type place struct {
	path string
	sum  index.Sum
	size int64
}

// hashers is how many files are hashed at a time, at most.
const hashers = 4

// held finds which places have the content that they may have. Of a content,
// one will do. Files that are as they were left are not read for that: left tells
// them, and is nil where nothing is known of them.
func held(ctx context.Context, root *os.Root, places []place, left Left) (map[index.Sum]place, error) {
	found := map[index.Sum]place{}
	if root == nil || len(places) == 0 {
		return found, nil
	}
	var lock sync.Mutex
	var wait sync.WaitGroup
	var failed error
	workers := min(hashers, runtime.GOMAXPROCS(0), len(places))
	for w := range workers {
		wait.Go(func() {
			l, err := newLive(root)
			if err == nil {
				defer l.close()
				for i := w; i < len(places) && ctx.Err() == nil; i += workers {
					if p := places[i]; l.isLeft(p, left) || l.has(ctx, p) {
						lock.Lock()
						found[p.sum] = p
						lock.Unlock()
					}
				}
				return
			}
			lock.Lock()
			failed = err
			lock.Unlock()
		})
	}
	wait.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return found, failed
}

// isLeft tells whether a file is as it was left, with what the archive before has
// for its place.
func (l *live) isLeft(p place, left Left) bool {
	var st unix.Stat_t
	if left == nil {
		return false
	}
	_, _, ok := l.find(p.path, p.size, &st)
	return ok && left(&st)
}

// has hashes a file.
func (l *live) has(ctx context.Context, p place) bool {
	f, ok := l.open(p.path, p.size)
	if !ok {
		return false
	}
	defer f.Close()
	h := sha256.New()
	buf := make([]byte, 128<<10)
	for {
		n, err := f.Read(buf)
		_, _ = h.Write(buf[:n])
		switch {
		case err == io.EOF:
			return index.Sum(h.Sum(nil)) == p.sum
		case err != nil || ctx.Err() != nil:
			return false
		}
	}
}
