// Package examples runs what examples/ has to try its examples by, with the program
// as it ships.
package examples

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// root is where the examples are: below it.
const root = "../.."

// TestMain removes the programs that the tests have built.
func TestMain(m *testing.M) { testparts.Main(m) }

// skipped is the status of a script that misses a program.
const skipped = 77

// TestExamples runs the script of each example. One that misses a program fails
// where nothing may be missing.
func TestExamples(t *testing.T) {
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Skip("the scripts' hosts are addresses that Linux alone has")
	}
	scripts, err := filepath.Glob(filepath.Join(root, "examples/*/run.sh"))
	if err != nil || len(scripts) < 10 {
		t.Fatalf("scripts: %q, %v", scripts, err)
	}
	stretcher := testparts.Shipped(t)
	load := testparts.Build(t, "load", "./examples/site/load", "CGO_ENABLED=0")
	tools, err := filepath.Abs(filepath.Join(root, ".tools"))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("STRETCHER", stretcher)
	path := []string{filepath.Dir(load), tools, os.Getenv("PATH")}
	for _, script := range scripts {
		t.Run(filepath.Base(filepath.Dir(script)), func(t *testing.T) {
			t.Parallel()
			follow(t, script, strings.Join(path, string(os.PathListSeparator)))
		})
	}
}

// follow runs a script, which leaves neither files nor processes.
func follow(t *testing.T, script, path string) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("bash", script)
	cmd.Env = append(os.Environ(), "PATH="+path, "HOME="+dir, "TMPDIR="+dir, "WORK="+dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	switch testparts.ExitStatus(err) {
	case 0:
	case skipped:
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		testparts.Missing(t, "%s", lines[len(lines)-1])
	default:
		t.Fatalf("%v\n%s", err, out.String())
	}
	testparts.WaitFor(t, "all processes to end", func() bool { return len(testparts.ProcessesOf(dir)) == 0 })
	if left, _ := filepath.Glob(filepath.Join(dir, "tmp.*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestExamplesAreDescribed: each directory of examples has a script that tries it,
// a page of a screen or two, and stands in the list of them.
func TestExamplesAreDescribed(t *testing.T) {
	list, err := os.ReadFile(filepath.Join(root, "examples/README.md"))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(root, "examples"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		script, err := os.Stat(filepath.Join(root, "examples", e.Name(), "run.sh"))
		if err != nil || script.Mode()&0o111 != 0o111 {
			t.Errorf("examples/%s has no run.sh that can be started: %v", e.Name(), err)
		}
		page, err := os.ReadFile(filepath.Join(root, "examples", e.Name(), "README.md"))
		if lines := bytes.Count(page, []byte("\n")); err != nil || lines < 5 || lines > 80 {
			t.Errorf("%s: %d lines of README.md, %v", e.Name(), lines, err)
		}
		if !strings.Contains(string(list), "]("+e.Name()+"/README.md)") {
			t.Errorf("examples/README.md does not list %s", e.Name())
		}
		named(t, e.Name(), string(page))
	}
}

// named: a page names all files that lie beside it.
func named(t *testing.T, dir, page string) {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(root, "examples", dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !slices.Contains([]string{"README.md", "run.sh"}, f.Name()) && !strings.Contains(page, "]("+f.Name()) {
			t.Errorf("examples/%s/README.md does not name %s", dir, f.Name())
		}
	}
}
