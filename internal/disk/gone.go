package disk

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// lookLimit is how long all paths together may take to tell whether they are
// there: a file system of another machine may not answer.
const lookLimit = 2 * time.Second

// Gone tells of each path whether nothing is there. What can't be looked at, or
// does not answer in time, is not gone.
func Gone() func(path string) bool { return goneWithin(lookLimit) }

func goneWithin(limit time.Duration) func(path string) bool {
	over := time.After(limit)
	waits := true
	return func(path string) bool {
		if !waits {
			return false
		}
		said := make(chan error, 1)
		go func() {
			_, err := os.Lstat(path)
			said <- err
		}()
		select {
		case err := <-said:
			return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
		case <-over:
			waits = false
			return false
		}
	}
}
