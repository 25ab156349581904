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

func TestLink(t *testing.T) {
	dir := t.TempDir()
	root := rootAt(t, dir)
	f, err := Unnamed(root)
	must(t, err)
	defer f.Close()
	_, err = f.WriteString("text")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "there"), nil, 0o600))
	for _, name := range []string{"there", "../outside", ""} {
		if Link(f, root, name) == nil {
			t.Errorf("it is called %q now", name)
		}
	}
	if err := Link(f, root, "name"); err != nil {
		t.Skip("no files without a name here: ", err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "name")); err != nil || string(got) != "text" {
		t.Errorf("it holds %q, %v", got, err)
	}
	if Link(f, root, "second") == nil {
		t.Error("a file with a name got another")
	}
}
