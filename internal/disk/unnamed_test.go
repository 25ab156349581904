package disk

import (
	"io"
	"os"
	"testing"
)

func TestUnnamed(t *testing.T) {
	for name, open := range map[string]func(string) (*os.File, error){"unnamed": Unnamed, "unlinked": unlinked} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f, err := open(dir)
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
			if _, err := open(dir + "/none"); !os.IsNotExist(err) {
				t.Errorf("in a directory that is not there: %v", err)
			}
		})
	}
}
