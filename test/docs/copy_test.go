package docs

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// example is a block that runs, with what it prints.
type example struct {
	block
	where  string  // file and line
	output []block // none, or the one that shows what it prints
}

// examples are the blocks of documents that run, in the order in which they
// stand there.
func examples(t *testing.T, names ...string) (all []example) {
	t.Helper()
	return examplesOf(t, []string{"sh run", "sh podman"}, names...)
}

// examplesOf are the blocks of some kinds.
func examplesOf(t *testing.T, kinds []string, names ...string) (all []example) {
	t.Helper()
	for _, name := range names {
		shown := false
		for _, b := range blocks(readDoc(t, name)) {
			switch {
			case slices.Contains(kinds, b.kind):
				all = append(all, example{block: b, where: fmt.Sprintf("%s:%d", name, b.line)})
				shown = true
			case b.kind == "text output" && shown:
				all[len(all)-1].output = []block{b}
				shown = false
			}
		}
	}
	return all
}

// shell is where examples are copied into.
type shell struct {
	program string   // "" = sh
	dir     string   // where it is started
	umask   string   // "" = the test's
	env     []string // nil = that of shellEnv
}

// mark ends the output of an example.
const mark = "<<< end of example >>>"

// copied runs examples one after the other in one shell, which reads them as
// it does what is pasted, and returns what each has printed. One that fails is
// the last.
func copied(t *testing.T, s shell, list []example) []string {
	t.Helper()
	var input strings.Builder
	input.WriteString("set -e\n")
	if s.umask != "" {
		input.WriteString("umask " + s.umask + "\n")
	}
	for _, e := range list {
		input.WriteString(e.text + "\necho '" + mark + "'\n")
	}
	cmd := exec.Command(cmp.Or(s.program, "sh"))
	cmd.Dir, cmd.Stdin, cmd.Env = s.dir, strings.NewReader(input.String()), s.env
	if s.env == nil {
		cmd.Env = shellEnv(t, s.dir)
	}
	out, err := cmd.CombinedOutput()
	outputs := strings.Split(string(out), mark+"\n")
	rest := outputs[len(outputs)-1]
	outputs = outputs[:len(outputs)-1]
	if len(outputs) < len(list) {
		t.Errorf("%s: %v\n%s", list[len(outputs)].where, err, rest)
	} else if err != nil {
		t.Error(err)
	}
	return outputs
}

// shellEnv is the environment of somebody who has the program under test first
// in PATH.
func shellEnv(t *testing.T, dir string) (env []string) {
	t.Helper()
	source, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if !slices.Contains([]string{"CONSUL_INDEX", "SERF_EVENT", "TMPDIR", "STRETCHER_STATE_DIR"}, name) {
			env = append(env, kv)
		}
	}
	return append(env, "STRETCHER_STATE_DIR="+filepath.Join(dir, ".state"), "TMPDIR="+t.TempDir(),
		"STRETCHER_SOURCE="+source, "GOPROXY=off", "GOSUMDB=off", "GOFLAGS=",
		"PATH="+filepath.Dir(testparts.Program(t))+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// checkCopied copies examples and compares what they print with what the page
// shows.
func checkCopied(t *testing.T, s shell, list []example) {
	t.Helper()
	for i, output := range copied(t, s, list) {
		for _, want := range list[i].output {
			if !outputPattern(want.text).MatchString(output) {
				t.Errorf("%s prints\n%s", list[i].where, output)
			}
		}
	}
}

// outputPattern is what a block of output stands for: "..." is any text within
// a line, and on a line of its own any lines.
func outputPattern(text string) *regexp.Regexp {
	quoted := regexp.MustCompile(`(?m)^\\.\\.\\.\n`).ReplaceAllString(regexp.QuoteMeta(text), "(.*\n)*")
	return regexp.MustCompile("^" + strings.ReplaceAll(quoted, `\.\.\.`, `.*`) + "$")
}

// inOneShell are the pages that can be copied from top to bottom into one
// shell, one page after the other.
func inOneShell() []string { return []string{"docs/hooks.md", "docs/operations.md"} }

// TestDocumentedCommands copies each of the other documents into a shell.
func TestDocumentedCommands(t *testing.T) {
	testparts.Need(t, "rsync")
	testparts.Need(t, "tar")
	testparts.Need(t, "jq")
	seen := 0
	for _, name := range documents(t) {
		if slices.Contains(inOneShell(), name) {
			continue
		}
		list := examples(t, name)
		seen += len(list)
		if len(list) > 0 {
			checkCopied(t, shell{dir: t.TempDir()}, list)
		}
	}
	if seen < 6 {
		t.Errorf("%d examples found in the documents", seen)
	}
}

// TestCopiedFromTopToBottom copies the pages into one shell, on a host with a
// container engine and on one without, where its examples are left out.
func TestCopiedFromTopToBottom(t *testing.T) {
	testparts.Need(t, "rsync")
	testparts.Need(t, "tar")
	all := examples(t, inOneShell()...)
	podman := func(e example) bool { return e.kind == "sh podman" }
	if len(all) < 12 || !slices.ContainsFunc(all, podman) {
		t.Fatalf("%d examples found", len(all))
	}
	downloadHookModules(t, all)
	t.Run("umask 002", func(t *testing.T) {
		without := slices.DeleteFunc(slices.Clone(all), podman)
		checkCopied(t, shell{program: "bash", dir: t.TempDir(), umask: "002"}, without)
	})
	t.Run("podman", func(t *testing.T) {
		engineInPath(t, testparts.Podman(t))
		checkCopied(t, shell{dir: t.TempDir(), umask: "077"}, all)
	})
}

// hookFile is a file of the hook in Go that docs/hooks.md has.
var hookFile = regexp.MustCompile(`(?s)cat > greet/(\S+) <<'?END'?\n(.*?\n)END\n`)

// downloadHookModules downloads what the module of that hook needs: of a module
// that is not the main one, the go command reads more of what it requires. A
// download that breaks off is tried again.
func downloadHookModules(t *testing.T, list []example) {
	t.Helper()
	source, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	dir, files := t.TempDir(), 0
	for _, e := range list {
		for _, m := range hookFile.FindAllStringSubmatch(e.text, -1) {
			text := strings.ReplaceAll(m[2], "$STRETCHER_SOURCE", source)
			if err := os.WriteFile(filepath.Join(dir, m[1]), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			files++
		}
	}
	if files != 2 {
		t.Fatalf("%d files of a hook in Go found", files)
	}
	cmd := exec.Command("sh", filepath.Join(source, "tools/download.sh"), dir, "-mod=mod", ".")
	cmd.Env = append(os.Environ(), "GOSUMDB=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestWhatCannotBeCopiedSaysSo: a block of shell commands that is not run says
// in its first line what it needs.
func TestWhatCannotBeCopiedSaysSo(t *testing.T) {
	for _, name := range inOneShell() {
		for _, b := range blocks(readDoc(t, name)) {
			if b.kind == "sh" && !strings.HasPrefix(b.text, "# needs ") {
				t.Errorf("%s:%d: is not run, and its first line is not what it needs: # needs ...", name, b.line)
			}
		}
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
