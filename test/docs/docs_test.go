// Package docs checks what the documents say: their examples run, their
// manifests are accepted, their tables are those of the program, their links lead
// somewhere.
package docs

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/cli"
	"stretcher/internal/testparts"
)

// TestMain removes the program that the tests have built.
func TestMain(m *testing.M) { testparts.Main(m) }

// root is where the documents are: names of documents are below it.
const root = "../.."

// The documents' code blocks are examples, and an example must work. The
// word after a block's language says what is done with it:
//
//	```yaml manifest   parsed, without a warning
//	```sh run          run by sh -e, in one directory per document
//	```sh podman       run where podman is, in a directory of its own
//	```text output     what the run block before it prints, stderr included;
//	                   "..." stands for any text within a line
//
// Other blocks need other hosts and are only read.

// documents are the files that are checked.
func documents(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "docs/*.md"))
	if err != nil || len(paths) < 5 {
		t.Fatalf("documents: %q, %v", paths, err)
	}
	names := []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"}
	for _, path := range paths {
		names = append(names, filepath.Join("docs", filepath.Base(path)))
	}
	return names
}

func readDoc(t *testing.T, name string) string {
	t.Helper()
	return read(t, filepath.Join(root, name))
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

type block struct {
	kind string // the info string: yaml manifest
	line int
	text string
}

// running are the kinds of blocks that run.
func running() []string { return []string{"sh run", "sh podman"} }

var fence = regexp.MustCompile("(?ms)^```([a-z ]*)\n(.*?)^```$")

func blocks(doc string) []block {
	var all []block
	for _, m := range fence.FindAllStringSubmatchIndex(doc, -1) {
		all = append(all, block{
			kind: doc[m[2]:m[3]],
			line: 1 + strings.Count(doc[:m[0]], "\n"),
			text: doc[m[4]:m[5]],
		})
	}
	return all
}

func TestDocumentedManifests(t *testing.T) {
	seen := 0
	for _, name := range documents(t) {
		for _, b := range blocks(readDoc(t, name)) {
			if b.kind != "yaml manifest" {
				continue
			}
			seen++
			if out, err := check(t, b.text, strings.Repeat("ab", 32)); err != nil {
				t.Errorf("%s:%d: %v\n%s", name, b.line, err, out)
			}
		}
	}
	if seen < 6 {
		t.Errorf("%d manifests found in the documents", seen)
	}
}

// variable finds the names of the variables that a manifest takes values from.
var variable = regexp.MustCompile(`env "(\w+)"`)

// check runs stretcher check, which takes no key that it does not know, on a
// manifest whose variables are all set to value, or none when that is "".
func check(t *testing.T, text, value string) (stderr string, err error) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "doc.yml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(testparts.Shipped(t), "check", "file://"+path)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "STRETCHER_STATE_DIR=" + dir}
	for _, m := range variable.FindAllStringSubmatch(text, -1) {
		if value != "" {
			cmd.Env = append(cmd.Env, m[1]+"="+value)
		}
	}
	var out bytes.Buffer
	cmd.Stderr = &out
	err = cmd.Run()
	return out.String(), err
}

func TestDocumentedCommands(t *testing.T) {
	testparts.Need(t, "rsync")
	testparts.Need(t, "tar")
	seen := 0
	for _, name := range documents(t) {
		dir := t.TempDir()
		output, ran := "", false
		for _, b := range blocks(readDoc(t, name)) {
			switch {
			case slices.Contains(running(), b.kind):
				ran = b.kind == "sh run"
				if ran {
					seen++
					output = runDocumented(t, dir, fmt.Sprintf("%s:%d", name, b.line), b.text)
				}
			case b.kind == "text output" && ran:
				checkOutput(t, name, b, output)
			}
		}
	}
	if seen < 10 {
		t.Errorf("%d examples found in the documents", seen)
	}
}

func checkOutput(t *testing.T, name string, b block, output string) {
	t.Helper()
	if !outputPattern(b.text).MatchString(output) {
		t.Errorf("%s:%d: the command before it prints\n%s", name, b.line, output)
	}
}

// TestDocumentedContainers runs the examples that need a container engine.
func TestDocumentedContainers(t *testing.T) {
	testparts.Need(t, "rsync")
	testparts.Need(t, "tar")
	engineInPath(t, testparts.Podman(t))
	seen := 0
	for _, name := range documents(t) {
		all := blocks(readDoc(t, name))
		for i, b := range all {
			if b.kind != "sh podman" {
				continue
			}
			seen++
			output := runDocumented(t, t.TempDir(), fmt.Sprintf("%s:%d", name, b.line), b.text)
			if i+1 < len(all) && all[i+1].kind == "text output" {
				checkOutput(t, name, all[i+1], output)
			}
		}
	}
	if seen == 0 {
		t.Error("no example found in the documents")
	}
}

// engineInPath puts a podman into PATH that works on this machine, so that
// the examples need not say how.
func engineInPath(t *testing.T, e testparts.ContainerEngine) {
	t.Helper()
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\ncase $1 in run) shift; set -- run %s \"$@\";; esac\nexec %s %s \"$@\"\n",
		strings.Join(e.Run, " "), e.Path, strings.Join(e.Args, " "))
	if err := os.WriteFile(filepath.Join(dir, "podman"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// TestReadmeReleases follows the README from its beginning, on a host with
// rsync and on one without: the five commands leave version 1 live again.
func TestReadmeReleases(t *testing.T) {
	testparts.Need(t, "tar")
	testparts.Need(t, "sha256sum")
	for name, path := range map[string]string{"rsync": os.Getenv("PATH"), "without rsync": pathWithout(t, "rsync")} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PATH", path)
			if name == "rsync" {
				testparts.Need(t, "rsync")
			}
			dir, output := t.TempDir(), ""
			for _, b := range blocks(readDoc(t, "README.md")) {
				if b.kind == "sh run" {
					output += runDocumented(t, dir, fmt.Sprintf("README.md:%d", b.line), b.text)
				}
			}
			if got := read(t, filepath.Join(dir, "web/current/index.html")); got != "version 1\n" {
				t.Errorf("version 1 is not live: %q", got)
			}
			if all, _ := filepath.Glob(filepath.Join(dir, "web/releases/*/index.html")); len(all) != 2 {
				t.Errorf("releases: %q, want 2", all)
			}
			if n := strings.Count(output, "now I would restart the service\n"); n < 4 {
				t.Errorf("the post command ran %d times, want 4", n)
			}
			if !regexp.MustCompile(`(?m)^RUN .*\n.* good .* rollback by `).MatchString(output) {
				t.Errorf("the history does not show the rollback:\n%s", output)
			}
			if native := strings.Contains(output, "sync_strategy is native"); native != (name != "rsync") {
				t.Errorf("native was chosen: %v", native)
			}
		})
	}
}

// pathWithout is a PATH of all programs but one.
func pathWithout(t *testing.T, program string) string {
	t.Helper()
	dir := t.TempDir()
	for _, from := range filepath.SplitList(os.Getenv("PATH")) {
		entries, _ := os.ReadDir(from)
		for _, e := range entries {
			if e.Name() == program {
				continue
			}
			// The first of a name is the one that counts.
			_ = os.Symlink(filepath.Join(from, e.Name()), filepath.Join(dir, e.Name()))
		}
	}
	return dir
}

// runDocumented runs an example with the program under test first in PATH.
func runDocumented(t *testing.T, dir, where, script string) string {
	t.Helper()
	cmd := exec.Command("sh", "-e", "-c", script)
	cmd.Dir = dir
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if !slices.Contains([]string{"CONSUL_INDEX", "SERF_EVENT", "TMPDIR", "STRETCHER_STATE_DIR"}, name) {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "STRETCHER_STATE_DIR="+filepath.Join(dir, ".state"),
		"PATH="+filepath.Dir(testparts.Program(t))+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", where, err, out)
	}
	return string(out)
}

func outputPattern(text string) *regexp.Regexp {
	return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(text), `\.\.\.`, `.*`) + "$")
}

func TestBlocksAreOfAKnownKind(t *testing.T) {
	known := []string{"yaml manifest", "sh run", "sh podman", "text output", "sh", "text", "ini", "yaml", "console"}
	for _, name := range documents(t) {
		for _, b := range blocks(readDoc(t, name)) {
			if !slices.Contains(known, b.kind) {
				t.Errorf("%s:%d: a block of kind %q: one of %q expected", name, b.line, b.kind, known)
			}
		}
	}
}

// TestDocumentedErrors parses the manifests in the table of error messages.
func TestDocumentedErrors(t *testing.T) {
	rows := tableRows(readDoc(t, "docs/manifest.md"), "| manifest | message |")
	if len(rows) < 10 {
		t.Fatalf("%d rows found", len(rows))
	}
	for _, row := range rows {
		text, message := strings.Trim(row[0], "`"), strings.Trim(row[1], "`")
		out, err := check(t, text+"\n", "")
		if err == nil || !strings.Contains(out, message) {
			t.Errorf("%s\n\tgot  %v: %s\n\twant %s", text, err, out, message)
		}
		if got := testparts.ExitStatus(err); got != cli.ExitMalformed {
			t.Errorf("%s: exit status %d", text, got)
		}
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// TestLinks follows the links between documents, anchors included.
func TestLinks(t *testing.T) {
	for _, name := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(readDoc(t, name), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := filepath.Join(filepath.Dir(name), target)
			if target == "" {
				file = name
			}
			if _, err := os.Stat(filepath.Join(root, file)); err != nil {
				t.Errorf("%s: link to %s: %v", name, m[1], err)
			} else if anchor != "" && !slices.Contains(anchors(readDoc(t, file)), anchor) {
				t.Errorf("%s: link to %s: no such heading", name, m[1])
			}
		}
	}
}

// anchors are the headings as links name them.
func anchors(doc string) []string {
	var all []string
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(doc, ""), -1) {
		text := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		all = append(all, strings.ReplaceAll(text, " ", "-"))
	}
	return all
}
