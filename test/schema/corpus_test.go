package schema

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"gopkg.in/yaml.v3"

	"stretcher/internal/manifest"
)

// root is where the repository is.
const root = "../.."

// manifestExceptions are what the schema of manifests can't refuse.
func manifestExceptions() [][2]string {
	return [][2]string{
		{`runs with sync_strategy|is read by sync_strategy`, "what one key says of another"},
		{otherNumber, "YAML makes the same number of it as of another writing"},
		{`is not the name of a point`, "a list may have any name; the check knows which look like others"},
		{`shared path ".*" lies in shared path`, "what one element of a list says of another"},
		{`no absolute path`, "a path is relative to the URL of the manifest"},
		{`is the root of the file system`, "a path is not resolved"},
		{`a second document begins here`, "an editor judges each document by itself"},
		{`dest_mode: ".*" is not an octal mode`, "YAML makes the same number of 0755 and of another writing of it"},
	}
}

// otherNumber is said of a number that is not written in decimal digits alone.
const otherNumber = `"(?:[+-]?0[xob]?[0-9a-f_]+|[+-][0-9].*|[0-9.]+e.*|[0-9]+\.[0-9]*)" is not `

// policyExceptions are what the schema of policies can't refuse.
func policyExceptions() [][2]string {
	return [][2]string{
		{otherNumber, "YAML makes the same number of it as of another writing"},
		{`no trust.keys says which keys count`, "another file of the policy may have them"},
		{`is before term_after`, "what one key says of another"},
		{`has nothing but a url`, "a mapping of headers may be empty where there is something else"},
		{`is never allowed: (a path|a key|what is no name)`, "the check alone knows which paths may be taken for others"},
	}
}

// blocks finds the code blocks of a document of the kinds.
func blocks(t *testing.T, name string, kinds ...string) (all []document) {
	t.Helper()
	text := contents(t, name)
	for _, m := range regexp.MustCompile("(?ms)^```([a-z ]*)\n(.*?)^```$").FindAllStringSubmatchIndex(text, -1) {
		if slices.Contains(kinds, text[m[2]:m[3]]) {
			line := 1 + strings.Count(text[:m[0]], "\n")
			all = append(all, document{fmt.Sprintf("%s:%d", name, line), []byte(text[m[4]:m[5]])})
		}
	}
	return all
}

func contents(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// found are the files below the root by patterns, of which there must be some.
func found(t *testing.T, patterns ...string) (names []string) {
	t.Helper()
	for _, pattern := range patterns {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %q, %v", pattern, paths, err)
		}
		for _, path := range paths {
			names = append(names, strings.TrimPrefix(path, root+"/"))
		}
	}
	return names
}

// archived are the files in the scripts, with what scripts write in the place of
// their marks.
func archived(t *testing.T) (all []document) {
	t.Helper()
	marks := strings.NewReplacer("@WORK@", "/work", "@HTTP@", "http://localhost:80", "$WORK", "/work", "@SUM@",
		strings.Repeat("ab", 32))
	for _, name := range found(t, "testdata/script/*.txtar") {
		a := txtar.Parse([]byte(contents(t, name)))
		for _, f := range a.Files {
			all = append(all, document{name + ": " + f.Name, []byte(marks.Replace(string(f.Data)))})
		}
	}
	return all
}

// exampleFiles are the YAML files of the examples, and what their scripts write as
// here documents.
func exampleFiles(t *testing.T) (all []document) {
	t.Helper()
	here := regexp.MustCompile(`(?ms)<<-?'?"?([A-Z]+)'?"?[^\n]*\n(.*?)^\s*([A-Z]+)$`)
	err := fs.WalkDir(os.DirFS(root), "examples", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text := contents(t, name)
		if ext := filepath.Ext(name); ext == ".yml" || ext == ".yaml" {
			all = append(all, document{name, []byte(text)})
		}
		for _, m := range here.FindAllStringSubmatch(text, -1) {
			if m[1] == m[3] && strings.Contains(m[2], ": ") {
				all = append(all, document{name + ", written by it", []byte(m[2])})
			}
		}
		return nil
	})
	if err != nil || len(all) < 3 {
		t.Fatalf("%d files, %v", len(all), err)
	}
	return all
}

// isPolicy tells whether a document is meant as a file of a host policy: it has a
// key that no manifest has.
func isPolicy(raw []byte) bool {
	var top map[string]yaml.Node
	if yaml.Unmarshal(raw, &top) != nil {
		return false
	}
	for _, key := range strings.Fields("allow trust run_as require_state history cache http") {
		if _, ok := top[key]; ok {
			return true
		}
	}
	return false
}

// TestManifests: the schema accepts each good manifest of the repository, and
// refuses each bad one that is bad for its shape.
func TestManifests(t *testing.T) {
	k := manifests(t)
	good := 0
	for _, name := range found(t, "*.md", "docs/*.md", "examples/*.md") {
		for _, d := range blocks(t, name, "yaml manifest") {
			good++
			k.compare(t, d.name, d.raw)
		}
	}
	refused := 0
	for _, d := range append(archived(t), exampleFiles(t)...) {
		if !manifest.Resembles(d.raw) || isPolicy(d.raw) {
			continue
		}
		good++
		if k.compare(t, d.name, d.raw) {
			refused++
		}
	}
	if good < 200 || refused < 20 {
		t.Errorf("%d manifests found, %d are refused", good, refused)
	}
}

// TestDocumentedMistakes: the schema refuses what the documents show as mistakes.
func TestDocumentedMistakes(t *testing.T) {
	k := manifests(t)
	table := regexp.MustCompile("(?m)^\\| `(.*)` \\| `(.*)` \\|$")
	rows := table.FindAllStringSubmatch(contents(t, "docs/manifest.md"), -1)
	refused := 0
	for _, row := range rows {
		if k.check([]byte(row[1])) != nil && k.compare(t, "docs/manifest.md", []byte(row[1])) {
			refused++
		}
	}
	if refused < 30 {
		t.Errorf("%d mistakes are refused", refused)
	}
}

// TestPolicies is TestManifests for files of host policies.
func TestPolicies(t *testing.T) {
	k := policies(t)
	all, refused := 0, 0
	for _, name := range []string{"docs/policy.md", "docs/runas.md"} {
		for _, d := range blocks(t, name, "yaml") {
			all++
			k.compare(t, d.name, d.raw)
		}
	}
	for _, d := range append(archived(t), exampleFiles(t)...) {
		if !isPolicy(d.raw) {
			continue
		}
		all++
		if k.compare(t, d.name, d.raw) {
			refused++
		}
	}
	if all < 60 || refused < 5 {
		t.Errorf("%d policies found, %d are refused", all, refused)
	}
}
