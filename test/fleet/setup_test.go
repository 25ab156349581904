package fleet

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// block is a code block of docs/fleet.md.
func block(t *testing.T, kind string) string {
	t.Helper()
	doc, err := os.ReadFile("../../docs/fleet.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?ms)^```" + kind + "\n(.*?)^```$").FindStringSubmatch(string(doc))
	if m == nil {
		t.Fatalf("docs/fleet.md has no block %q", kind)
	}
	return m[1]
}

// TestSetUp: the ten commands of docs/fleet.md do what they say, where ACLs allow no
// more than its policies.
func TestSetUp(t *testing.T) {
	t.Parallel()
	agent := testparts.ConsulWithACL(t)
	dir := t.TempDir()
	commands := block(t, "sh setup")
	if n := strings.Count(commands, "\n"); n > 10 {
		t.Errorf("there are %d commands", n)
	}
	local := strings.NewReplacer("s3://deploys/web/", "file://"+dir+"/published/", "/srv/web", dir+"/live")
	for name, text := range map[string]string{
		"host.hcl": block(t, "hcl host"), "deployer.hcl": block(t, "hcl deployer"), "web.yml": block(t, "yaml draft"),
		"build/index.html": "hello\n",
		"setup.sh":         "set -eu\ntrap 'kill $(jobs -p)' EXIT\n" + commands,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(local.Replace(text)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "bash", "setup.sh")
	cmd.Dir = dir
	path := strings.Join([]string{filepath.Dir(testparts.Program(t)), filepath.Dir(agent.Bin), os.Getenv("PATH")}, ":")
	cmd.Env = append(os.Environ(), "PATH="+path, "CONSUL_HTTP_ADDR="+agent.HTTPAddr, "CONSUL_HTTP_TOKEN="+agent.Token,
		"STRETCHER_STATE_DIR="+dir+"/state", testparts.NoExitSleep)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "1 of 1 host good") {
		t.Fatalf("%v\n%s", err, out)
	}
	if got, err := os.ReadFile(dir + "/live/current/index.html"); string(got) != "hello\n" {
		t.Errorf("dest has %q, %v", got, err)
	}
}
