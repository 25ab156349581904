package lock

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// TestWaitIsOver: the wait is as long as it was given, by a clock that only
// the test moves, and is one for both locks of a dest that is a symlink.
func TestWaitIsOver(t *testing.T) {
	const wait = time.Hour
	dir := t.TempDir()
	target := filepath.Join(t.TempDir(), "v1")
	link := filepath.Join(t.TempDir(), "current")
	if err := errors.Join(os.Mkdir(target, 0o755), os.Symlink(target, link)); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		held  string        // by another run until the end
		first time.Duration // so long the lock on the link itself is held, too
		dest  string
	}{
		"a directory":               {target, 0, target},
		"where a link leads":        {target, 0, link},
		"the link, then its target": {target, wait - time.Minute, link},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				unlock := mustAcquire(t, dir, tc.held)
				defer func() { _ = unlock() }()
				if tc.first > 0 {
					release := holdName(t, dir, tc.dest)
					go func() { time.Sleep(tc.first); release() }()
				}
				began := time.Now()
				_, err := Acquire(t.Context(), dir, tc.dest, Info{}, Wait{Max: wait})
				if took := time.Since(began); !errors.Is(err, ErrHeld) || took != wait {
					t.Errorf("gave up after %v with %v, want %v", took, err, wait)
				}
			})
		})
	}
}

// holdName locks what dest itself is called, wherever it leads.
func holdName(t *testing.T, dir, dest string) (release func()) {
	t.Helper()
	name, err := realName(dest)
	if err != nil {
		t.Fatal(err)
	}
	f, err := try(filepath.Join(dir, fileName(name)), Info{})
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = releaseAll([]*os.File{f}) }
}
