package oci

import (
	"context"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long nothing may happen before a change is looked at:
	// editors write in several steps.
	settle = 100 * time.Millisecond
	// poll is how often the directories are looked at unasked: a directory
	// may appear, and not every file system tells of changes.
	poll = 2 * time.Second
)

// Watch calls onChange whenever the definitions in dirs, which need not exist
// yet, have changed since it was called, or since the last call. It returns
// nil when ctx ends.
func Watch(ctx context.Context, dirs []string, onChange func()) error {
	last := fingerprint(dirs) // before anything else: what comes later is a change
	events := make(<-chan fsnotify.Event)
	failures := make(<-chan error)
	watcher, err := fsnotify.NewWatcher()
	if err == nil { // else there is the poll
		defer watcher.Close()
		events, failures = watcher.Events, watcher.Errors
	}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	quiet := time.NewTimer(0)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-events:
			quiet.Reset(settle)
			continue
		case <-failures: // events were lost
		case <-tick.C:
		case <-quiet.C:
		}
		subscribe(watcher, dirs)
		if now := fingerprint(dirs); now != last {
			last = now
			onChange()
		}
	}
}

// subscribe watches the directories that exist. One that was removed and has
// been made again is another: adding is done anew each time.
func subscribe(w *fsnotify.Watcher, dirs []string) {
	if w == nil {
		return
	}
	for _, dir := range dirs {
		_ = w.Add(dir) // what can't be watched is polled
	}
}

// fingerprint changes when what Load would read does.
func fingerprint(dirs []string) [sha256.Size]byte {
	h := sha256.New()
	for _, dir := range dirs {
		_, _ = io.WriteString(h, "\x00dir\x00")
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), suffix) {
				_, _ = io.WriteString(h, "\x00file\x00"+e.Name()+"\x00")
				data, _ := content(filepath.Join(dir, e.Name())) // a bad file is one too
				sum := sha256.Sum256(data)
				_, _ = h.Write(sum[:])
			}
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}
