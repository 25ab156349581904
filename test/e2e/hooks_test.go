package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"stretcher/internal/fetch/checksum"
	"stretcher/internal/testparts"
)

// hookProgram builds the program of the images, which does what DO says.
func hookProgram(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(testparts.Build(t, "hook", "./internal/hooks/porter/testdata/hook",
		"CGO_ENABLED=0", "-ldflags=-s -w"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

const fromScratch = "FROM scratch\nCOPY hook /hook\nENTRYPOINT [\"/hook\"]\n"

// containerMachine is a machine with a container engine, a hook in the tree
// app/hook and the same in a plugin's repository.
type containerMachine struct {
	*machine
	engine testparts.ContainerEngine
}

func newContainerMachine(t *testing.T) containerMachine {
	m := containerMachine{newMachine(t), testparts.Podman(t)}
	program := hookProgram(t)
	for _, dir := range []string{"app/hook", "work"} {
		m.write(dir+"/hook", program)
		m.write(dir+"/Dockerfile", fromScratch)
	}
	m.git("init", "--quiet", "--bare", "plugin.git")
	m.git("init", "--quiet", "work")
	m.git("-C", "work", "add", "--all")
	m.git("-C", "work", "commit", "--quiet", "--message", "hook")
	m.git("-C", "work", "tag", "v1")
	m.git("-C", "work", "push", "--quiet", m.path("plugin.git"), "v1")
	policy, err := json.Marshal(map[string]any{"hooks": map[string]any{
		"engine": m.engine.Path, "engine_args": m.engine.Args, "run_args": m.engine.Run,
	}})
	if err != nil {
		t.Fatal(err)
	}
	m.write("policy.yml", string(policy))
	if err := os.Chmod(m.path("policy.yml"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("tar", "czf", m.path("app.tar.gz"), "-C", m.path("app"),
		".").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v: %s", err, out)
	}
	return m
}

func (m containerMachine) git(args ...string) {
	m.t.Helper()
	cmd := exec.Command(testparts.Need(m.t, "git"), args...)
	cmd.Dir = m.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
	if out, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("git %q: %v: %s", args, err, out)
	}
}

// manifest writes the manifest with these hooks and returns its URL.
func (m containerMachine) manifest(hooks string) string {
	m.t.Helper()
	archive := []byte(m.read("app.tar.gz"))
	h := checksum.New("sha256")
	h.Write(archive)
	sum := checksum.Checksum{Algorithm: "sha256", Digest: h.Sum(nil)}
	m.write("app.yml", "src: file://"+m.path("app.tar.gz")+"\nchecksum: "+sum.String()+"\ndest: "+m.dest+
		"\nversion: 7\nhooks:"+hooks)
	return "file://" + m.path("app.yml")
}

func (m containerMachine) deploy(args ...string) *deployment {
	m.t.Helper()
	return m.run(nil, append([]string{"--config", m.path("policy.yml")}, args...)...)
}

func (m containerMachine) noContainers() {
	m.t.Helper()
	if left := m.engine.Containers(m.t); len(left) > 0 {
		m.t.Errorf("containers %q are left", left)
	}
}

// TestContainerHooks deploys with hooks in containers, of the tree and of a
// plugin, and runs others that are asked for by name.
func TestContainerHooks(t *testing.T) {
	m := newContainerMachine(t)
	url := m.manifest(`
  pre_pack: [{repo: "file://` + m.path("plugin.git") + `", ref: v1, environment: {DO: print from a plugin}}]
  post_pack: [{dockerfile: hook/Dockerfile, environment: {DO: append /repo_root/written staged}}]
  post_provision:
  - dockerfile: hook/Dockerfile
    environment: {DO: read /repo_root/written;env PORTER_SERVICE_VERSION STRETCHER_POINT}
  ec2_bootstrap: [{dockerfile: hook/Dockerfile, environment: {DO: print joined;read /repo_root/hook/Dockerfile}}]
  status: [{repo: "file://` + m.path("plugin.git") + `", ref: v1, environment: {DO: print before;exit 7}}]
`)
	m.deploy(url).wants(0, `pre_pack\[0\]: from a plugin`, `post_provision\[0\]: read "staged\\n"`,
		`post_provision\[0\]: PORTER_SERVICE_VERSION="7" true`, `post_provision\[0\]: STRETCHER_POINT="post_sync" true`)
	if got := m.read("dest/written"); got != "staged\n" {
		t.Errorf("the hook's file in dest holds %q", got)
	}
	m.noContainers()
	d := m.deploy("hooks", "run", "ec2_bootstrap", url).wants(0)
	if got, want := d.stdout.String(), "joined\nread \""+
		strings.ReplaceAll(strings.ReplaceAll(fromScratch, `"`, `\"`), "\n", `\n`)+"\"\n"; got != want {
		t.Errorf("stdout is %q, want %q", got, want)
	}
	if d = m.deploy("hooks", "run", "status", url).wants(7); d.stdout.String() != "before\n" {
		t.Errorf("stdout is %q", d.stdout.String())
	}
	m.noContainers()
}

// TestContainerHookOfDeadRun kills a run in a container hook: the container
// goes on, and the next run ends it.
func TestContainerHookOfDeadRun(t *testing.T) {
	m := newContainerMachine(t)
	hang := m.manifest(`
  pre_pack: [{repo: "file://` + m.path("plugin.git") + `", ref: v1, environment: {DO: print here;hang}}]
`)
	d := m.start(nil, "--config", m.path("policy.yml"), "--log-file", m.path("log"), hang)
	m.waitFor("log", "pre_pack[0]: here")
	if err := d.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = d.cmd.Wait()
	if left := m.engine.Containers(t); len(left) != 1 {
		t.Fatalf("containers %q are left, want one", left)
	}
	m.deploy(m.manifest(" {}\n")).wants(0, `died in step "pre_fetch"`)
	m.noContainers()
}

// TestContainerOfRepository: a manifest in a file has its directory for
// repository before anything is unpacked, as porter's has.
func TestContainerOfRepository(t *testing.T) {
	m := newContainerMachine(t)
	m.write("path/to/hook", m.read("app/hook/hook"))
	m.write("path/to/Dockerfile", strings.Replace(fromScratch, "ENTRY",
		"ENV DO=\"env FOO BAZ;read /repo_root/beside;append /repo_root/written yes\"\nENTRY", 1))
	m.write("beside", "the manifest")
	url := m.manifest(`
  pre_pack:
  - dockerfile: path/to/Dockerfile
    environment:
      FOO: bar
      BAZ:
`)
	run := func() *deployment {
		return m.run([]string{"BAZ=passed"}, "--config", m.path("policy.yml"), "--force", url)
	}
	run().wants(0, `pre_pack\[0\]: FOO="bar" true`,
		`pre_pack\[0\]: BAZ="\[BAZ\]" true`, `pre_pack\[0\]: read "the manifest"`)
	if got := m.read("written"); got != "yes\n" {
		t.Errorf("the hook has written %q beside the manifest", got)
	}
	for _, name := range []string{"path/to/Dockerfile", "path/to/hook", "path/to", "path"} {
		info, err := os.Stat(m.path(name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(m.path(name), 0o777); err != nil {
			t.Fatal(err)
		}
		run().wants(4, `error: pre_fetch: porter hook "pre_pack\[0\]": dockerfile: not trusted: ".*" may be written by`)
		if err := os.Chmod(m.path(name), info.Mode()); err != nil {
			t.Fatal(err)
		}
	}
	m.noContainers()
}
