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
//	```sh run          copied into a shell, the one for the whole document
//	```sh podman       the same, where podman is
//	```sh root         the same, as root on a host of the test's own
//	```sh release      the same, in a directory with a release (test/dist)
//	```sh debian       the same, as root in a fresh Debian (test/dist)
//	```text output     what the block before it prints, stderr included;
//	                   "..." stands for any text within a line, alone on
//	                   a line for any lines
//
// Other blocks need other hosts and are only read; see copy_test.go for what
// is asked of the pages that people copy.

// documents are the files that are checked.
func documents(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "docs/*.md"))
	if err != nil || len(paths) < 5 {
		t.Fatalf("documents: %q, %v", paths, err)
	}
	examples, err := filepath.Glob(filepath.Join(root, "examples/*/README.md"))
	if err != nil || len(examples) < 5 {
		t.Fatalf("examples: %q, %v", examples, err)
	}
	names := []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md",
		"examples/README.md", "tools/README.md"}
	for _, path := range append(paths, examples...) {
		names = append(names, strings.TrimPrefix(filepath.ToSlash(path), root+"/"))
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
			dir := t.TempDir()
			output := strings.Join(copied(t, shell{dir: dir}, examples(t, "README.md")), "")
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

func TestBlocksAreOfAKnownKind(t *testing.T) {
	known := []string{
		"yaml manifest", "sh run", "sh podman", "sh root", "sh release", "sh debian", "text output",
		"sh", "text", "ini", "hcl", "yaml", "console", "promql", "json", "lua",
	}
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

// TestReadmeIsShort: who opens it sees what this is, and how to try it.
func TestReadmeIsShort(t *testing.T) {
	text := readDoc(t, "README.md")
	if n := strings.Count(text, "\n"); n >= 150 {
		t.Errorf("README.md has %d lines, 149 are enough", n)
	}
	const screen = 40
	first := strings.Join(strings.SplitN(text, "\n", screen+1)[:screen], "\n")
	for _, want := range []string{"make demo", "make test", "](docs/history.png)", "](docs/performance.md"} {
		if !strings.Contains(first, want) {
			t.Errorf("the first %d lines of README.md lack %q", screen, want)
		}
	}
}

// TestReadmeFigures: the figures of README.md are those of docs/performance.md, rounded.
func TestReadmeFigures(t *testing.T) {
	measured := readDoc(t, "docs/performance.md")
	figure := func(pattern string) (n float64) {
		t.Helper()
		found := regexp.MustCompile(pattern).FindStringSubmatch(measured)
		if found == nil {
			t.Fatalf("docs/performance.md has no %s", pattern)
		}
		if _, err := fmt.Sscan(found[1], &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if part := figure(`(?m)^\| .native. \| first .*\| [\d.]+ \| \**([\d.]+)\** \([\d.]+\) \|$`); part > 0.36 {
		t.Errorf("the first deployment takes %v of the time of v1.x, README.md says a third", part)
	}
	want := []string{
		fmt.Sprintf("take %.1f s by `native`", figure(`(?m)^\| .native. \| first \| ([\d.]+) s`)),
		fmt.Sprintf("take; %.1f s when", figure(`(?m)^\| .native. \|.*\n.*\n\| \| again \| ([\d.]+) s`)),
		fmt.Sprintf("[%.0f to %.0f %%](", figure(`Go 1.26.6 → 1.26.7 .* ([\d.]+) % \|`),
			figure(`Go 1.26.7 → 1.26.8 .* ([\d.]+) % \|`)),
	}
	files := regexp.MustCompile(`: ([\d ]+ files), (\d+ MB),`).FindStringSubmatch(measured)
	if files == nil {
		t.Fatal("docs/performance.md does not say what is deployed")
	}
	for _, text := range append(want, files[2]+" in "+files[1]) {
		if !strings.Contains(strings.ReplaceAll(readDoc(t, "README.md"), "\n  ", " "), text) {
			t.Errorf("README.md lacks %q", text)
		}
	}
}

// TestReadmeListsAllPages: each page of docs/ and the examples are named in the table of
// README.md.
func TestReadmeListsAllPages(t *testing.T) {
	_, table, _ := strings.Cut(readDoc(t, "README.md"), "\n## Read on\n")
	pages := []string{"examples/README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "LICENSE"}
	for _, name := range documents(t) {
		if strings.HasPrefix(name, "docs/") {
			pages = append(pages, name)
		}
	}
	for _, name := range pages {
		if !strings.Contains(table, "]("+name+")") {
			t.Errorf("README.md does not list %s", name)
		}
	}
}

// TestLinks follows the links between documents, anchors included.
func TestLinks(t *testing.T) {
	pages := testparts.Pages(t, root)
	for _, name := range pages {
		for _, dead := range testparts.DeadLinks(t, root, name) {
			t.Errorf("%s: link to %s", name, dead)
		}
	}
	for _, name := range documents(t) {
		if !slices.Contains(pages, name) {
			t.Errorf("the links of %s are not followed", name)
		}
	}
}
