//go:build linux

package disk

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestUnnamed(t *testing.T) {
	for name, open := range map[string]func(*os.Root) (*os.File, error){"unnamed": Unnamed, "unlinked": unlinked} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			root := rootAt(t, dir)
			f, err := open(root)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if names, _ := os.ReadDir(dir); len(names) > 0 {
				t.Errorf("it is there by name: %q", names)
			}
			if _, err := f.WriteString("text"); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 4)
			if _, err := f.ReadAt(got, 0); err != nil && err != io.EOF || string(got) != "text" {
				t.Errorf("it holds %q, %v", got, err)
			}
		})
	}
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	root := rootAt(t, dir)
	outside := filepath.Join(t.TempDir(), "outside")
	must(t, os.WriteFile(outside, []byte("outside"), 0o600))
	must(t, os.Symlink(outside, filepath.Join(dir, "name"))) // it goes, not what it leads to
	for _, text := range []string{"one", "two"} {
		must(t, WriteFile(root, "name", []byte(text), 0o640))
		if got, err := os.ReadFile(filepath.Join(dir, "name")); err != nil || string(got) != text {
			t.Errorf("it holds %q, %v", got, err)
		}
	}
	if names, _ := os.ReadDir(dir); len(names) != 1 {
		t.Errorf("left: %v", names)
	}
	if got, err := os.ReadFile(outside); err != nil || string(got) != "outside" {
		t.Errorf("outside holds %q, %v", got, err)
	}
	must(t, os.Mkdir(filepath.Join(dir, "dir"), 0o755))
	if err := WriteFile(root, "dir", nil, 0o640); err == nil {
		t.Error("a directory was replaced")
	}
	if names, _ := os.ReadDir(dir); len(names) != 2 {
		t.Errorf("left after an error: %v", names)
	}
}
