package disk

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestGone(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dangling := filepath.Join(dir, "dangling")
	if err := os.Symlink("nowhere", dangling); err != nil {
		t.Fatal(err)
	}
	gone := goneWithin(time.Minute)
	for dest, want := range map[string]bool{
		dir: false, file: false, dangling: false,
		filepath.Join(dir, "missing"):                      true,
		filepath.Join(dir, "missing", "deeper"):            true,
		filepath.Join(file, "below"):                       true,
		filepath.Join(dir, string(make([]byte, 300, 301))): false, // it can't be looked at
	} {
		if got := gone(dest); got != want {
			t.Errorf("%q: gone = %v, want %v", dest, got, want)
		}
	}
}

// TestGoneInTime: when the time is over, nothing is asked any more.
func TestGoneInTime(t *testing.T) {
	gone := goneWithin(0)
	deadline := time.Now().Add(time.Minute)
	for gone("/nowhere/at/all") { // as long as the answer comes first
		if time.Now().After(deadline) {
			t.Fatal("the time is never over")
		}
	}
	if gone("/nowhere/at/all") {
		t.Error("it has been asked after the time was over")
	}
}
