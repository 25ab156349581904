package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// services are the units in examples/systemd that run stretcher.
func services() []string { return []string{"stretcher-watch.service", "stretcher@.service"} }

// exposure is what `systemd-analyze security` may give a deployer, in tenths.
// Without any setting a unit has 96.
const exposure = "33"

func exampleUnit(t *testing.T, name string) string {
	t.Helper()
	return readDoc(t, filepath.Join("examples/systemd", name))
}

// TestExampleUnits: systemd understands the units and finds them hardened.
func TestExampleUnits(t *testing.T) {
	analyze := testparts.Need(t, "systemd-analyze")
	dir, paths := t.TempDir(), []string{}
	for _, name := range append(services(), "stretcher@.path") {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(anyProgram(exampleUnit(t, name))), 0o644); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	verifyUnits(t, dir, paths)
	for _, path := range paths[:len(services())] {
		args := []string{"security", "--offline=true", "--no-pager", "--threshold=" + exposure, path}
		out, err := exec.Command(analyze, args...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
	}
}

// TestExampleUnitsAgree: what one service forbids, the others forbid, those of the
// packages too, and what the list of what is left out names is left out.
func TestExampleUnitsAgree(t *testing.T) {
	var settings [][]string
	const packaged = "../../packaging/systemd/stretcher-"
	for _, name := range append(services(), packaged+"watch@.service", packaged+"pull@.service") {
		unit, _, _ := strings.Cut(exampleUnit(t, name), "\n[Install]\n")
		_, hardened, found := strings.Cut(unit, "\nTimeoutStopSec=")
		if !found {
			t.Fatalf("%s: no settings", name)
		}
		settings = append(settings, regexp.MustCompile(`(?m)^[A-Z]\w+=.*$`).FindAllString(hardened, -1))
	}
	for i := range settings {
		if len(settings[0]) < 25 || !slices.Equal(settings[0], settings[i]) {
			t.Errorf("the services differ:\n%q\n%q", settings[0], settings[i])
		}
	}
	_, list, _ := strings.Cut(exampleUnit(t, services()[0]), "\n# Left out")
	out := regexp.MustCompile(`(?m)^#   (?:\w+=, )*(\w+)=`).FindAllStringSubmatch(list, -1)
	if len(out) < 8 {
		t.Errorf("left out: %q", out)
	}
	for _, m := range out {
		for _, set := range settings[0] {
			if strings.HasPrefix(set, m[1]+"=") && m[1] != "SystemCallFilter" {
				t.Errorf("%s is set and said to be left out", set)
			}
		}
	}
}

// TestExampleKeyAndSudoers: the programs that read the files understand them, and
// both start what the unit is for.
func TestExampleKeyAndSudoers(t *testing.T) {
	const start = "/usr/bin/systemctl start stretcher@web.service"
	for path, check := range map[string][]string{
		"examples/ssh/authorized_keys": {testparts.Need(t, "ssh-keygen"), "-l", "-f"},
		"examples/ssh/sudoers":         {testparts.Need(t, "visudo"), "-c", "-s", "-f"},
	} {
		out, err := exec.Command(check[0], append(check[1:], filepath.Join(root, path))...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
		rules := regexp.MustCompile(`(?m)^[^#\n].*$`).FindAllString(readDoc(t, path), -1)
		if len(rules) != 1 || !strings.Contains(rules[0], start) {
			t.Errorf("%s: %q", path, rules)
		}
	}
}

// TestExamplePoliciesAreDocumented: the ACL policies in docs/operations.md are
// those of the examples, which a real agent checks (test/e2e).
func TestExamplePoliciesAreDocumented(t *testing.T) {
	comments := regexp.MustCompile(`(?m)^#.*\n`)
	var want, got []string
	for _, name := range []string{"host", "deployer"} {
		want = append(want, comments.ReplaceAllString(readDoc(t, "examples/consul/"+name+".hcl"), ""))
	}
	for _, b := range blocks(readDoc(t, "docs/operations.md")) {
		if b.kind == "hcl" {
			got = append(got, b.text)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("docs/operations.md has\n%q, the examples are\n%q", got, want)
	}
}
