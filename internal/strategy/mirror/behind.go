package mirror

import (
	"errors"
	"io"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/disk/confined"
	"stretcher/internal/disk/tree"
)

const (
	// maxWriters bounds what writes small files at once.
	maxWriters = 4
	// batchSize and batchFiles are what one of them gets at a time. To make a file
	// takes longer than to hand it over, and who makes one keeps others out of its
	// directory meanwhile: they come there with some that are not for it.
	batchSize  = 192 << 10
	batchFiles = 32
)

// behind writes small files on goroutines of its own, while more of the archive is
// read: to make them is most of the work. It is for one goroutine.
type behind struct {
	dir   *os.Root
	parts confined.What
	todo  chan *batch
	done  chan *batch
	cur   *batch // that is filled; nil = none
	free  []*batch
	out   int            // how many batches are to be written
	at    sync.WaitGroup // work
	err   error
}

// batch is some files that one goroutine writes.
type batch struct {
	data  []byte
	files []smallFile
	err   *archive.Late
}

// smallFile is a file of one block at most.
type smallFile struct {
	path   string
	meta   confined.Meta
	data   []byte
	sum    tree.Sum
	digest *tree.Digest
	st     unix.Stat_t // when it has been written
}

// newBehind is nil where there is one core.
func newBehind(dir *os.Root, parts confined.What) *behind {
	writers := min(runtime.GOMAXPROCS(0), maxWriters)
	if dir == nil || writers < 2 {
		return nil
	}
	b := &behind{dir: dir, parts: parts}
	for range writers + 2 {
		b.free = append(b.free, &batch{})
	}
	return b
}

// takes tells whether a file is one of those that are written so.
func (b *behind) takes(e *archive.Entry, content *archive.Content) bool {
	return b != nil && e.Size <= tree.BlockSize && !content.Sparse()
}

// add takes the content of e.
func (b *behind) add(e *archive.Entry, content *archive.Content, known *tree.Contents) error {
	cur, err := b.room(int(e.Size), known)
	if err != nil {
		return err
	}
	start := len(cur.data)
	f := smallFile{path: e.Path, meta: metaOf(e), data: cur.data[start : start+int(e.Size) : start+int(e.Size)]}
	if _, err := io.ReadFull(content, f.data); err != nil {
		return err // what is wrong with the archive, content knows
	}
	if e.Size > 0 {
		f.sum = known.Sum(0, f.data)
	}
	f.digest = digestOf(content)
	cur.data, cur.files = cur.data[:start+int(e.Size)], append(cur.files, f)
	return nil
}

// room gives a batch with room for so many bytes.
func (b *behind) room(size int, known *tree.Contents) (*batch, error) {
	if b.cur != nil && (len(b.cur.files) == batchFiles || len(b.cur.data)+size > batchSize) {
		b.send()
	}
	if b.cur == nil {
		if len(b.free) == 0 {
			b.settle(known)
		}
		n := len(b.free) - 1
		b.cur, b.free = b.free[n], b.free[:n]
		if b.cur.data == nil {
			b.cur.data = make([]byte, 0, batchSize)
		}
	}
	return b.cur, b.err
}

// send has the batch written.
func (b *behind) send() {
	if b.todo == nil {
		b.start()
	}
	b.out++
	b.todo <- b.cur
	b.cur = nil
}

func (b *behind) start() {
	size := len(b.free) + 1
	b.todo, b.done = make(chan *batch, size), make(chan *batch, size)
	for range size - 2 {
		b.at.Go(func() { write(b.dir, b.parts, b.todo, b.done) })
	}
}

// settle waits for a batch, and makes known what has been written.
func (b *behind) settle(known *tree.Contents) {
	w := <-b.done
	b.out--
	for i := range w.files {
		f := &w.files[i]
		if w.err != nil {
			break
		}
		var sums []tree.Sum
		if len(f.data) > 0 {
			sums = []tree.Sum{f.sum}
		}
		known.Add(&f.st, sums)
		if f.digest != nil {
			known.AddDigest(&f.st, *f.digest)
		}
	}
	if w.err != nil && b.err == nil {
		b.err = w.err
	}
	clear(w.files)
	w.data, w.files, w.err = w.data[:0], w.files[:0], nil
	b.free = append(b.free, w)
}

// flush waits until all is written.
func (b *behind) flush(known *tree.Contents) error {
	if b == nil {
		return nil
	}
	if b.cur != nil {
		b.send()
	}
	for b.out > 0 {
		b.settle(known)
	}
	return b.err
}

// close ends the goroutines, when they have written what they were given.
func (b *behind) close() {
	if b == nil || b.todo == nil {
		return
	}
	close(b.todo)
	b.at.Wait()
	b.todo = nil
}

// write writes batches below dir.
func write(dir *os.Root, parts confined.What, todo <-chan *batch, done chan<- *batch) {
	walk, err := confined.NewWalk(dir)
	if err == nil {
		defer walk.Close()
	}
	for b := range todo {
		for i := range b.files {
			f := &b.files[i]
			if err == nil {
				err = f.write(walk, parts)
			}
			if err != nil {
				b.err = &archive.Late{Path: f.path, Err: stageError(f.path, err)}
				break
			}
		}
		done <- b
	}
}

// write makes the file. One that is there is another entry's.
func (f *smallFile) write(walk *confined.Walk, parts confined.What) error {
	dir, name := confined.Split(f.path)
	fd, err := walk.At(dir, true)
	if err != nil {
		return err
	}
	f.st, err = confined.Make(fd, name, f.data, f.meta, parts)
	if errors.Is(err, unix.EEXIST) {
		if err = confined.Unlink(fd, name); err == nil {
			f.st, err = confined.Make(fd, name, f.data, f.meta, parts)
		}
	}
	return err
}
