package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
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
		// Programs that are not here are no fault of the unit.
		unit = regexp.MustCompile(`(?m)^ExecStart=\S+`).ReplaceAllString(unit, "ExecStart=/bin/true")
		if err := os.WriteFile(filepath.Join(dir, name), []byte(unit), 0o644); err != nil {
			t.Fatal(err)
		}
		seen = append(seen, filepath.Join(dir, name))
	}
	slices.Sort(seen)
	if len(slices.Compact(seen)) != 3 {
		t.Fatalf("units: %q", seen)
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("systemd is not here")
		return
	}
	out, err := exec.Command(analyze, append([]string{"verify", "--man=no"}, seen...)...).CombinedOutput()
	if err != nil || strings.Contains(string(out), dir) {
		t.Errorf("%v\n%s", err, out)
	}
}
