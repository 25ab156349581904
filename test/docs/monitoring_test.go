package docs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"stretcher/internal/cli"
)

// TestCheckForNagios runs the documented check with each exit status of stretcher
// status, and where it can't be asked.
func TestCheckForNagios(t *testing.T) {
	dir := t.TempDir()
	check := filepath.Join(dir, "check_stretcher")
	for _, b := range blocks(readDoc(t, "docs/monitoring.md")) {
		if strings.Contains(b.text, "# check_stretcher:") {
			writeScript(t, check, b.text)
		}
	}
	want := map[string]int{"0": 0, "1": 1, "2": 3, "3": 2, "5": 3, "6": 1, "126": 3, "127": 3, "137": 3}
	for _, row := range cli.StatusTable() {
		if _, known := want[row[0]]; !known {
			t.Errorf("nobody has said what %s, %s, is to Nagios", row[0], row[1])
		}
	}
	ask := func(sudo, said string, want int) {
		t.Helper()
		writeScript(t, filepath.Join(dir, "sudo"), "#!/bin/sh\n"+sudo+"\n")
		cmd := exec.Command("sh", check)
		cmd.Env = append(os.Environ(), "PATH="+dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
		out, err := cmd.Output()
		got := 0
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			got = exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		if got != want || string(out) != said+"\n" {
			t.Errorf("%s: status %d, want %d; printed %q", sudo, got, want, out)
		}
	}
	for status, nagios := range want {
		ask(fmt.Sprintf("echo 'as it is: 1:'\nexit %s", status), "as it is: 1:", nagios)
	}
	ask("echo 'sudo: a password is required' >&2\nexit 1", "sudo: a password is required", 3)
	ask(`test "$*" = "-n /usr/bin/stretcher status --max-age 7d /srv/app"`, "", 0)
}

func writeScript(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}
