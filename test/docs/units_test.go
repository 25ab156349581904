package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// TestDocumentedUnits: the unit of a watch tries for as long as its agent takes
// to come up, what the timer of the packages starts restarts nothing for nothing, and
// systemd takes them all. The line for cron is that of examples/pull.
func TestDocumentedUnits(t *testing.T) {
	text := readDoc(t, "docs/operations.md")
	found := regexp.MustCompile("(?s)```ini\n(.*?)```").FindStringSubmatch(text)
	if found == nil {
		t.Fatal("docs/operations.md has no unit")
	}
	section, rest, _ := strings.Cut(found[1], "[Service]")
	if !strings.Contains(section, "\nStartLimitIntervalSec=0\n") ||
		!strings.Contains(rest, "\nRestart=always\nRestartSec=5\n") {
		t.Errorf("the unit of a watch gives up:\n%s", found[1])
	}
	units := map[string]string{"deploys.service": found[1]}
	for _, name := range []string{"stretcher-pull@.service", "stretcher-pull@.timer"} {
		units[name] = readDoc(t, "packaging/systemd/"+name)
	}
	pull := units["stretcher-pull@.service"]
	if !strings.Contains(pull, "\nType=oneshot\n") || !strings.Contains(pull, " --if-changed ") {
		t.Errorf("the unit of a timer does what it should not:\n%s", pull)
	}
	_, cron, _ := strings.Cut(readDoc(t, "examples/pull/cron"), "\n")
	if cron == "" || !strings.Contains(text, cron) {
		t.Errorf("docs/operations.md has another line for cron than %q", cron)
	}
	dir, paths := t.TempDir(), []string{}
	for name, unit := range units {
		paths = append(paths, filepath.Join(dir, name))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(anyProgram(unit)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	verifyUnits(t, dir, paths)
}

// anyProgram is a unit that starts a program that is on every machine: those
// that are not here are no fault of the unit.
func anyProgram(unit string) string {
	return regexp.MustCompile(`(?m)^ExecStart=\S+`).ReplaceAllString(unit, "ExecStart=/bin/true")
}

// verifyUnits has systemd read unit files of a directory.
func verifyUnits(t *testing.T, dir string, paths []string) {
	t.Helper()
	analyze := testparts.Need(t, "systemd-analyze")
	out, err := exec.Command(analyze, append([]string{"verify", "--man=no"}, paths...)...).CombinedOutput()
	if err != nil || strings.Contains(string(out), dir) {
		t.Errorf("%v\n%s", err, out)
	}
}
