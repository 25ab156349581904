package pack

import (
	"os"
	"strings"
	"testing"
)

// TestTooLong: a path that no archive may have is refused, and told by its beginning.
func TestTooLong(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	check(t, err)
	name := strings.Repeat("d", 250)
	for range 17 { // by its whole name no call would find the last one
		check(t, root.Mkdir(name, 0o755))
		below, err := root.OpenRoot(name)
		check(t, err)
		check(t, root.Close())
		root = below
	}
	check(t, root.Close())
	_, _, err = pack(t, dir, Options{})
	if err == nil || !strings.Contains(err.Error(), "dd…\": a path of more than 4096 bytes") || len(err.Error()) > 400 {
		t.Errorf("%v", err)
	}
}
