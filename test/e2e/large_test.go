package e2e

import (
	"archive/tar"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

const (
	largeFiles  = 2000
	largeFile   = 200 << 10 // bytes of each; 400 MB in all
	memoryLimit = 64 << 10  // KiB
)

// TestE2ELarge deploys 400 MB and looks at the memory that it took.
func TestE2ELarge(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("large")
	}
	testparts.Need(t, "rsync")
	m := newMachine(t)
	sum := packLarge(t, m.path("app.tgz"))
	base := testparts.Nginx(t, m.dir, "")
	// The kernel counts the memory of the test, which forked it, into the
	// program's ru_maxrss, but not into this.
	m.write("app.yml", fmt.Sprintf("src: %s/app.tgz\nchecksum: %x\ndest: %s\n"+
		"commands: {success: ['grep VmHWM /proc/$PPID/status']}\n", base, sum, m.dest))
	d := m.run(nil, "--rsync-verbose", "-q", base+"/app.yml").wants(0, "extracted 2000 entries")
	fields := strings.Fields(d.stdout.String())
	if len(fields) != 3 || fields[2] != "kB" {
		t.Fatalf("the success command printed %q", d.stdout.String())
	}
	peak, err := strconv.Atoi(fields[1])
	if err != nil || peak > memoryLimit {
		t.Errorf("peak memory %d KiB (%v), at most %d allowed", peak, err, memoryLimit)
	}
	t.Logf("peak memory %d KiB", peak)
	names, err := filepath.Glob(m.path("dest/*/*"))
	if err != nil || len(names) != largeFiles {
		t.Fatalf("%d files in dest (%v), want %d", len(names), err, largeFiles)
	}
	for _, name := range names {
		if info, err := os.Stat(name); err != nil || info.Size() != largeFile {
			t.Fatalf("%s: %v, want %d bytes", name, err, largeFile)
		}
	}
}

// packLarge makes an archive and gives its SHA-256. gzip(1) does the packing:
// under the race detector Go's would take a minute.
func packLarge(t *testing.T, name string) []byte {
	t.Helper()
	gzip := exec.Command(testparts.Need(t, "gzip"), "-1")
	in, err := gzip.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	gzip.Stdout = f
	if err := gzip.Start(); err != nil {
		t.Fatal(err)
	}
	tw := tar.NewWriter(in)
	content := []byte(noise(16<<10) + strings.Repeat("0123456789abcdef", (largeFile-16<<10)/16))
	for i := range largeFiles {
		h := &tar.Header{Name: fmt.Sprintf("%03d/%04d", i%100, i), Typeflag: tar.TypeReg, Mode: 0o644, Size: largeFile}
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	for _, end := range []func() error{tw.Close, in.Close, gzip.Wait} {
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		t.Fatal(err)
	}
	return sum.Sum(nil)
}
