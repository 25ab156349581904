package file

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNamesOfPipes: only a pipe that this process has open is one, no matter
// what else a path that begins like its name leads to.
func TestNamesOfPipes(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	dir, err := os.Open(filepath.Dir(fifo))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	for path, want := range map[string]bool{
		fmt.Sprint("/dev/fd/", r.Fd()):                          true,
		fmt.Sprint("/proc/self/fd/", r.Fd()):                    true,
		fifo:                                                    false,
		fmt.Sprint("/dev/fd/", dir.Fd()):                        false,
		fmt.Sprintf("/dev/fd/%d/fifo", dir.Fd()):                false,
		"/dev/fd/" + strings.Repeat("../", 10) + fifo[1:]:       false,
		"/proc/self/fd/" + strings.Repeat("../", 10) + fifo[1:]: false,
		"/dev/fd/": false,
	} {
		if isPipe(path) != want {
			t.Errorf("%s is a pipe: %v", path, !want)
		}
	}
}
