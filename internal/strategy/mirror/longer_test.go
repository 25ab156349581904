package mirror

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"stretcher/internal/archive"
)

// between is a stage beside which something happens in dest after it has looked at a file
// there, and before it opens it.
type between struct {
	*Stage
	happens func()
}

// File compares the file as the stage does.
func (b between) File(e archive.Entry, content *archive.Content) error {
	if err := b.open(); err != nil {
		return err
	}
	at, _, err := b.look(&e)
	if err != nil {
		return err
	}
	b.happens()
	b.digest.of(content)
	return b.compare(&e, content, at)
}

// TestLongerByNow: a file that begins with the content of an entry, and has more by the
// time when it is opened, is not the same.
func TestLongerByNow(t *testing.T) {
	for name, c := range map[string]struct{ content, then string }{
		"longer":  {"x", "xy"},
		"shorter": {"xy", "x"},
		"empty":   {"", "y"},
		"emptied": {"x", ""},
	} {
		top := tempDir(t)
		dest := filepath.Join(top, "dest")
		words := "a=" + c.content
		if c.content == "" {
			words = "a=@0"
		}
		plant(t, dest, parse(t, words))
		stage := NewStage(t.Context(), rootAt(t, dest), made(t, top, "staging"), Options{})
		_, _, err := archive.Scan(t.Context(), bytes.NewReader(tarball(t, parse(t, words))), archive.Options{},
			between{stage, func() { check(t, os.WriteFile(filepath.Join(dest, "a"), []byte(c.then), 0o644)) }})
		check(t, err)
		check(t, stage.Close())
		if data, err := os.ReadFile(filepath.Join(top, "staging/a")); err != nil || string(data) != c.content {
			t.Errorf("%s: staged is %q, %v", name, data, err)
		}
	}
}
