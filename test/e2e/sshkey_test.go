package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// TestE2ESSHKey: a key that stands in examples/ssh/authorized_keys starts one
// deployment by sudo, whatever its holder asks for.
func TestE2ESSHKey(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root's sshd lets others in")
	}
	example, err := os.ReadFile("../../examples/ssh/authorized_keys")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(example)), "\n")
	options, _, found := strings.Cut(lines[len(lines)-1], " ssh-ed25519 ")
	if !found || !strings.HasPrefix(options, `restrict,command="sudo -n `) {
		t.Fatalf("the line of the key: %s", lines[len(lines)-1])
	}
	m := newMachine(t)
	ssh := m.sshServer()
	m.write("sudo", "#!/bin/sh\necho \"$*\" >> "+m.path("asked")+"\nexit 3\n")
	key := m.read("user.pub")
	m.write("user.pub", strings.Replace(options, `"sudo `, `"`+m.path("sudo")+` `, 1)+" "+key)
	for _, words := range [][]string{nil, {"touch " + m.path("evil")}, {m.bin, "--version"}} {
		m.write("asked", "")
		out, err := exec.Command(ssh[0], append(ssh[1:], words...)...).CombinedOutput()
		if got := testparts.ExitStatus(err); got != 3 {
			t.Errorf("%q: exit status %d, want that of the command: %s", words, got, out)
		}
		if got := m.read("asked"); got != "-n /usr/bin/systemctl start stretcher@web.service\n" {
			t.Errorf("%q ran sudo with %q", words, got)
		}
	}
	if _, err := os.Stat(m.path("evil")); err == nil {
		t.Error("the key ran a command of its holder's")
	}
}
