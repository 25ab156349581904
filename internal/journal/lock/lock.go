// Package lock lets one run at a time work on a dest.
//
// Its words: a dest is the absolute path that a run changes; the holder is
// the process and run that have the lock; a lock file stands for one real
// path, in a directory the caller names, and holds the holder's Info as JSON
// so that those who wait can say for whom.
//
// The lock is flock(2) on that file. The kernel drops it when its holder
// ends, however it ends, so there is no stale lock to break and nothing to
// clean after kill -9; what such a holder leaves in the file is only text.
// It works between the processes of one machine, for those that use the same
// directory.
//
// The package may import internal/disk.
package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk"
)

// ErrHeld says that another run had the lock until the wait was over.
var ErrHeld = errors.New("another run holds the lock")

// ErrDest says that dest is a path that can't be: below a file, for one, or a
// loop of symlinks. No other directory for the lock would help.
var ErrDest = errors.New("dest can't be resolved")

// errGone: the file that was locked is no longer the one of its name.
var errGone = errors.New("the lock file was removed")

const (
	poll        = 100 * time.Millisecond // flock can wait, but not for a context
	noticeEvery = 30 * time.Second
	maxInfo     = 4096 // bytes of a lock file that are read
)

// Info names the holder of a lock.
type Info struct {
	PID int    `json:"pid"`
	Run string `json:"run"` // run id
}

// Wait says how long to wait for a lock and whom to tell meanwhile.
type Wait struct {
	Max   time.Duration // 0 or less: one attempt
	Every time.Duration // time between notices; 0 means 30 s
	// Notify is called on the goroutine of Acquire, as soon as it has to wait
	// and then each Every, with the holder as far as it is known: the zero Info
	// when the lock file can't be read. Nil means nobody is told.
	Notify func(holder Info)
}

// Acquire takes the lock on dest, an absolute path that need not exist, for
// holder. The lock files are in dir, which is made (mode 0700) when missing.
//
// Names that lead to the same place share a lock: symlinks are resolved as
// far as the path exists. A dest that is itself a symlink is locked twice,
// under its own name and as the place it leads to: the first still excludes
// others after a deploy has turned the link to a new release.
//
// unlock releases the lock; it may be called again, to no effect. The
// descriptors close on exec, so no child keeps the lock. The error wraps
// ErrHeld when wait.Max is over (and then names the holder), ctx's error when
// ctx ends first, or the cause when dir can't hold a lock.
func Acquire(ctx context.Context, dir, dest string, holder Info, wait Wait) (unlock func() error, err error) {
	if !filepath.IsAbs(dest) {
		return nil, fmt.Errorf("lock %q: not an absolute path", dest)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make lock directory: %w", err)
	}
	q := newQueue(dir, dest, holder, wait)
	defer q.over.Stop()
	files, err := q.lockAll(ctx)
	if err != nil {
		return nil, errors.Join(err, releaseAll(files))
	}
	return sync.OnceValue(func() error { return releaseAll(files) }), nil
}

// queue is one call of Acquire: one deadline and one rhythm of notices for
// all the files it locks.
type queue struct {
	dir, dest string
	holder    Info
	wait      Wait
	over      *time.Timer
	noticed   time.Time // last notice
	attempts  int       // failed ones
}

func newQueue(dir, dest string, holder Info, wait Wait) *queue {
	if wait.Every <= 0 {
		wait.Every = noticeEvery
	}
	return &queue{dir: dir, dest: dest, holder: holder, wait: wait, over: time.NewTimer(wait.Max)}
}

// lockAll returns the files it has locked, also when it fails.
func (q *queue) lockAll(ctx context.Context) (files []*os.File, err error) {
	name, err := realName(q.dest)
	if err != nil {
		return nil, fmt.Errorf("lock %q: %w", q.dest, err)
	}
	f, err := q.lock(ctx, name)
	if err != nil {
		return nil, err
	}
	files = append(files, f)

	// Only now, since the former holder may have turned the link.
	target, err := realPath(q.dest)
	if err != nil {
		return files, fmt.Errorf("lock %q: %w", q.dest, err)
	}
	if target == name {
		return files, nil
	}
	f, err = q.lock(ctx, target)
	if err != nil {
		return files, err
	}
	return append(files, f), nil
}

// lock waits for the lock file of the real path.
func (q *queue) lock(ctx context.Context, path string) (*os.File, error) {
	file := filepath.Join(q.dir, fileName(path))
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("wait for the lock on %q: %w", q.dest, err)
		}
		f, err := try(file, q.holder)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %q: %w", q.dest, err)
		}
		if q.wait.Max <= 0 {
			return nil, q.held(file)
		}
		q.notify(file)
		select {
		case <-tick.C:
		case <-ctx.Done():
		case <-q.over.C:
			return nil, q.held(file)
		}
	}
}

func (q *queue) held(file string) error {
	who := "an unknown process"
	if h, ok := readInfo(file); ok {
		who = fmt.Sprintf("pid %d, run %q", h.PID, h.Run)
	}
	return fmt.Errorf("lock %q: %w: %s; waited %v", q.dest, ErrHeld, who, max(q.wait.Max, 0))
}

func (q *queue) notify(file string) {
	q.attempts++
	if q.wait.Notify == nil || (!q.noticed.IsZero() && time.Since(q.noticed) < q.wait.Every) {
		return
	}
	h, ok := readInfo(file)
	if !ok && q.attempts == 1 {
		return // the holder may be about to write its name: ask once more
	}
	q.noticed = time.Now()
	q.wait.Notify(h)
}

// try locks file for holder, or fails with EWOULDBLOCK when it is held.
func try(file string, holder Info) (*os.File, error) {
	for {
		f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		err = claim(f, file, holder)
		if err == nil {
			return f, nil
		}
		if err = errors.Join(err, f.Close()); !errors.Is(err, errGone) {
			return nil, err
		}
	}
}

func claim(f *os.File, file string, holder Info) error {
	if err := flock(f, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return err
	}
	// A holder removes its file while it has the lock. What was opened before
	// that is a file nobody else will find, and its lock means nothing.
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	named, err := os.Lstat(file)
	if errors.Is(err, os.ErrNotExist) || (err == nil && !os.SameFile(mine, named)) {
		return errGone
	}
	if err != nil {
		return err
	}
	// The lock holds without: on a full disk, those who wait learn no name.
	_ = writeInfo(f, holder)
	return nil
}

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("flock", err)
		}
	}
}

func writeInfo(f *os.File, holder Info) error {
	text, err := json.Marshal(holder)
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(append(text, '\n'), 0)
	return err
}

// readInfo reports false when file says nothing about its holder, as in the
// moment between the lock and the writing of the name.
func readInfo(file string) (Info, bool) {
	f, err := disk.OpenRegular(file, os.O_RDONLY, 0)
	if err != nil {
		return Info{}, false
	}
	defer f.Close()
	var h Info
	text, err := io.ReadAll(io.LimitReader(f, maxInfo))
	if err != nil || json.Unmarshal(text, &h) != nil {
		return Info{}, false
	}
	return h, true
}

func releaseAll(files []*os.File) error {
	var errs []error
	for i := len(files) - 1; i >= 0; i-- {
		errs = append(errs, release(files[i]))
	}
	return errors.Join(errs...)
}

// release gives the lock up. The file goes first, under the lock (see claim);
// truncated, so that whoever has it open reads no name in it. That it stays
// when it can't be removed is of no harm.
func release(f *os.File) error {
	_ = f.Truncate(0)
	_ = os.Remove(f.Name())
	// Not by closing alone: a child between fork and exec still shares the
	// open file for a moment.
	return errors.Join(flock(f, unix.LOCK_UN), f.Close())
}
