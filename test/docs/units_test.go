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

// TestDocumentedUnits: the unit of a watch tries for as long as its agent takes
// to come up, a timer restarts nothing for nothing, and systemd takes them all.
func TestDocumentedUnits(t *testing.T) {
	text := readDoc(t, "docs/operations.md")
	dir, seen := t.TempDir(), []string{}
	for _, found := range regexp.MustCompile("(?s)```ini\n(.*?)```").FindAllStringSubmatch(text, -1) {
		unit, name := found[1], "deploys.service"
		section, rest, _ := strings.Cut(unit, "[Service]")
		switch {
		case strings.Contains(unit, "[Timer]"):
			name = "stretcher-app.timer"
		case strings.Contains(unit, "consul watch"):
			if !strings.Contains(section, "\nStartLimitIntervalSec=0\n") ||
				!strings.Contains(rest, "\nRestart=always\nRestartSec=5\n") {
				t.Errorf("the unit of a watch gives up:\n%s", unit)
			}
		default:
			name = "stretcher-app.service"
			if !strings.Contains(rest, "\nType=oneshot\n") || !strings.Contains(rest, " --if-changed ") {
				t.Errorf("the unit of a timer does what it should not:\n%s", unit)
			}
		}
		unit = anyProgram(unit)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(unit), 0o644); err != nil {
			t.Fatal(err)
		}
		seen = append(seen, filepath.Join(dir, name))
	}
	slices.Sort(seen)
	if len(slices.Compact(seen)) != 3 {
		t.Fatalf("units: %q", seen)
	}
	verifyUnits(t, dir, seen)
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
