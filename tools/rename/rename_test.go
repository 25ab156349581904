package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// root is where the module is.
const root = "../.."

func TestCheck(t *testing.T) {
	for path, good := range map[string]bool{
		"git.example.org/team/stretcher/v2": true, "github.com/a/b": true, "example.org/a/v3": true,
		"": false, "stretcher": false, "/a/b": false, "git.example.org/a/../b": false, "git.example.org/a b": false,
		"git.example.org/a;touch x": false, "git.example.org/$(touch x)": false, "git.example.org/a\ntouch x": false,
		"git.example.org/a\"": false, "https://git.example.org/a": false, "git.example.org/a/v1": false, "-x": false,
		"git.example.org/a/": false, "git.example.org//a": false, "git.example.org/a\\b": false, "git.example.org/ä": false,
	} {
		if err := check(path); (err == nil) != good || err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestRenamed(t *testing.T) {
	const path = "git.example.org/team/stretcher/v2"
	for _, tc := range []struct{ name, text, want string }{
		{"go.mod", "module stretcher\n\nrequire stretcher.example/x v1.0.0\n",
			"module " + path + "\n\nrequire stretcher.example/x v1.0.0\n"},
		{"tools/go.mod", "module stretcher/tools\n", "module " + path + "/tools\n"},
		{"a.go", "package a\n\nimport (\n\t\"os\"\n\n\t\"stretcher/internal/a\"\n\tb \"stretcher/hookenv\" // x\n)\n\n" +
			"// See stretcher/hookenv.\nvar _ = \"stretcher/state\"\n",
			"package a\n\nimport (\n\t\"os\"\n\n\tb \"" + path + "/hookenv\" // x\n\t\"" + path + "/internal/a\"\n)\n\n" +
				"// See " + path + "/hookenv.\nvar _ = \"stretcher/state\"\n"},
		{"docs/x.md", "`stretcher/hookenv`, /etc/stretcher/hookenv, the module `stretcher`\nrequire stretcher v0.0.0\n" +
			"replace stretcher => ../x\n\t\"stretcher/hookenv\"\nstretcher check\n",
			"`" + path + "/hookenv`, /etc/stretcher/hookenv, the module `" + path + "`\nrequire " + path + " v2.0.0\n" +
				"replace " + path + " => ../x\n\t\"" + path + "/hookenv\"\nstretcher check\n"},
	} {
		got, err := renamed(tc.name, []byte(tc.text), "stretcher", path)
		if err != nil || string(got) != tc.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", tc.name, err, got, tc.want)
		}
		again, err := renamed(tc.name, got, path, "example.org/x")
		if err != nil || strings.Contains(string(again), path) {
			t.Errorf("%s, again: %v\n%s", tc.name, err, again)
		}
	}
}

// clone is a repository with what is here, in a directory of its own.
type clone struct {
	*testing.T
	dir string
	env []string
}

func newClone(t *testing.T) *clone {
	t.Helper()
	for _, program := range []string{"git", "make"} {
		if _, err := exec.LookPath(program); err != nil {
			missing(t, program+" is not installed")
		}
	}
	c := &clone{T: t, dir: t.TempDir()}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && (name == ".git" || name == ".tools" || name == "dist"):
			return fs.SkipDir
		case d.Type().IsRegular() && name != ".git": // which a work tree of git's has
			return c.copy(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c.env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@a",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@a")
	c.run("git", "init", "--quiet")
	c.run("git", "add", "--all")
	c.run("git", "commit", "--quiet", "-m", "begin")
	c.run("git", "clean", "--quiet", "-fdX")
	return c
}

// missing skips the test, or fails it where everything must be there.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// copy copies a file that is there.
func (c *clone) copy(path string) error {
	name, err := filepath.Rel(root, path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(filepath.Join(c.dir, name)), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.dir, name), text, info.Mode().Perm())
}

func (c *clone) try(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = c.dir, c.env
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (c *clone) run(name string, args ...string) string {
	c.Helper()
	out, err := c.try(name, args...)
	if err != nil {
		c.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return out
}

// TestModule: make module renames all in one commit that builds, and a hook in
// another module imports the package by the new path. What is no path changes
// nothing, and no shell looks into it.
func TestModule(t *testing.T) {
	c := newClone(t)
	for value, want := range map[string]string{
		"": "name the path", "stretcher": "is no path of a module", "x.org/$(shell touch pwned)": "is no path of a module",
		"x.org/a'; touch pwned; '": "is no path of a module", "x.org/`touch pwned`": "is no path of a module",
		"x.org/a\n\ttouch pwned\n": "is no path of a module",
	} {
		out, err := c.try("make", "--no-print-directory", "module", "MODULE="+value)
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("%q: %v\n%s", value, err, out)
		}
	}
	if out := c.run("git", "status", "--porcelain", "--ignored"); out != "" {
		t.Fatalf("changed: %s", out)
	}
	const path = "git.example.org/team/stretcher/v2"
	c.run("make", "--no-print-directory", "module", "MODULE="+path)
	if out := c.run("git", "status", "--porcelain", "--ignored"); out != "" {
		t.Errorf("changed, and not committed: %s", out)
	}
	if n := c.run("git", "rev-list", "--count", "HEAD"); n != "2" {
		t.Errorf("%s commits", n)
	}
	old := `"stretcher/(internal|hookenv)|^module stretcher|(require|replace) stretcher `
	if out, err := c.try("git", "grep", "-nE", old, "--", ".", ":!tools/rename"); err == nil {
		t.Errorf("left: %s", out)
	}
	if out := c.run("make", "--no-print-directory", "module", "MODULE="+path); !strings.Contains(out, "already") {
		t.Errorf("again: %s", out)
	}
	c.hook(path)
	c.write("note.txt", "mine")
	if out, err := c.try("make", "--no-print-directory", "module", "MODULE=example.org/x"); err == nil ||
		!strings.Contains(out, "not committed") {
		t.Errorf("with changes: %v\n%s", err, out)
	}
}

func (c *clone) write(name, text string) {
	c.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o644); err != nil {
		c.Fatal(err)
	}
}

// hook builds and runs a hook in a module of its own that imports hookenv.
func (c *clone) hook(path string) {
	c.Helper()
	h := &clone{T: c.T, dir: c.TempDir(), env: append(c.env, "HOOK_EVENT=after_launch", "HOOKED_POD_ID=app",
		"HOOKED_POD_UNIQUE_KEY=7", "GOFLAGS=-mod=mod", "GOSUMDB=off")}
	h.write("go.mod", "module example.com/hook\n\ngo 1.26.5\n\nrequire "+path+" v2.0.0\n\nreplace "+path+" => "+c.dir+"\n")
	h.write("main.go", `package main

import (
	"fmt"

	hooks "`+path+`/hookenv"
)

func main() {
	var env hooks.HookEnv
	env.ExitUnlessEvent(hooks.AfterLaunch)
	fmt.Println(env.PodUniqueName())
}
`)
	h.run("sh", filepath.Join(c.dir, "tools/download.sh"), h.dir, ".")
	if out := h.run("go", "run", "."); out != "app-7 <nil>" {
		c.Errorf("the hook prints %q", out)
	}
}
