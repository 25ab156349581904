package dist

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// step is a block of docs/install.md that runs, and what it shows of the output.
type step struct {
	line   int
	text   string
	output string
}

var fence = regexp.MustCompile("(?ms)^```([a-z ]*)\n(.*?)^```$")

// steps are the blocks of a kind: "sh release" or "sh debian".
func steps(t *testing.T, kind string) (all []step) {
	t.Helper()
	doc := string(read(t, filepath.Join(root, "docs/install.md")))
	shown := false
	for _, m := range fence.FindAllStringSubmatchIndex(doc, -1) {
		is, text := doc[m[2]:m[3]], doc[m[4]:m[5]]
		switch {
		case is == kind:
			all = append(all, step{line: 1 + strings.Count(doc[:m[0]], "\n"), text: text})
		case is == "text output" && shown:
			all[len(all)-1].output = text
		}
		shown = is == kind
	}
	if len(all) < 3 {
		t.Fatalf("%d blocks of kind %q", len(all), kind)
	}
	return all
}

// check compares what a step prints with what the page shows: "..." is any text
// within a line, and on a line of its own any lines.
func (s step) check(t *testing.T, out []byte, err error) {
	t.Helper()
	pattern := regexp.MustCompile(`(?m)^\\.\\.\\.\n`).ReplaceAllString(regexp.QuoteMeta(s.output), "(.*\n)*")
	pattern = "^" + strings.ReplaceAll(pattern, `\.\.\.`, `.*`) + "$"
	if err != nil || s.output != "" && !regexp.MustCompile(pattern).Match(out) {
		t.Fatalf("docs/install.md:%d: %v\n%s", s.line, err, out)
	}
}

// TestPageOfArchivesAndImage pastes what docs/install.md has for who holds the
// files of a release: minisign verifies them, the archive unpacks, podman runs
// the image.
func TestPageOfArchivesAndImage(t *testing.T) {
	dir := t.TempDir()
	for _, name := range glob(t, released(t), "*") {
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			link(t, name, filepath.Join(dir, filepath.Base(name)))
		}
	}
	link(t, filepath.Join(made.dir, "release.pub"), filepath.Join(dir, "release.pub"))
	write(t, filepath.Join(dir, "app.yml"), "src: https://deploys.example.com/app.tar.gz\nchecksum: sha256:"+
		strings.Repeat("ab", 32)+"\ndest: /srv/app\n")
	bin := t.TempDir()
	for _, s := range steps(t, "sh release") {
		if strings.Contains(s.text, "podman") {
			engine(t, bin)
		}
		cmd := exec.Command("sh", "-e")
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(s.text)
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		s.check(t, out, err)
	}
}

// engine puts a podman into a directory that works on this machine.
func engine(t *testing.T, bin string) {
	t.Helper()
	e := testparts.Podman(t)
	script := "#!/bin/sh\ncase $1 in run) shift; set -- run " + strings.Join(e.Run, " ") + " \"$@\" ;; esac\n" +
		"exec " + e.Path + " " + strings.Join(e.Args, " ") + " \"$@\"\n"
	write(t, filepath.Join(bin, "podman"), script)
	if err := os.Chmod(filepath.Join(bin, "podman"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func glob(t *testing.T, dir, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s/%s: %q, %v", dir, pattern, names, err)
	}
	return names
}

// link gives a file a second name; what has one is not written to.
func link(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Link(from, to); err == nil {
		return
	}
	if err := copyFile(from, to); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
