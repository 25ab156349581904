package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// journald runs a program as a service does whose journal is a systemd-journald of
// its own, below a /run of its own, and prints what is in the journal then. As in a
// service, JOURNAL_STREAM names the socket that standard error is.
const journald = `
set -eu
mount -t tmpfs none /run
mount --bind "$1/journald.conf" /etc/systemd/journald.conf
mkdir -p /run/log/journal /run/systemd/journal
$2 2>"$1/said" &
journald=$!
trap 'kill "$journald"; wait "$journald" || true' EXIT
tries=0
until [ -S /run/systemd/journal/stdout ]; do
	tries=$((tries + 1))
	[ "$tries" -lt 600 ] || { cat "$1/said"; exit 1; } >&2
	sleep 0.1
done
shift 2
systemd-cat -t stretcher sh -c 'JOURNAL_STREAM=$(stat -L -c %d:%i /dev/fd/2); export JOURNAL_STREAM; "$@"; true' sh "$@"
journalctl --sync
journalctl -D /run/log/journal -t stretcher -o json --no-pager
`

// entry is what one has in the journal.
type entry struct {
	Message  string `json:"MESSAGE"`
	Priority string `json:"PRIORITY"`
}

// TestJournald: a real journal takes the priorities of the log's lines, and each
// line for an entry. A child can't say how much its output matters, but a failure
// command can, whose output is its own.
func TestJournald(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can mount")
	}
	daemon := "/lib/systemd/systemd-journald"
	if _, err := os.Stat(daemon); err != nil {
		testparts.Missing(t, "%v", err)
	}
	for _, name := range []string{"systemd-cat", "journalctl", "unshare"} {
		testparts.Need(t, name)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"journald.conf": "[Journal]\nAudit=no\nReadKMsg=no\nStorage=volatile\nForwardToSyslog=no\nForwardToWall=no\n",
		"app.yml": "commands:\n  pre: [\"echo '<0>printed'; printf 'a\\nb'\"]\n  post: ['false']\n" +
			"  failure: [\"echo '<5>noted' >&2; printf said >&2\", 'echo twice >&2']\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("unshare", "-m", "mount", "-t", "tmpfs", "none", "/run").CombinedOutput(); err != nil {
		testparts.Missing(t, "mount in a namespace: %v\n%s", err, out)
	}
	cmd := exec.Command("unshare", "-m", "sh", "-c", journald, "sh", dir, daemon,
		testparts.Program(t), "--state-dir", filepath.Join(dir, "state"), filepath.Join(dir, "app.yml"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got := map[string]string{}
	for line := range strings.Lines(string(out)) {
		var e entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		got[e.Message] = e.Priority
	}
	for message, priority := range map[string]string{
		"host policy: none": "6", "<0>printed": "6", "a": "6", "b": "6", "post: false": "6",
		`error: post: post command 1 "false": exit status 1`: "3", "noted": "5", "said": "6", "twice": "6",
	} {
		if got[message] != priority {
			t.Errorf("%q has priority %q, not %q", message, got[message], priority)
		}
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}
