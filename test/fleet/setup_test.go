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

// blocks are the code blocks of the section of docs/fleet.md that tells how to set a
// fleet up: what hosts may do, what who deploys may do, the manifest, the commands.
func blocks(t *testing.T) (host, deployer, manifest, commands string) {
	t.Helper()
	doc, err := os.ReadFile("../../docs/fleet.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(doc), "\n## Set up\n")
	section, _, _ = strings.Cut(section, "\n## ")
	m := regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$").FindAllStringSubmatch(section, -1)
	var kinds []string
	for _, block := range m {
		kinds = append(kinds, block[1])
	}
	if got := strings.Join(kinds, " "); got != "hcl hcl yaml sh" {
		t.Fatalf("docs/fleet.md has blocks %q", got)
	}
	return m[0][2], m[1][2], m[2][2], m[3][2]
}

// TestSetUp: the ten commands of docs/fleet.md do what they say, where ACLs allow no
// more than its policies.
func TestSetUp(t *testing.T) {
	t.Parallel()
	agent := testparts.ConsulWithACL(t)
	dir := t.TempDir()
	hostRules, deployerRules, manifest, commands := blocks(t)
	if n := strings.Count(commands, "\n"); n > 10 {
		t.Errorf("there are %d commands", n)
	}
	local := strings.NewReplacer("s3://deploys/web/", "file://"+dir+"/published/", "/srv/web", dir+"/live")
	for name, text := range map[string]string{
		"host.hcl": hostRules, "deployer.hcl": deployerRules, "web.yml": manifest,
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
