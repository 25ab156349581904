// Package e2e runs the program as it ships, built once, against real servers:
// nginx, S3, Google Cloud Storage, Consul, Serf, sshd, containers, browsers.
//
// Its words are those of the README. A machine is what is deployed to, a site
// one with nginx, a cluster a directory that the nodes of Serf or Consul share.
package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"stretcher/internal/testparts"
)

// TestMain removes the programs that the tests have built.
func TestMain(m *testing.M) { testparts.Main(m) }

// machine is what is deployed to: a directory with all that a run may touch.
type machine struct {
	t    testing.TB
	bin  string // the program
	dir  string
	dest string
	// env is the environment that runs there need: WORK tells its processes,
	// TMPDIR holds their temporary files.
	env []string
}

func newMachine(t testing.TB) *machine {
	t.Helper()
	m := &machine{t: t, bin: testparts.Shipped(t), dir: t.TempDir()}
	m.dest = m.path("dest")
	for _, name := range []string{"tmp", "home"} {
		if err := os.Mkdir(m.path(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	m.env = []string{"WORK=" + m.dir, "TMPDIR=" + m.path("tmp"), "HOME=" + m.path("home"),
		"STRETCHER_STATE_DIR=" + m.path("state")}
	return m
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

// write makes a file below the machine's directory.
func (m *machine) write(name, text string) {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Dir(m.path(name)), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(m.path(name), []byte(text), 0o755); err != nil {
		m.t.Fatal(err)
	}
}

// read returns a file's content, "" when there is no such file.
func (m *machine) read(name string) string {
	b, _ := os.ReadFile(m.path(name))
	return string(b)
}

// waitFor waits until the file has the text in it.
func (m *machine) waitFor(name, text string) {
	m.t.Helper()
	defer func() {
		if m.t.Failed() {
			m.t.Logf("%s holds\n%s", name, m.read(name))
		}
	}()
	testparts.WaitFor(m.t, fmt.Sprintf("%s with %q", name, text), func() bool {
		_, err := os.Stat(m.path(name))
		return err == nil && strings.Contains(m.read(name), text)
	})
}

// deployment is a running or ended run of the program.
type deployment struct {
	t              testing.TB
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
}

// start starts the program with a clean environment and env.
func (m *machine) start(env []string, args ...string) *deployment {
	m.t.Helper()
	d := &deployment{t: m.t, cmd: exec.Command(m.bin, args...)}
	d.cmd.Dir = m.dir
	d.cmd.Env = slices.Concat([]string{"PATH=" + os.Getenv("PATH"), testparts.NoExitSleep}, m.env, env)
	d.cmd.Stdout, d.cmd.Stderr = &d.stdout, &d.stderr
	if err := d.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = d.cmd.Process.Kill() })
	return d
}

// run runs the program to its end, which must leave nothing behind.
func (m *machine) run(env []string, args ...string) *deployment {
	m.t.Helper()
	d := m.start(env, args...)
	_ = d.cmd.Wait()
	m.clean()
	return d
}

// wants checks exit status and log, each by a regular expression.
func (d *deployment) wants(code int, log ...string) *deployment {
	d.t.Helper()
	if got := d.cmd.ProcessState.ExitCode(); got != code {
		d.t.Errorf("exit status %d, want %d\n%s", got, code, d.stderr.String())
	}
	for _, want := range log {
		if !regexp.MustCompile("(?m)" + want).MatchString(d.stderr.String()) {
			d.t.Errorf("the log does not match %q:\n%s", want, d.stderr.String())
		}
	}
	return d
}

// lacks checks what must not be in the output.
func (d *deployment) lacks(texts ...string) *deployment {
	d.t.Helper()
	for _, text := range texts {
		if strings.Contains(d.stdout.String()+d.stderr.String(), text) {
			d.t.Errorf("%q is in the output:\n%s%s", text, d.stdout.String(), d.stderr.String())
		}
	}
	return d
}

// fails wants one error line, which message matches as a whole.
func (d *deployment) fails(code int, message string) *deployment {
	d.t.Helper()
	lines := errorLine.FindAllStringSubmatch(d.stderr.String(), -1)
	if len(lines) != 1 || !regexp.MustCompile("^(?:"+message+")$").MatchString(lines[0][1]) {
		d.t.Errorf("error lines %q, want one that matches %q", lines, message)
	}
	return d.wants(code)
}

// errorLine is a line of the log that tells an error, or a message of a command
// line that is wrong.
var errorLine = regexp.MustCompile(`(?m)^(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d error|stretcher): (.*)$`)

// clean checks that no temporary file and no process of a run is left.
func (m *machine) clean() {
	m.t.Helper()
	var left []string
	testparts.WaitFor(m.t, "all processes to end", func() bool {
		return len(testparts.ProcessesOf(m.dir)) == 0
	})
	for _, pattern := range []string{"tmp/*", ".stretcher-*"} { // * matches .stretcher-* too
		names, _ := filepath.Glob(m.path(pattern))
		left = append(left, names...)
	}
	if len(left) > 0 {
		m.t.Errorf("files left behind: %q", left)
	}
}

// has checks the content of all files in dest; directories don't count.
func (m *machine) has(files map[string]string) {
	m.t.Helper()
	got := map[string]string{}
	_ = filepath.WalkDir(m.dest, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(m.dest, path)
			b, _ := os.ReadFile(path)
			got[name] = string(b)
		}
		return nil
	})
	if !maps.Equal(got, files) {
		m.t.Errorf("dest holds %.2000q, want %.2000q", got, files)
	}
}

// pack makes a .tar.gz of files by name.
func pack(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var items []item
	for _, name := range slices.Sorted(maps.Keys(files)) {
		// rsync takes files of one size and time for equal.
		sum := sha256.Sum256([]byte(files[name]))
		modified := time.Unix(1_700_000_000+int64(binary.BigEndian.Uint16(sum[:])), 0)
		items = append(items, item{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, ModTime: modified},
			files[name]})
	}
	return packItems(t, items)
}

// item is an entry of an archive; the size is set from the content.
type item struct {
	tar.Header
	content string
}

func packItems(t testing.TB, items []item) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	tw := tar.NewWriter(zw)
	for _, e := range items {
		h := e.Header
		h.Size = int64(len(e.content))
		if err := tw.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// manifest is one for this archive at src; rest are further lines of YAML.
func (m *machine) manifest(src string, archive []byte, rest ...string) string {
	lines := []string{"src: " + src, fmt.Sprintf("checksum: %x", sha256.Sum256(archive)), "dest: " + m.dest}
	return strings.Join(append(lines, rest...), "\n") + "\n"
}

// noise is text that does not get smaller when it is packed; n bytes of it.
func noise(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8), byte(i >> 16)})
		b.Write(sum[:])
	}
	return b.String()[:n]
}
